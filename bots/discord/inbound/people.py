"""Who somebody is and what they may change, from what Discord sends with every message and command."""

from collections.abc import Collection

import discord

from bots.discord.api.private_api import role_ids
from core.domain.conversation import Author, Rights

EVERYONE = "everyone"


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

    `managers`: names of permissions, ids of roles or people, or `everyone`.
    """
    if direct:
        return Rights.CHANNEL
    if permissions.administrator or permissions.manage_guild:
        return Rights.WORKSPACE
    held = {EVERYONE, str(user.id), *roles_of(user)}
    held |= {name for name, given in permissions if given}
    return Rights.CHANNEL if held & set(managers) else Rights.NONE


def permissions_in(message: discord.Message) -> discord.Permissions:
    """The author's permissions in the message's channel; none if the guild is not known (yet)."""
    member = message.author
    if not isinstance(member, discord.Member):
        return discord.Permissions.none()
    try:
        return message.channel.permissions_for(member)
    except discord.ClientException:  # a thread whose parent is unknown
        return member.guild_permissions
