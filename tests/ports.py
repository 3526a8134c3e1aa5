"""Ports for servers whose port a test must know before they listen."""

import random
import socket

# Below those that Linux (32768 and up) and macOS (49152 and up) give to whoever asks for any, clients included: one of
# these is not taken by a connection of another test between the look at it and its use.
_FIRST, _LAST = 10_000, 32_000
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    while True:
        port = _CHANCE.randrange(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
