"""A Slack on loopback: Web API, Socket Mode, events, limits and faults."""
