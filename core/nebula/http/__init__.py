"""Bodies of HTTP responses: read in time, bounded, and in no encoding."""
