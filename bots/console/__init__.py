"""The adapter for a terminal."""
