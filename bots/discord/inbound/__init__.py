"""What people do on Discord, passed on to the core."""
