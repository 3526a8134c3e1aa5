"""Discord's API: calls, gateway events and names."""
