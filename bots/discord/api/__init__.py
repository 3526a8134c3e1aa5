"""Discord as calls, events and names, without the core."""
