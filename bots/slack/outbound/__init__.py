"""Everything that people see in Slack."""
