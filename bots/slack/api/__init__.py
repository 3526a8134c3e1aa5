"""Calls to Slack, connections, and lookups of people; nothing here knows the core's logic."""
