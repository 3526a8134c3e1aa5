"""Looks up people and channels of the workspace: their names, and what people may change."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from cachetools import FIFOCache

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of
from bots.slack.api.identity import Identity
from bots.slack.api.patience import PATIENCE
from core.domain.conversation import Author, Place, Rights
from core.domain.errors import PlatformError

log = logging.getLogger(__name__)

T = TypeVar("T")

# How old a cached name may be, and how old cached rights.
NAMES_MAX_AGE_SECONDS = 3600.0
RIGHTS_MAX_AGE_SECONDS = 60.0
# Time before a failed lookup is tried again.
_RETRY_SECONDS = 30.0
# Entries that each cache keeps in memory.
_MAX_ENTRIES = 10_000


class _Cache(Generic[T]):
    """Values by key with their age. Concurrent requests for the same key share one lookup."""

    def __init__(self, look_up: Callable[[str], Awaitable[T]]) -> None:
        self._look_up = look_up
        self._known: FIFOCache[str, tuple[float, T]] = FIFOCache(_MAX_ENTRIES)
        self._failed: FIFOCache[str, float] = FIFOCache(_MAX_ENTRIES)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str, fresh: float, *, stale: bool = False) -> T | None:
        """Return a value at most `fresh` seconds old; failing that, None or, with `stale`, an older value."""
        lock = self._locks.setdefault(key, asyncio.Lock())  # disappears with its last waiter
        async with lock:
            now = time.monotonic()
            at, value = self._known.get(key, (-math.inf, None))
            if now - at < fresh:
                return value
            if now - self._failed.get(key, -math.inf) < _RETRY_SECONDS:
                return value if stale else None
            try:
                found = await self._look_up(key)
            except PlatformError as error:
                log.warning("Slack: a lookup failed: %s: %s", type(error).__name__, error)
                self._failed[key] = now
                return value if stale else None
            self._failed.pop(key, None)
            self._known[key] = now, found
            return found

    def known(self, key: str) -> T | None:
        """Return the most recent value, None if there never was one."""
        return self._known[key][1] if key in self._known else None


class People:
    """Looks people up. `managers`: the words of SLACK_MANAGERS. `patience`: how long a lookup may delay a question."""

    def __init__(self, web: Web, managers: Iterable[str], patience: float = PATIENCE.names) -> None:
        self._web = web
        self._patience = patience
        self._managers = {word.lower() for word in managers}
        self._users = _Cache(self._user)
        self._channels = _Cache(self._channel)

    async def names(self, users: Iterable[str], channels: Iterable[str] = ()) -> dict[str, str]:
        """Return names by id, without those that don't arrive in time."""
        wanted = [(key, self._users) for key in set(users)] + [(key, self._channels) for key in set(channels)]
        found: dict[str, str] = {}

        async def find(key: str, cache: _Cache[Mapping[str, Any]]) -> None:
            if name := _name(await cache.get(key, NAMES_MAX_AGE_SECONDS, stale=True) or {}):
                found[key] = name

        try:
            async with asyncio.timeout(self._patience), asyncio.TaskGroup() as group:
                for key, cache in wanted:
                    group.create_task(find(key, cache))
        except TimeoutError:
            log.warning("Slack did not return %d names in time", len(wanted) - len(found))
        return found

    async def author(self, me: Identity, user: str, name: str = "", teams: Iterable[str] = ()) -> Author:
        """Return a person with the name that others see, or `name` if the lookup takes too long. `teams`: the person's
        workspaces, according to the event."""
        names = await self.names([user])
        person = self._users.known(user) or {}
        return Author(user, names.get(user) or name or user, external=_external(person, teams, me))

    async def rights(self, user: str, place: Place) -> Rights:
        """Return what this person may change in this place. If Slack gives no information, nothing is granted."""
        if "admins" in self._managers:
            person = await self._users.get(user, RIGHTS_MAX_AGE_SECONDS) or {}
            if any(person.get(flag) for flag in ("is_admin", "is_owner", "is_primary_owner")):
                return Rights.WORKSPACE
        if place.direct or self._managers & {"everyone", user.lower()}:
            return Rights.CHANNEL
        if "creators" in self._managers:
            channel = await self._channels.get(place.channel, RIGHTS_MAX_AGE_SECONDS) or {}
            if channel.get("creator") == user:
                return Rights.CHANNEL
        return Rights.NONE

    async def absent(self, channel: str) -> bool:
        """Return whether the bot is missing from this conversation. Never cached: it may have just been invited."""
        try:
            info = await self._channel(channel)
        except PlatformError as error:
            return code_of(error) in ("channel_not_found", "not_in_channel")
        return info.get("is_member") is False and not (info.get("is_im") or info.get("is_mpim"))

    async def _user(self, user: str) -> Mapping[str, Any]:
        answer = await self._web.call(self._web.client.users_info(user=user))
        return _object(answer.get("user"))

    async def _channel(self, channel: str) -> Mapping[str, Any]:
        answer = await self._web.call(self._web.client.conversations_info(channel=channel))
        return _object(answer.get("channel"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _external(person: Mapping[str, Any], teams: Iterable[str], me: Identity) -> bool:
    """Return whether somebody belongs to another organization (docs.slack.dev/apis/slack-connect: `team_id` differs, or
    `is_stranger` is set). Workspaces of one Enterprise organization are not external to each other; guests are ours."""
    if person.get("is_stranger"):
        return True
    enterprise = _object(person.get("enterprise_user")).get("enterprise_id")
    if me.enterprise and enterprise == me.enterprise:
        return False
    return bool({*teams, str(person.get("team_id") or "")} - {"", me.team, me.enterprise})


def _name(entry: Mapping[str, Any]) -> str:
    """Return the name that people see: a person's display name or else full name, or a channel's name."""
    profile = _object(entry.get("profile"))
    found = profile.get("display_name") or profile.get("real_name") or entry.get("real_name") or entry.get("name")
    return str(found or "").strip()
