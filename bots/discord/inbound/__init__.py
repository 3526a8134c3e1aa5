"""Passes what people do on Discord to the core."""
