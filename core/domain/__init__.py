"""The values, errors and ports that every other package uses, and how a call is retried."""
