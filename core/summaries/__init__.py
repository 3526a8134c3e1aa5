"""What no longer fits into a dialogue's requests, told in a few words."""
