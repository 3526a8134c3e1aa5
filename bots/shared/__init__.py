"""What the adapters to Slack and Discord show in the same way."""
