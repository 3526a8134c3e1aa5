"""A Nebula API on loopback, with a fake model and faults."""
