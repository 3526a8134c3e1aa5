"""Reads what was said around a question, and its files."""
