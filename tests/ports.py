"""Ports for servers whose port a test must know before they listen."""

import random
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

# Below those that Linux (32768 and up) and macOS (49152 and up) give to whoever asks for any, clients included: one of
# these is not taken by a connection of another test between the look at it and its use.
_FIRST, _LAST = 10_000, 20_000
# A node of a Redis Cluster also listens at the port so far above its own (redis.io/docs: cluster-port).
_BUS = 10_000
# Each process takes ports of its own block, one after the other: two that look at the same time find the same one free,
# and a test of one would talk to a server of the other, be it of this run or of another one on this machine.
_BLOCK = 100


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, nor at the one that goes with it in a Cluster."""
    return next(port for port in _ports() if _free(port) and _free(port + _BUS))


@cache
def _ports() -> Iterator[int]:
    """The ports of a block whose first one this process holds as long as it runs."""
    blocks = list(range(_FIRST, _LAST, _BLOCK))
    random.SystemRandom().shuffle(blocks)
    first = next(block for block in blocks if _free(block, hold=True))
    return cycle(range(first + 1, first + _BLOCK))


def _free(port: int, *, hold: bool = False) -> bool:
    """Whether nobody has this port. `hold`: this process has it from now on."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        if hold:
            probe.detach()
        return True
