"""One question to its end: from the line, under a lease, to another process if need be."""
