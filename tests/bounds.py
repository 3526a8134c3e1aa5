"""The only time limit in tests: a test waits for its condition however long a busy machine takes, but not for ever."""

# It ends only what hangs. It is shorter than pytest's own timeout, so that the test says what it waited for.
HANG_SECONDS = 120.0
