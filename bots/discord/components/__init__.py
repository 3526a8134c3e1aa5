"""Commands, forms and buttons as Discord has them."""
