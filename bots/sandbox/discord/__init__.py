"""A Discord on loopback: REST, gateway, limits and faults."""
