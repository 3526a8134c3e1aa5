"""Keeps a gateway event that discord.py can't read from ending the connection: only that event is lost, if any."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cachetools import TTLCache

from bots.discord.api.private_api import Parser

log = logging.getLogger(__name__)

# Each kind of failure is logged once in this many seconds.
_LOG_SECONDS, _KINDS = 3600.0, 200

# What we need of a message and of an interaction, and harmless values for what discord.py wants besides. Without the
# guild a message would pass for a direct one, and without the webhook for a person's: those stay as they are.
_MESSAGE: tuple[str, ...] = (
    *("id", "channel_id", "guild_id", "webhook_id", "author", "member", "timestamp", "type"),
    *("content", "mentions", "mention_roles"),
)
_MESSAGE_DEFAULTS: Mapping[str, Any] = {
    "content": "",
    "type": 0,
    "embeds": [],
    "attachments": [],
    "mentions": [],
    "mention_roles": [],
    "edited_timestamp": None,
    "pinned": False,
    "tts": False,
    "mention_everyone": False,
}
_INTERACTION = ("id", "application_id", "type", "token", "data", "guild_id", "guild", "channel_id", "member", "user")
_INTERACTION_DEFAULTS: Mapping[str, Any] = {"version": 1, "attachment_size_limit": 0, "entitlements": []}
# Without these, discord.py makes a value that lacks attributes.
_REQUIRED: Mapping[str, tuple[str, ...]] = {"MESSAGE_CREATE": ("id", "channel_id", "author")}
_IDENTITY = frozenset({"guild_id", "webhook_id"})


class UnreadableEvents:
    """Reads events with discord.py's parsers."""

    def __init__(self) -> None:
        self._logged: TTLCache[tuple[str, str], None] = TTLCache(_KINDS, _LOG_SECONDS)

    def read(self, event: str, parse: Parser, data: Any) -> None:
        """Parse an event. If that fails, parse what we need of a message or an interaction, or else drop the event.

        New kinds of content, and fields that are null, must not take a question away.
        """
        if missing := [name for name in _REQUIRED.get(event, ()) if not isinstance(data, dict) or not data.get(name)]:
            self.note(f"{event} (without {', '.join(missing)})", KeyError())
            return
        failure = _parsed(parse, data)
        if failure is None:
            return
        for reduced in _REDUCED.get(event, _nothing)(data):
            again = _parsed(parse, reduced)
            if again is None:
                self.note(f"{event} (without its details)", failure)
                return
        self.note(event, failure)

    def note(self, event: str, error: BaseException, *, trace: bool = False) -> None:
        """Log a failure, once for each kind of event and error. `trace`: with its traceback."""
        kind = event, type(error).__name__
        known = kind in self._logged
        self._logged[kind] = None
        level = logging.DEBUG if known else logging.WARNING
        log.log(level, "could not read an event: %s: %s", *kind, exc_info=error if trace or known else None)


def _parsed(parse: Parser, data: Any) -> Exception | None:
    try:
        parse(data)
    except Exception as error:  # noqa: BLE001 - whatever a library raises for what it does not expect
        return error
    return None


def _nothing(data: Any) -> Iterator[dict[str, Any]]:
    yield from ()


def _message(data: Any) -> Iterator[dict[str, Any]]:
    """The message with its files and, if they are the unreadable part, without."""
    if isinstance(data, dict):
        found = _kept(data, _MESSAGE, _MESSAGE_DEFAULTS)
        if data.get("attachments"):
            yield {**found, "attachments": data["attachments"]}
        yield found


def _interaction(data: Any) -> Iterator[dict[str, Any]]:
    """The interaction with its channel and, if that is the unreadable part, with only the channel's id."""
    if not isinstance(data, dict):
        return
    found = _kept(data, _INTERACTION, _INTERACTION_DEFAULTS)
    for message in _message(data.get("message")):
        found["message"] = message
    if isinstance(data.get("channel"), dict):
        yield {**found, "channel": data["channel"]}
    yield found


def _kept(data: dict[str, Any], names: tuple[str, ...], defaults: Mapping[str, Any]) -> dict[str, Any]:
    there = {name: data[name] for name in names if name in data and (data[name] is not None or name in _IDENTITY)}
    return {**defaults, **there}


_REDUCED: Mapping[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
    "MESSAGE_CREATE": _message,
    "INTERACTION_CREATE": _interaction,
}
