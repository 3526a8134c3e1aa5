"""The pulse of Discord's gateway: whether events can arrive, and when the gateway last said anything."""

import time
from collections.abc import Iterable

import discord
from discord.gateway import DiscordWebSocket

from core.domain.ports import Connection


def connection(clients: Iterable[discord.Client]) -> Connection:
    """How the connections of these clients are; of several shards the worst counts, as each has other guilds.

    Heartbeats are acknowledged every 41 s or so, also where nobody writes (docs.discord.com, Gateway, Sending
    Heartbeats).
    """
    ages = [_age(client.ws) for client in clients]
    if not ages or None in ages:
        return Connection(False)
    return Connection(True, max(age for age in ages if age is not None))


def _age(socket: DiscordWebSocket | None) -> float | None:
    """Seconds since anything came over this socket; None when there is none, or it is closed."""
    # discord.py has no public way to the time of its last sign of life.
    beat = socket._keep_alive if socket is not None and socket.open else None
    return max(0.0, time.perf_counter() - beat._last_recv) if beat is not None else None
