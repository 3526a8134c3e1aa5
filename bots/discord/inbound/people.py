"""Who somebody is and what they may change, from what Discord sends with every message and command."""

from collections.abc import Collection
from typing import Any

import discord
from cachetools import TTLCache

from bots.discord.api.private_api import role_ids
from bots.discord.api.rest import Rest
from bots.discord.inbound import channels
from core.commands.responses import RightsOf
from core.domain.conversation import Author, Place, Rights
from core.domain.errors import Gone
from core.domain.retry import backoff, retried

EVERYONE = "everyone"
UNCLEAR = "Discord doesn't tell me right now where this was written, or by whom. Please try again in a minute."
# Permissions that the overwrites of a channel can't take away.
_GUILD_WIDE = discord.Permissions(manage_guild=True)
_REMEMBERED, _REMEMBERED_SECONDS = 1000, 60.0


class Members:
    """Looks up people as members of guilds where Discord did not send that, and remembers them for a minute.

    Roles that are unknown are not "no roles": somebody whom an access list denies by a role would get past it.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._known: TTLCache[tuple[str, str], dict[str, Any]] = TTLCache(_REMEMBERED, _REMEMBERED_SECONDS)

    async def author(self, message: discord.Message) -> Author:
        """The author of a message with their roles. Raises PlatformError."""
        user, guild = message.author, getattr(message.channel, "guild", None)
        number = guild.id if guild else getattr(message.channel, "guild_id", None)
        if number is None or isinstance(user, discord.Member):
            return author_of(user)
        member = await self.member(str(number), str(user.id))
        name = member.get("nick") or user.display_name
        return Author(str(user.id), str(name), tuple(str(role) for role in member["roles"]))

    async def member(self, guild: str, person: str) -> dict[str, Any]:
        """A person as a member of a guild, in Discord's format; without roles if they have left.

        Raises PlatformError.
        """
        key = guild, person
        if (found := self._known.get(key)) is None:
            pauses = backoff(channels.FIRST_PAUSE_SECONDS, channels.LONGEST_PAUSE_SECONDS)
            try:
                found = await retried(
                    lambda: self._rest.member(guild, person),
                    pauses,
                    longest=channels.LONGEST_PAUSE_SECONDS,
                    within=channels.LOOKUP_SECONDS,
                )
            except Gone:
                found = {"roles": [], "flags": 0, "joined_at": None}
            self._known[key] = found
        return found


def names_of(resolved: Any) -> dict[str, str]:
    """The names of people by id, from what Discord resolved for an interaction; nicknames go before names."""
    found: dict[str, str] = {}
    users, members = ((resolved or {}).get(kind) or {} for kind in ("users", "members"))
    for person, user in users.items():
        member, user = members.get(person) or {}, user or {}
        name = member.get("nick") or user.get("global_name") or user.get("username")
        if name:
            found[str(person)] = str(name)
    return found


def author_of(user: discord.User | discord.Member) -> Author:
    """The person, with the name that others in the channel see and the roles they hold in the guild."""
    return Author(str(user.id), user.display_name, roles_of(user))


def roles_of(user: discord.User | discord.Member) -> tuple[str, ...]:
    """The ids of somebody's roles without @everyone; none if they are not a member, or their roles are unknown."""
    return tuple(str(role) for role in role_ids(user))


def rights_of(
    user: discord.User | discord.Member, permissions: discord.Permissions, managers: Collection[str], *, direct: bool
) -> Rights:
    """What somebody with these permissions may change in a channel; in direct messages they may change everything.

    `managers`: names of permissions, ids of roles or people, or `everyone`. Nobody else may change anything. Of these,
    only people who may manage the guild change what applies to all of it.
    """
    if direct:
        return Rights.CHANNEL
    held = {EVERYONE, str(user.id), *roles_of(user)}
    held |= {name for name, given in permissions if given}
    if not held & set(managers):
        return Rights.NONE
    return Rights.WORKSPACE if permissions.administrator or permissions.manage_guild else Rights.CHANNEL


def rights_in(interaction: discord.Interaction, managers: Collection[str]) -> RightsOf:
    """What whoever used a command or a button may change there: nothing where they alone brought the app along."""

    async def rights() -> Rights:
        if channels.is_visiting(interaction):
            return Rights.NONE
        direct = interaction.guild_id is None
        return rights_of(interaction.user, interaction.permissions, managers, direct=direct)

    return rights


def permissions_in(message: discord.Message, place: Place) -> discord.Permissions:
    """The author's permissions in the message's channel; none if the guild is not known (yet).

    Where only the channel is not known, none but those that no channel can take away.
    """
    member, guild = message.author, message.guild
    if not isinstance(member, discord.Member) or guild is None:
        return discord.Permissions.none()
    channel = guild.get_channel(int(place.channel))  # the parent, for a thread
    if channel is not None:
        return channel.permissions_for(member)
    held = member.guild_permissions
    return held if held.administrator else discord.Permissions(held.value & _GUILD_WIDE.value)
