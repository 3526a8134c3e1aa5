"""Markdown as Discord reads it."""
