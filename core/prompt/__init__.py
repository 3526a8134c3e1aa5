"""Turns a question and its history into a request that fits the model."""
