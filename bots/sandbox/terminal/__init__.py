"""A person's seat in the sandbox: what they type, and what they see."""
