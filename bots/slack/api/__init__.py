"""Calls to Slack, connections, lookups of people, and the tasks of requests; nothing here knows the core's logic."""
