"""Ports for servers whose port a test must know before they listen."""

import os
import random
import socket
from itertools import count

# Below those that Linux (32768 and up) and macOS (49152 and up) give to whoever asks for any, clients included: one of
# these is not taken by a connection of another test between the look at it and its use.
_FIRST, _LAST = 10_000, 20_000
# A node of a Redis Cluster also listens at the port so far above its own (redis.io/docs: cluster-port).
_BUS = 10_000
# Each process of a run takes its own ports, one after the other: two that look at the same time find the same one free.
_MANY = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE = (_LAST - _FIRST) // _MANY
_BEGIN = _FIRST + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MANY * _SHARE
_PLACES = count(random.SystemRandom().randrange(_SHARE))


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, nor at the one that goes with it in a Cluster."""
    while True:
        port = _BEGIN + next(_PLACES) % _SHARE
        if _free(port) and _free(port + _BUS):
            return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
