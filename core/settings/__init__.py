"""What the operator configures and what people set in a channel, each with its origin."""
