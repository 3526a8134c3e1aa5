"""A reply on screen: its states, what they look like, and when they are shown."""
