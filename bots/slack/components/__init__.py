"""Blocks, forms and buttons in the form that Slack expects."""
