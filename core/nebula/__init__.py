"""The model behind the Nebula API: its wire, its failures, and its client."""
