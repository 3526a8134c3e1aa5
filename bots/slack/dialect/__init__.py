"""Markdown as Slack reads it."""
