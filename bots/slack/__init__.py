"""The adapter to Slack."""
