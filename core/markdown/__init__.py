"""A growing text, cut into messages and mended so that each of them is whole."""
