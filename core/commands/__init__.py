"""What people can see and change by command."""
