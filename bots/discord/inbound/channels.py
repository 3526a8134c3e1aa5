"""Maps Discord channels to Places."""

import discord
from cachetools import FIFOCache

from bots.discord.api.names import NAME, NO_GUILD
from bots.discord.api.rest import Rest
from core.domain.conversation import Conversation, Place
from core.domain.errors import Unreachable
from core.domain.retry import backoff, retried

_REMEMBERED = 10_000
# How long to try to find out what Discord did not send with an event, and the pauses between attempts.
LOOKUP_SECONDS = 15.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0


class Places:
    """Finds the Place of a message, command or channel, also in a thread that the gateway did not announce.

    A thread whose parent is unknown is in no Place: as a channel of its own it would get past the access lists, and
    have another history. All methods that say so raise PlatformError.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._parents: FIFOCache[int, str] = FIFOCache(_REMEMBERED)

    async def of_message(self, message: discord.Message) -> Place:
        """Where a message is. Raises PlatformError."""
        channel = message.channel
        if isinstance(channel, discord.DMChannel):
            return Place(NAME, NO_GUILD, str(channel.id), direct=True)
        guild = channel.guild.id if channel.guild else getattr(channel, "guild_id", None)
        if guild is None:
            raise Unreachable(f"channel {channel.id} is in no guild and holds no direct messages")
        return await self._in_guild(channel, str(guild))

    async def of_interaction(self, interaction: discord.Interaction) -> Place:
        """Where a command was used. Raises PlatformError."""
        channel = interaction.channel
        if channel is None:
            raise Unreachable("an interaction whose channel is not known")
        if interaction.guild_id is None:
            return Place(NAME, NO_GUILD, str(channel.id), direct=True)
        return await self._in_guild(channel, str(interaction.guild_id))

    async def of_channel(self, client: discord.Client, channel: int, guild: int | None) -> Place:
        """A channel of which only the ids are known; without a guild it holds direct messages. Raises PlatformError."""
        if guild is None:
            return Place(NAME, NO_GUILD, str(channel), direct=True)
        known = client.get_channel(channel) or client.get_partial_messageable(channel, guild_id=guild)
        return await self._in_guild(known, str(guild))

    async def _in_guild(self, channel: object, guild: str) -> Place:
        number = int(getattr(channel, "id", 0))
        thread = isinstance(channel, discord.Thread)
        parent = str(getattr(channel, "parent_id", None) or "") if thread else ""
        if not parent and (thread or isinstance(channel, discord.PartialMessageable)):
            parent = await self._parent(number)
        return Place(NAME, guild, parent, str(number)) if parent else Place(NAME, guild, str(number))

    async def _parent(self, channel: int) -> str:
        """The parent of a channel that is not in the cache: an old thread, or any channel during an outage."""
        if channel not in self._parents:
            pauses = backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            self._parents[channel] = await retried(
                lambda: self._rest.parent(str(channel)), pauses, longest=LONGEST_PAUSE_SECONDS, within=LOOKUP_SECONDS
            )
        return self._parents[channel]


def place_of_button(conversation: Conversation, guild: int | None) -> Place | None:
    """The place that a button under one of our replies names, for an interaction without a channel.

    None if the button is of another guild.
    """
    _, workspace, channel, *thread = conversation.scope.split("/")
    if workspace != (NO_GUILD if guild is None else str(guild)):
        return None
    return Place(NAME, workspace, channel, "".join(thread), direct=guild is None)
