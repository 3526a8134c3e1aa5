"""A Redis client that never hangs, and the private server."""
