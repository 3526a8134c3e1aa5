"""Who may call a platform next."""
