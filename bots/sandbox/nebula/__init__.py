"""A Nebula API on loopback, with a stand-in for the model, and faults."""
