"""Sets the bot up: asks for what it needs, tries each answer and writes .env; and prints a unit for systemd."""
