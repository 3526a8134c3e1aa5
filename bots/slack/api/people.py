"""Looks up people and channels of the workspace: their names, and what people may change."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from cachetools import FIFOCache

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of, lasting
from bots.slack.api.workspace import PATIENCE, Identity
from core.domain.conversation import Author, Place, Rights
from core.domain.errors import PlatformError, SlowDown, UserError
from core.text import one_line

log = logging.getLogger(__name__)

T = TypeVar("T")

# How old a cached name may be, and how old cached rights.
NAMES_MAX_AGE_SECONDS = 3600.0
RIGHTS_MAX_AGE_SECONDS = 60.0
# Time before a failed lookup is tried again.
_RETRY_SECONDS = 30.0
# People or channels that are looked up for one message; the names of all others stay ids.
MAX_LOOKUPS = 20
# What people hear while Slack does not tell who they are: unknown is not yes.
UNKNOWN = "I can't find out right now what you may change here. Please try again in a minute."
# Entries that each cache keeps in memory.
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class _Shares:
    """How many lookups a minute each purpose may use up, together with those before it: a message full of names leaves
    some for finding out who asks, and that leaves some for rights."""

    names: int
    authors: int
    rights: int


# Slack allows 100 a minute (Tier 4) of users.info and 50 (Tier 3) of conversations.info, for all processes together.
_USERS, _CHANNELS = _Shares(30, 50, 80), _Shares(15, 15, 40)
_MINUTE_SECONDS = 60.0


class _Budget:
    """Counts the lookups of the last minute."""

    def __init__(self) -> None:
        self._calls: deque[float] = deque()
        self._held_until = -math.inf

    def take(self, share: int) -> bool:
        """Return whether one more lookup is within this share, and count it."""
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - _MINUTE_SECONDS:
            self._calls.popleft()
        if now < self._held_until or len(self._calls) >= share:
            return False
        self._calls.append(now)
        return True

    def hold(self, seconds: float) -> None:
        """Allow none for so long."""
        self._held_until = time.monotonic() + seconds


class _Cache(Generic[T]):
    """Values by key with their age. Concurrent requests for the same key share one lookup."""

    def __init__(self, look_up: Callable[[str], Awaitable[T]]) -> None:
        self._look_up = look_up
        self._budget = _Budget()
        self._known: FIFOCache[str, tuple[float, T]] = FIFOCache(_MAX_ENTRIES)
        self._failed: FIFOCache[str, float] = FIFOCache(_MAX_ENTRIES)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str, fresh: float, share: int, *, stale: bool = False) -> T | None:
        """Return a value at most `fresh` seconds old; failing that, None or, with `stale`, an older value."""
        lock = self._locks.setdefault(key, asyncio.Lock())  # disappears with its last waiter
        async with lock:
            now = time.monotonic()
            at, value = self._known.get(key, (-math.inf, None))
            if now - at < fresh:
                return value
            if now - self._failed.get(key, -math.inf) < _RETRY_SECONDS or not self._budget.take(share):
                return value if stale else None
            try:
                found = await self._look_up(key)
            except PlatformError as error:
                log.warning("Slack: a lookup failed: %s: %s", type(error).__name__, error)
                if isinstance(error, SlowDown):
                    self._budget.hold(error.retry_after)
                self._failed[key] = now
                return value if stale else None
            self._failed.pop(key, None)
            self._known[key] = now, found
            return found

    def known(self, key: str, fresh: float = math.inf) -> T | None:
        """Return the most recent value, None if there never was one or it is older than `fresh` seconds."""
        at, value = self._known.get(key, (-math.inf, None))
        return value if time.monotonic() - at < fresh else None


class People:
    """Looks people up. `managers`: the words of SLACK_MANAGERS. `patience`: how long a lookup may delay a question."""

    def __init__(self, web: Web, managers: Iterable[str], patience: float = PATIENCE.names) -> None:
        self._web = web
        self._patience = patience
        self._managers = {word.lower() for word in managers}
        self._users = _Cache(self._user)
        self._channels = _Cache(self._channel)

    async def names(self, users: Iterable[str], channels: Iterable[str] = ()) -> dict[str, str]:
        """Return names by id, without those that don't arrive in time and those after the first `MAX_LOOKUPS`."""
        users, channels = dict.fromkeys(users), dict.fromkeys(channels)
        found = _named(self._users, users) | _named(self._channels, channels)
        wanted = [(key, self._users, _USERS.names) for key in users if key not in found]
        wanted += [(key, self._channels, _CHANNELS.names) for key in channels if key not in found]
        await self._find(wanted[:MAX_LOOKUPS], found)
        return found

    async def author(self, me: Identity, user: str, name: str = "", teams: Iterable[str] = ()) -> Author:
        """Return a person with the name that others see, or `name` if the lookup takes too long. `teams`: the person's
        workspaces, according to the event. Without any word of Slack's, a person is an external one."""
        found = _named(self._users, (user,))
        if not found:
            await self._find([(user, self._users, _USERS.authors)], found)
        person = self._users.known(user) or {}
        return Author(user, found.get(user) or name or user, external=_external(person, teams, me))

    async def _find(
        self, wanted: Collection[tuple[str, _Cache[Mapping[str, Any]], int]], found: dict[str, str]
    ) -> None:
        async def find(key: str, cache: _Cache[Mapping[str, Any]], share: int) -> None:
            if name := _name(await cache.get(key, NAMES_MAX_AGE_SECONDS, share, stale=True) or {}):
                found[key] = name

        try:
            async with asyncio.timeout(self._patience), asyncio.TaskGroup() as group:
                for each in wanted:
                    group.create_task(find(*each))
        except TimeoutError:
            log.warning("Slack did not return all of %d names in time", len(wanted))

    async def is_human(self, user: str) -> bool:
        """Return whether Slack says that this is a person and no bot."""
        person = await self._users.get(user, NAMES_MAX_AGE_SECONDS, _USERS.authors) or {}
        return person.get("is_bot") is False

    async def rights(self, me: Identity, user: str, place: Place) -> Rights:
        """Return what this person may change in this place.

        Admins and creators count if they are members of ours. Raises UserError if Slack does not say who they are, and
        nothing else gives this person rights.
        """
        person: Mapping[str, Any] | None = {}
        if self._managers & {"admins", "creators"}:
            person = await self._users.get(user, RIGHTS_MAX_AGE_SECONDS, _USERS.rights)
        ours = bool(person) and not _external(person or {}, (), me)
        flags = ("is_admin", "is_owner", "is_primary_owner") if "admins" in self._managers and ours else ()
        if any((person or {}).get(flag) is True for flag in flags):
            return Rights.WORKSPACE
        if place.direct or self._managers & {"everyone", user.lower()}:
            return Rights.CHANNEL
        unknown = person is None
        if "creators" in self._managers and ours:
            channel = await self._channels.get(place.channel, RIGHTS_MAX_AGE_SECONDS, _CHANNELS.rights)
            unknown = channel is None
            if channel and channel.get("creator") == user:
                return Rights.CHANNEL
        if unknown:
            raise UserError(UNKNOWN)
        return Rights.NONE

    async def absent(self, channel: str) -> bool:
        """Return whether the bot is missing from this conversation. Never cached: it may have just been invited."""
        try:
            info = await self._channel(channel)
        except PlatformError as error:
            return code_of(error) in ("channel_not_found", "not_in_channel")
        return info.get("is_member") is False and not (info.get("is_im") or info.get("is_mpim"))

    async def _user(self, user: str) -> Mapping[str, Any]:
        return await self._object("user", self._web.client.users_info(user=user))

    async def _channel(self, channel: str) -> Mapping[str, Any]:
        return await self._object("channel", self._web.client.conversations_info(channel=channel))

    async def _object(self, field: str, call: Awaitable[Any]) -> Mapping[str, Any]:
        """Return what Slack says; nothing if the app may not ask, as trying again would not help."""
        try:
            return _object((await self._web.call(call)).get(field))
        except PlatformError as error:
            if not lasting(error):
                raise
            log.warning("Slack: can't look up a %s: %s", field, error)
            return {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _external(person: Mapping[str, Any], teams: Iterable[str], me: Identity) -> bool:
    """Return whether somebody belongs to another organization (docs.slack.dev/apis/slack-connect: `team_id` differs, or
    `is_stranger` is set), or to none that we know. Workspaces of one Enterprise organization are not external to each
    other; guests are ours."""
    if person.get("is_stranger"):
        return True
    enterprise = _object(person.get("enterprise_user")).get("enterprise_id")
    if me.enterprise and enterprise == me.enterprise:
        return False
    found = {*teams, str(person.get("team_id") or "")} - {""}
    return not found or not found <= {me.team, me.enterprise}


def _named(cache: _Cache[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, str]:
    """Return the names that are known and not old."""
    return {key: name for key in keys if (name := _name(cache.known(key, NAMES_MAX_AGE_SECONDS) or {}))}


def _name(entry: Mapping[str, Any]) -> str:
    """Return the name that people see: a person's display name or else full name, or a channel's name."""
    profile = _object(entry.get("profile"))
    found = profile.get("display_name") or profile.get("real_name") or entry.get("real_name") or entry.get("name")
    return one_line(str(found or ""))
