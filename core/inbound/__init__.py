"""The entry points for adapters: what people say, press, edit and delete."""
