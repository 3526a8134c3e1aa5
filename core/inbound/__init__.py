"""What the adapters call: what people say, press, change and delete."""
