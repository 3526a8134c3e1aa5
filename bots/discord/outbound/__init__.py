"""What people see on Discord."""
