"""Runs one question to its end: from the line, under a lease, and in another process if necessary."""
