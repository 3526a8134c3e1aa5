"""Maps Discord channels to Places."""

import discord
from cachetools import FIFOCache

from bots.discord.api.names import NAME, NO_GUILD
from bots.discord.api.rest import Rest
from core.domain.conversation import Place
from core.domain.errors import PlatformError

_REMEMBERED = 10_000


class Places:
    """Finds the Place of a message, command or channel, also in a thread that the gateway did not announce."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._parents: FIFOCache[int, str] = FIFOCache(_REMEMBERED)

    async def of_message(self, message: discord.Message) -> Place:
        """Where a message is."""
        channel = message.channel
        if isinstance(channel, discord.DMChannel):
            return Place(NAME, NO_GUILD, str(channel.id), direct=True)
        guild = channel.guild.id if channel.guild else getattr(channel, "guild_id", None)
        return await self._in_guild(channel, str(guild))

    async def of_interaction(self, interaction: discord.Interaction) -> Place | None:
        """Where a command was used; None if Discord does not say."""
        channel = interaction.channel
        if channel is None:
            return None
        if interaction.guild_id is None:
            return Place(NAME, NO_GUILD, str(channel.id), direct=True)
        return await self._in_guild(channel, str(interaction.guild_id))

    async def of_channel(self, client: discord.Client, channel: int, guild: int | None) -> Place:
        """A channel of which only the ids are known; without a guild it holds direct messages."""
        if guild is None:
            return Place(NAME, NO_GUILD, str(channel), direct=True)
        known = client.get_channel(channel) or client.get_partial_messageable(channel, guild_id=guild)
        return await self._in_guild(known, str(guild))

    async def _in_guild(self, channel: object, guild: str) -> Place:
        if isinstance(channel, discord.Thread):
            return Place(NAME, guild, str(channel.parent_id), str(channel.id))
        name = getattr(channel, "id", 0)
        parent = await self._parent(name) if isinstance(channel, discord.PartialMessageable) else ""
        return Place(NAME, guild, parent, str(name)) if parent else Place(NAME, guild, str(name))

    async def _parent(self, channel: int) -> str:
        """The parent of a channel that is not in the cache: an old thread, or any channel during an outage."""
        if channel not in self._parents:
            try:
                parent = await self._rest.parent(str(channel))
            except PlatformError:
                return ""
            self._parents[channel] = parent
        return self._parents[channel]
