"""What is remembered, each change in one atomic step."""
