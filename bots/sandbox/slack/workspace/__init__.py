"""What there is in the sandbox's Slack: its values and state, what people read of it, its checks and its JSON."""
