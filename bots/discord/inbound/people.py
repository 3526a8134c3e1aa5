"""Who somebody is and what they may change, from what Discord sends with every message and command."""

from collections.abc import Collection

import discord

from core.domain.conversation import Author, Rights

EVERYONE = "everyone"


def author_of(user: discord.User | discord.Member) -> Author:
    """A person by the name that the others in the room see, and with the roles they hold in the guild."""
    return Author(str(user.id), user.display_name, roles_of(user))


def roles_of(user: discord.User | discord.Member) -> tuple[str, ...]:
    """The ids of somebody's roles, @everyone left out; none for somebody who is no member, or of whom Discord does not
    tell it. discord.py's own list leaves out the roles of a guild that is not known (yet)."""
    return tuple(str(role) for role in getattr(user, "_roles", ()))


def rights_of(
    user: discord.User | discord.Member, permissions: discord.Permissions, managers: Collection[str], *, direct: bool
) -> Rights:
    """What somebody with these permissions in a channel may change there; in a direct message all is their own.

    `managers`: names of permissions, ids of roles or people, `everyone`.
    """
    if direct:
        return Rights.CHANNEL
    if permissions.administrator or permissions.manage_guild:
        return Rights.WORKSPACE
    held = {EVERYONE, str(user.id), *roles_of(user)}
    held |= {name for name, given in permissions if given}
    return Rights.CHANNEL if held & set(managers) else Rights.NONE


def permissions_in(message: discord.Message) -> discord.Permissions:
    """The author's permissions where a message stands; none where the guild is not known (yet)."""
    member = message.author
    if not isinstance(member, discord.Member):
        return discord.Permissions.none()
    try:
        return message.channel.permissions_for(member)
    except discord.ClientException:  # a thread whose parent is not known
        return member.guild_permissions
