"""Messages that were changed or deleted, as Discord tells of it, passed on to the core once each."""

import logging
import time
from collections.abc import Iterable
from typing import Any

import discord

from bots.discord.api.rest import Rest
from bots.discord.inbound.channels import Places
from bots.discord.inbound.messages import asks, mention_of
from bots.discord.inbound.ordering import ArrivalOrder
from core.domain.errors import PlatformError, StoreError
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
# An update of a message whose text was last changed longer ago tells of something else, say that it was pinned. Far
# longer than a session of the gateway can be resumed. Seconds.
_OLD = 900.0
# A MESSAGE_UPDATE may be partial (docs.discord.com, Gateway Events, Message Update); without these it can't be read.
_NEEDED = frozenset({"author", "content", "mentions", "type"})


class MessageEdits:
    """For all events of a client."""

    def __init__(
        self, client: discord.Client, front: Dispatcher, rest: Rest, places: Places, arrivals: ArrivalOrder
    ) -> None:
        self._client, self._front, self._rest = client, front, rest
        self._places, self._arrivals = places, arrivals
        self._edited: dict[int, str] = {}  # when messages were last changed, as Discord writes it
        self._gone: dict[int, None] = {}

    async def edited(self, data: dict[str, Any], message: discord.Message | None = None) -> None:
        """Somebody may have changed a message: previews, pins and threads are told of by the same event.

        `message`: what discord.py made of the payload; None for one that is partial.
        """
        number, channel, at = int(data["id"]), int(data["channel_id"]), data.get("edited_timestamp")
        if not at or at == self._edited.get(number) or _age(at) > _OLD:
            return
        _remember(self._edited, number, at)
        me = self._client.user

        async def step() -> None:
            whole = message or await self._whole(data)
            if me is None or whole is None or whole.author.bot or whole.webhook_id is not None:
                return
            mention = mention_of(whole, await self._places.of_message(whole), me)
            await self._front.edited(mention, asks=asks(whole, me))

        try:
            await self._arrivals.store(channel, step)
        except StoreError as error:
            log.error("a change of message %d is lost: %s", number, error)

    async def deleted(self, channel: int, guild: int | None, messages: Iterable[int]) -> None:
        """Messages are gone, ours and other people's; each is told of once."""
        for message in sorted(set(messages)):
            if message in self._gone:
                continue
            _remember(self._gone, message, None)

            async def step(message: int = message) -> None:
                place = await self._places.of_channel(self._client, channel, guild)
                await self._front.deleted(place, str(message))

            try:
                await self._arrivals.store(channel, step)
            except StoreError as error:
                log.error("that message %d is gone is lost: %s", message, error)

    async def _whole(self, data: dict[str, Any]) -> discord.Message | None:
        """The message of a partial payload as it stands; None where it can't be had."""
        try:
            found = await self._rest.message(str(data["channel_id"]), str(data["id"]))
        except PlatformError as error:
            log.info("a changed message can't be read: %s", error)
            return None
        channel, _ = self._client._connection._get_guild_channel(data)  # type: ignore[arg-type]
        # The guild and the author's roles are told by the gateway alone.
        beside = {name: value for name, value in data.items() if name in ("guild_id", "member")}
        return read(self._client, channel, {**found, **beside})


def by_a_program(data: dict[str, Any]) -> bool:
    """Whether a bot or a webhook wrote the message, we for one."""
    return bool(data.get("webhook_id") or (data.get("author") or {}).get("bot"))


def is_partial(data: dict[str, Any]) -> bool:
    """Whether a message can't be read from what a MESSAGE_UPDATE has of it."""
    return not data.keys() >= _NEEDED


def read(client: discord.Client, channel: Any, data: dict[str, Any]) -> discord.Message | None:
    """A message of the REST API; None for one that discord.py can't read."""
    try:
        return discord.Message(state=client._connection, channel=channel, data=data)  # type: ignore[arg-type]
    except (AttributeError, KeyError, TypeError, ValueError):
        log.debug("a message could not be read", exc_info=True)
        return None


def _age(stamp: str) -> float:
    """Seconds since a time as Discord writes it; 0 for one that can't be read."""
    try:
        return time.time() - discord.utils.parse_time(stamp).timestamp()
    except ValueError:
        return 0.0


def _remember(seen: dict[int, Any], key: int, value: Any) -> None:
    """Note the newest, and forget the oldest."""
    seen.pop(key, None)
    if len(seen) >= _REMEMBERED:
        del seen[next(iter(seen))]
    seen[key] = value
