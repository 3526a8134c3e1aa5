"""Conversion between standard Markdown and the markup that Slack reads."""
