"""The adapter to a terminal."""
