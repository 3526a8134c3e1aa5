"""The program: its commands, its adapters to the platforms, and a sandbox to try and test them in."""
