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

    def known(self, message: discord.Message) -> Place | None:
        """The same, of what is known without a question to Discord; None for anything else."""
        channel = message.channel
        if isinstance(channel, discord.DMChannel | discord.PartialMessageable) or not channel.guild:
            return None
        if not isinstance(channel, discord.Thread):
            return Place(NAME, str(channel.guild.id), str(channel.id))
        parent = str(channel.parent_id or "") or self._parents.get(channel.id, "")
        return Place(NAME, str(channel.guild.id), parent, str(channel.id)) if parent else None

    async def of_interaction(self, interaction: discord.Interaction) -> Place:
        """Where a command was used. Raises PlatformError, also if the person's roles in the guild are not known."""
        channel = interaction.channel
        if channel is None:
            raise Unreachable("an interaction whose channel is not known")
        if interaction.guild_id is not None and not isinstance(interaction.user, discord.Member):
            raise Unreachable("an interaction in a guild without a member")  # their roles are not known
        if is_visiting(interaction):
            return _visited(interaction, channel)
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


def is_visiting(interaction: discord.Interaction) -> bool:
    """Whether the app is where it was used only because a person added it to their account: in a guild without the bot,
    or in a conversation of people (docs.discord.com, Authorizing Integration Owners Object)."""
    if interaction.guild_id is None:
        return bool(interaction.context.private_channel)
    return interaction.is_user_integration() and not interaction.is_guild_integration()


def _visited(interaction: discord.Interaction, channel: object) -> Place:
    """Such a place, from what Discord sent alone: it would tell us no more. Raises Unreachable."""
    number = str(getattr(channel, "id", ""))
    guild = NO_GUILD if interaction.guild_id is None else str(interaction.guild_id)
    if not isinstance(channel, discord.Thread):
        return Place(NAME, guild, number, visiting=True)
    if not channel.parent_id:
        raise Unreachable("Discord does not say which channel a thread belongs to")
    return Place(NAME, guild, str(channel.parent_id), number, visiting=True)


def place_of_button(conversation: Conversation, guild: int | None) -> Place | None:
    """The place that a button under one of our replies names, for an interaction without a channel.

    None if the button is of another guild, or not of ours.
    """
    _, workspace, channel, *thread = (*conversation.scope.split("/"), "", "")
    # Where the bot only visits, this can't be told from the id of the guild.
    if not channel or workspace != (NO_GUILD if guild is None else str(guild)):
        return None
    return Place(NAME, workspace, channel, "".join(thread), direct=guild is None)
