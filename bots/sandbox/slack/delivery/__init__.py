"""What the app receives: which events there are, and how they reach it over Socket Mode or signed HTTP."""
