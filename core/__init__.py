"""The bot without its platforms: from a question to an answer that grows on screen, remembered."""
