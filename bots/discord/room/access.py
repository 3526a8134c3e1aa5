"""What Discord says now about a channel: whether somebody may read it, where what is unknown is not yes."""

import asyncio
from collections.abc import Iterable
from typing import Any

import discord

from bots.discord.api.rest import Rest
from bots.discord.room.history import History
from bots.discord.room.said import Json
from core.domain.errors import Forbidden, Gone, Rejected

_NEEDED = discord.Permissions(view_channel=True, read_message_history=True).value
_CONNECT = discord.Permissions(connect=True).value
_ALL = discord.Permissions(administrator=True).value
# Types of channels (docs.discord.com, Channel Types): those with voice need one permission more. A private thread is
# for those who are in it, whom we don't look up.
_VOICE, _OPEN_THREADS, _CLOSED_THREAD, _FORUMS = (2, 13), (10, 11), 12, (15, 16)
_REFUSED = (Forbidden, Gone, Rejected)
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_MEMBER = 1  # the type of an overwrite for a person


class Access:
    """Looks up channels, roles and members."""

    def __init__(self, rest: Rest, history: History) -> None:
        self._rest, self._history = rest, history

    async def may_read(self, person: str, guild: str, channel: str) -> bool:
        """Whether a person may read a channel's history. Raises PlatformError if Discord does not answer."""
        try:
            async with asyncio.TaskGroup() as group:
                place = group.create_task(self._place(channel))
                server = group.create_task(self._history.look(lambda: self._rest.guild(guild)))
                member = group.create_task(self._history.look(lambda: self._rest.member(guild, person)))
        except BaseExceptionGroup as failures:
            error = failures.exceptions[0]
            if isinstance(error, _REFUSED):
                return False
            raise error from None
        try:
            return _may_read(person, guild, place.result(), server.result(), member.result())
        except _MALFORMED:
            return False

    async def is_forum(self, channel: str) -> bool:
        """Whether each thread of a channel is a post. Raises PlatformError."""
        place = await self._history.look(lambda: self._rest.channel(channel))
        return place.get("type") in _FORUMS

    async def _place(self, channel: str) -> Json:
        """The channel whose overwrites count: for a thread its parent."""
        place = await self._history.look(lambda: self._rest.channel(channel))
        if place.get("type") in _OPEN_THREADS:
            return await self._history.look(lambda: self._rest.channel(str(place.get("parent_id"))))
        return place


def _may_read(person: str, guild: str, place: Json, server: Json, member: Json) -> bool:
    """Computes permissions as docs.discord.com, Permissions, Permission Overwrites."""
    if str(place["guild_id"]) != guild or place["type"] == _CLOSED_THREAD:
        return False
    if str(server["owner_id"]) == person:
        return True
    held = {str(role) for role in member["roles"]}
    given = {str(role["id"]): int(role["permissions"]) for role in server["roles"]}
    allowed = given[guild]  # @everyone has the guild's own id
    for role in held & given.keys():
        allowed |= given[role]
    if allowed & _ALL:
        return True
    rules: list[Any] = place["permission_overwrites"]
    everybody = [rule for rule in rules if str(rule["id"]) == guild]
    roles = [rule for rule in rules if rule["type"] != _MEMBER and str(rule["id"]) in held]
    own = [rule for rule in rules if rule["type"] == _MEMBER and str(rule["id"]) == person]
    for group in (everybody, roles, own):
        allowed = allowed & ~_sum(group, "deny") | _sum(group, "allow")
    needed = _NEEDED | (_CONNECT if place["type"] in _VOICE else 0)
    return allowed & needed == needed


def _sum(rules: Iterable[Json], name: str) -> int:
    bits = 0
    for rule in rules:
        bits |= int(rule[name])
    return bits
