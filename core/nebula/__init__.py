"""The model behind the Nebula API: its wire, its failures, and what is done about them."""
