"""Commands, forms and buttons in Discord's format."""
