"""The pulse of Discord's gateway: whether events can arrive, and when the gateway last said anything."""

import time

import discord
from discord.gateway import DiscordWebSocket

from core.ports import Connection


def connection(client: discord.Client | None) -> Connection:
    """How this client's connections to the gateway are; of several shards the worst counts, as each has other guilds.

    Heartbeats are acknowledged every 41 s or so, also where nobody writes (docs.discord.com, Gateway, Sending
    Heartbeats).
    """
    ages = [_age(socket) for socket in _sockets(client)]
    if not ages or None in ages:
        return Connection(False)
    return Connection(True, max(age for age in ages if age is not None))


def _sockets(client: discord.Client | None) -> list[DiscordWebSocket]:
    # discord.py has no public way to a shard's socket, nor to the time of its last sign of life.
    if isinstance(client, discord.AutoShardedClient):
        return [shard._parent.ws for shard in client.shards.values()]
    return [client.ws] if client is not None and client.ws is not None else []


def _age(socket: DiscordWebSocket) -> float | None:
    """Seconds since anything came over this socket; None when it is closed."""
    beat = socket._keep_alive
    return max(0.0, time.perf_counter() - beat._last_recv) if socket.open and beat is not None else None
