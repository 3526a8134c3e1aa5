"""The adapter to Discord."""
