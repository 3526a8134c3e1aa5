"""The commands with which people see and change things."""
