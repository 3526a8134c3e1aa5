"""Reads the files of strangers, each in a throwaway process, and quotes what is in them to the model."""
