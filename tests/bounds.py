"""The one bound of the tests: a test waits for its condition however long a busy machine takes, but not for ever."""

# Only what hangs is ended by it. Shorter than pytest's own timeout, so that the test says what it waited for.
HANG_SECONDS = 120.0
