"""The values, errors and ports that every other package uses."""
