"""Reads documents of Office: zip archives of XML."""
