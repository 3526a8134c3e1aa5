"""Health of the gateway connection: whether events can arrive, and when the gateway last sent anything."""

import time
from collections.abc import Iterable

import discord
from discord.gateway import DiscordWebSocket

from bots.discord.api.private_api import last_received
from core.domain.ports import Connection


def connection_of(clients: Iterable[discord.Client]) -> Connection:
    """The state of these clients' connections. The worst shard counts, because each shard serves other guilds.

    Discord acknowledges a heartbeat about every 41 s, even where nobody writes (docs.discord.com, Gateway, Sending
    Heartbeats).
    """
    ages = [_age(client.ws) for client in clients]
    if not ages or None in ages:
        return Connection(False)
    return Connection(True, max(age for age in ages if age is not None))


def _age(socket: DiscordWebSocket | None) -> float | None:
    """Seconds since this socket last received anything; None if there is no socket or it is closed."""
    at = last_received(socket) if socket is not None and socket.open else None
    return max(0.0, time.perf_counter() - at) if at is not None else None
