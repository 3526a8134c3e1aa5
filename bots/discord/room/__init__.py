"""Reads what was said around a question."""
