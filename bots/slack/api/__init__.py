"""Slack as calls, connections and people, without the core."""
