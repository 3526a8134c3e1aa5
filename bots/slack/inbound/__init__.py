"""Passes what people do in Slack on to the core."""
