"""Who may ask questions, and how many."""
