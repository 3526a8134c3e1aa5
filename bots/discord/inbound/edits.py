"""Passes changed and deleted messages to the core, each change once."""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import discord
from cachetools import FIFOCache

from bots.discord.api.private_api import channel_of, message_from
from bots.discord.api.rest import Rest
from bots.discord.inbound.channels import Places
from bots.discord.inbound.messages import asks, by_bot, question_of, remark_of
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.otherbots import Reposts
from bots.discord.inbound.people import Members
from core.domain.errors import PlatformError, StoreError
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
# If a message's text was last changed longer ago than this, the update is about something else, such as a pin. The
# time is far longer than the gateway allows a session to be resumed.
_OLD_SECONDS = 900.0
# A MESSAGE_UPDATE may be partial (docs.discord.com, Gateway Events, Message Update); without these we can't read it.
_NEEDED = frozenset({"author", "content", "mentions", "type"})


class MessageEdits:
    """Handles the changes and deletions that one client receives."""

    def __init__(
        self,
        client: discord.Client,
        dispatcher: Dispatcher,
        rest: Rest,
        places: Places,
        members: Members,
        ordering: ArrivalOrder,
        reposts: Reposts,
    ) -> None:
        self._client, self._dispatcher, self._rest = client, dispatcher, rest
        self._places, self._members, self._ordering = places, members, ordering
        self._reposts = reposts
        # By message: when it was last changed, as Discord writes it.
        self._edited: FIFOCache[int, str] = FIFOCache(_REMEMBERED)
        self._deleted: FIFOCache[int, None] = FIFOCache(_REMEMBERED)

    async def edited(self, data: dict[str, Any], message: discord.Message | None = None) -> None:
        """Somebody may have changed a message; previews, pins and threads cause the same event.

        `message`: what discord.py made of the payload; None for a partial one.
        """
        number, channel, at = int(data["id"]), int(data["channel_id"]), data.get("edited_timestamp")
        if not at or at == self._edited.get(number) or _age(at) > _OLD_SECONDS:
            return
        self._edited[number] = at
        me = self._client.user

        async def step() -> None:
            whole = message or await self._whole(data)
            if me is None or whole is None or by_bot(whole):
                return
            place, author = await self._places.of_message(whole), await self._members.author(whole)
            addressed = asks(whole, me)
            # What it looks like now does not matter: it may be a follow-up that waits already.
            overheard = not addressed and not remark_of(whole, me).to_other
            question = replace(question_of(whole, place, author, me), overheard=overheard)
            await self._dispatcher.edited(question, asks=addressed)

        try:
            await self._ordering.store(channel, step)
        except (StoreError, PlatformError) as error:
            log.error("could not record a change of message %d: %s", number, error)

    async def deleted(self, channel: int, guild: int | None, messages: Iterable[int]) -> None:
        """Messages were deleted, ours or other people's; report each one once.

        One that a program posts again for its author stays a question.
        """
        fresh = [message for message in sorted(set(messages)) if message not in self._deleted]
        self._deleted.update(dict.fromkeys(fresh))
        for message in self._reposts.deleted(channel, fresh):

            async def step(message: int = message) -> None:
                place = await self._places.of_channel(self._client, channel, guild)
                await self._dispatcher.deleted(place, str(message))

            try:
                await self._ordering.store(channel, step)
            except (StoreError, PlatformError) as error:
                log.error("could not record the deletion of message %d: %s", message, error)

    async def _whole(self, data: dict[str, Any]) -> discord.Message | None:
        """The current message of a partial payload; None if we can't get it."""
        try:
            found = await self._rest.message(str(data["channel_id"]), str(data["id"]))
        except PlatformError as error:
            log.info("could not read a changed message: %s", error)
            return None
        channel = channel_of(self._client, data)
        # Only the gateway sends the guild and the author's roles.
        beside = {name: value for name, value in data.items() if name in ("guild_id", "member")}
        return read(self._client, channel, {**found, **beside})


def by_a_program(data: dict[str, Any]) -> bool:
    """Whether a bot (for example ours) or a webhook wrote the message."""
    return bool(data.get("webhook_id") or (data.get("author") or {}).get("bot"))


def is_partial(data: dict[str, Any]) -> bool:
    """Whether a MESSAGE_UPDATE lacks fields that we need to read the message."""
    return not data.keys() >= _NEEDED


def read(client: discord.Client, channel: Any, data: dict[str, Any]) -> discord.Message | None:
    """Parse a message of the REST API; None if discord.py can't read it."""
    try:
        return message_from(client, channel, data)
    except (AttributeError, KeyError, TypeError, ValueError):
        log.debug("could not read a message", exc_info=True)
        return None


def _age(stamp: str) -> float:
    """Seconds since a time in Discord's format; 0 if it can't be read."""
    try:
        return time.time() - discord.utils.parse_time(stamp).timestamp()
    except ValueError:
        return 0.0
