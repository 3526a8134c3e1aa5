"""Looks up people and channels of the workspace: their names, and what people may change."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of, lasting
from bots.slack.api.lookups import CallBudget, Lookups, Starter
from bots.slack.api.workspace import PATIENCE, Identity, Patience
from core.awake import awake
from core.domain.conversation import Author, Place, Rights
from core.domain.errors import PlatformError, UserError
from core.ratelimit.shared import SharedRateLimit
from core.text import one_line

log = logging.getLogger(__name__)

# How old a cached name may be, and how old cached rights.
NAMES_MAX_AGE_SECONDS = 3600.0
RIGHTS_MAX_AGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Shares:
    """How many calls each purpose may use up, together with those before it: a message full of names leaves some for
    finding out who asks, and that leaves some for rights."""

    names: int
    authors: int
    rights: int


# Slack allows 100 a minute (Tier 4) of users.info and 50 (Tier 3) of conversations.info, for all processes together
# (docs.slack.dev/apis/web-api/rate-limits).
USERS, CHANNELS = _Shares(40, 75, 95), _Shares(15, 30, 45)
# People or channels that are looked up for one message; the names of all others stay ids.
MAX_LOOKUPS = 20
# What people hear while Slack does not tell who they are: unknown is not yes.
UNKNOWN = "I can't find out right now what you may change here. Please try again in a minute."
# Where users, the profiles in them or in events, and channels have their names, the best first.
_NAMES = ("display_name", "real_name", "name")


class People:
    """Looks people up. Nothing here delays a question for longer than its patience: what Slack has not said by then is
    an older name, the event's own, or the id; and nobody has rights that are not known."""

    def __init__(
        self,
        web: Web,
        me: Identity,
        rate_limits: SharedRateLimit,
        start: Starter,
        managers: Iterable[str] = (),
        patience: Patience = PATIENCE,
    ) -> None:
        """`rate_limits`: counts the lookups of all processes. `start`: runs those that nobody waits for any more.
        `managers`: the words of SLACK_MANAGERS."""
        self._web, self._me, self._patience = web, me, patience
        self._managers = {word.lower() for word in managers}
        of_users = CallBudget(rate_limits, f"slack/{me.team}/users.info", USERS.rights)
        self._of_channels = CallBudget(rate_limits, f"slack/{me.team}/conversations.info", CHANNELS.rights)
        self._users = Lookups(self._user, of_users, start)
        self._channels = Lookups(self._channel, self._of_channels, start)

    async def names(self, users: Iterable[str], channels: Iterable[str] = ()) -> dict[str, str]:
        """Return names by id, without those that don't arrive in time and those after the first `MAX_LOOKUPS`."""
        asked = [(key, self._users, USERS.names) for key in dict.fromkeys(users)]
        asked += [(key, self._channels, CHANNELS.names) for key in dict.fromkeys(channels)]
        await self._refresh(asked)
        return {key: name for key, kept, _ in asked if (name := shown_name(kept.known(key) or {}))}

    async def author(self, user: str, name: str = "", teams: Iterable[str] = ()) -> Author:
        """Return a person with the name that others see, or `name` if the lookup takes too long. `teams`: the person's
        workspaces, according to the event. Without any word of Slack's, a person is an external one."""
        await self._refresh([(user, self._users, USERS.authors)])
        person = self._users.known(user) or {}
        return Author(user, shown_name(person) or name or user, external=_external(person, teams, self._me))

    async def _refresh(self, asked: Sequence[tuple[str, Lookups[Mapping[str, Any]], int]]) -> None:
        """Look up those whose names are not known or old, within the patience."""
        old = [each for each in asked if each[1].known(each[0], NAMES_MAX_AGE_SECONDS) is None][:MAX_LOOKUPS]
        try:
            async with awake(self._patience.names), asyncio.TaskGroup() as group:
                for key, kept, most in old:
                    group.create_task(kept.get(key, NAMES_MAX_AGE_SECONDS, most))
        except TimeoutError:
            log.warning("Slack did not return all of %d names in time", len(old))

    async def is_human(self, user: str) -> bool:
        """Return whether Slack says that this is a person and no bot."""
        person = await self._users.get(user, NAMES_MAX_AGE_SECONDS, USERS.authors) or {}
        return person.get("is_bot") is False

    async def may_read(self, users: Iterable[str], channel: str) -> bool:
        """Return whether Slack says that these people may read this channel: all are full members of the workspace, and
        it is a public channel, which we are in. What is unknown is not yes."""
        info, *people = await asyncio.gather(
            self._channels.get(channel, RIGHTS_MAX_AGE_SECONDS, CHANNELS.authors),
            *(self._users.get(user, NAMES_MAX_AGE_SECONDS, USERS.authors) for user in dict.fromkeys(users)),
        )
        public = info and info.get("is_channel") is True and info.get("is_private") is False
        return bool(public and info and info.get("is_member") is True) and all(map(self._full_member, people))

    def _full_member(self, person: Mapping[str, Any] | None) -> bool:
        limited = ("is_restricted", "is_ultra_restricted", "is_bot", "deleted")
        return (
            bool(person)
            and not _external(person or {}, (), self._me)
            and all((person or {}).get(each) is False for each in limited)
        )

    async def rights(self, user: str, place: Place) -> Rights:
        """Return what this person may change in this place.

        Admins and creators count if they are members of ours. Raises UserError if Slack does not say in time who they
        are, and nothing else gives this person rights.
        """
        person: Mapping[str, Any] | None = {}
        if self._managers & {"admins", "creators"}:
            person = await self._current(self._users, user, USERS.rights)
        ours = bool(person) and not _external(person or {}, (), self._me)
        flags = ("is_admin", "is_owner", "is_primary_owner") if "admins" in self._managers and ours else ()
        if any((person or {}).get(flag) is True for flag in flags):
            return Rights.WORKSPACE
        if place.direct or self._managers & {"everyone", user.lower()}:
            return Rights.CHANNEL
        unknown = person is None
        if "creators" in self._managers and ours:
            channel = await self._current(self._channels, place.channel, CHANNELS.rights)
            unknown = channel is None
            if channel and channel.get("creator") == user:
                return Rights.CHANNEL
        if unknown:
            raise UserError(UNKNOWN)
        return Rights.NONE

    async def _current(self, kept: Lookups[Mapping[str, Any]], key: str, most: int) -> Mapping[str, Any] | None:
        try:
            async with awake(self._patience.rights):
                return await kept.get(key, RIGHTS_MAX_AGE_SECONDS, most)
        except TimeoutError:
            log.warning("Slack did not return in time what somebody may change")
            return None

    async def absent(self, channel: str) -> bool | None:
        """Return whether the bot is missing from this conversation, None if Slack does not say so in time. Never
        cached: it may have just been invited."""
        try:
            async with awake(self._patience.names):
                info = await self._of_channels.call(CHANNELS.authors, lambda: self._channel(channel))
        except TimeoutError:
            return None
        except PlatformError as error:
            return True if code_of(error) in ("channel_not_found", "not_in_channel") else None
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


def shown_name(entry: Mapping[str, Any]) -> str:
    """Return the name that people see: a person's display name or else full name, or a channel's name."""
    names = (part.get(field) for part in (_object(entry.get("profile")), entry) for field in _NAMES)
    return one_line(str(next(filter(None, names), "")))
