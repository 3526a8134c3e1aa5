"""Blocks, forms and buttons as Slack has them."""
