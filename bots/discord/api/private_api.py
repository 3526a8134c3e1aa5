"""What we use of discord.py beyond its documented interface: private names, and undocumented ones that we set.

Each was verified with discord-py==2.7.1, by reading it and by the tests of the adapter. Check them all before that pin
changes; each docstring says what breaks without it.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

Parser = Callable[[Any], None]


def use_addresses(api: str, gateway: URL) -> None:
    """Set where the REST API and the gateway are, for all clients; discord.py reads this each time it connects.

    Without it, every client calls discord.com, and DISCORD_API_URL and DISCORD_GATEWAY_URL do nothing.
    """
    Route.BASE = api
    DiscordWebSocket.DEFAULT_GATEWAY = gateway


def api_address() -> str:
    """Where the REST API is. Without it, we don't know for which address to choose the proxy."""
    return Route.BASE


def hide_voice_warnings() -> None:
    """Make discord.py silent about libraries for voice. Without it, two warnings appear at each start."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


def last_received(socket: DiscordWebSocket) -> float | None:
    """When this socket last received anything, by time.perf_counter(); None before the gateway said hello.

    Without it, nobody sees that a connection is silent before discord.py ends it.
    """
    beat = socket._keep_alive
    return None if beat is None else beat._last_recv


def wrap_parser(client: discord.Client, event: str, wrapper: Callable[[Parser, Any], None]) -> None:
    """Have a gateway event read by `wrapper`, which gets discord.py's own parser and the event.

    Without it, a partial MESSAGE_UPDATE ends the connection, and `set_guild_timeout` comes too late.
    """
    parsers = client._connection.parsers
    parsers[event] = partial(wrapper, parsers[event])


def wrap_parsers(client: discord.Client, wrapper: Callable[[str, Parser, Any], None], *, but: Collection[str]) -> None:
    """Have every gateway event but these read by `wrapper`, which gets the event's name too.

    Without it, one event that discord.py can't read ends the connection.
    """
    for event in client._connection.parsers.keys() - set(but):
        wrap_parser(client, event, partial(wrapper, event))


def set_guild_timeout(client: discord.Client, seconds: float) -> None:
    """Set how long discord.py waits for a further guild before it calls a client ready; it reads this after each guild.

    Without it, each start takes that long, even if no further guild is expected.
    """
    client._connection.guild_ready_timeout = seconds


def request_content(client: discord.Client) -> None:
    """Ask the gateway for the Message Content intent, from the next sign-in on.

    Without it, we would have to decide before `Client.login` learns from the application's flags whether we may.
    """
    client._connection._intents.message_content = True


def channel_of(client: discord.Client, data: dict[str, Any]) -> Any:
    """The channel that a message's payload names, also one that the gateway did not announce.

    Without it, we could not read a message from the REST API as one of the gateway: see `message_from`.
    """
    channel, _ = client._connection._get_guild_channel(data)  # type: ignore[arg-type]
    return channel


def message_from(client: discord.Client, channel: Any, data: dict[str, Any]) -> discord.Message:
    """Read a message's payload. Raises AttributeError, KeyError, TypeError or ValueError if discord.py can't read it.

    Without it, missed questions and partial edits need a reader of our own: fetch_message takes no payload.
    """
    return discord.Message(state=client._connection, channel=channel, data=data)  # type: ignore[arg-type]


def role_ids(user: discord.User | discord.Member) -> tuple[int, ...]:
    """The roles of a member; none for somebody who is not a member, or whose roles Discord does not send.

    Without it, the roles of a guild that is not known (yet) count for nothing: `Member.roles` leaves them out.
    """
    return tuple(getattr(user, "_roles", ()))
