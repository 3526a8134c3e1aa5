"""The person's side of the sandbox: what they type and what they see."""
