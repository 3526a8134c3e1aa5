"""The program: its commands, its adapters to the platforms, and a sandbox to try them and test them."""
