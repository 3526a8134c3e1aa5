"""An adapter to a chat that the bot has never heard of: its messages are lines of standard input and output."""
