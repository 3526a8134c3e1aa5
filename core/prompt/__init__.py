"""A question and its history as a request that fits the model."""
