"""What there is in the sandbox's Discord: its values and state, their checks, their payloads, and its files."""
