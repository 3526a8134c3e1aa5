"""Entries: how mentions, exchanges and progress are written in Redis, and how they are read again."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from core.model import NOTHING_SHOWN, Exchange, Mention, Progress

log = logging.getLogger(__name__)

T = TypeVar("T")

_MENTION = TypeAdapter(Mention)
_EXCHANGE = TypeAdapter(Exchange)
_PROGRESS = TypeAdapter(Progress)


def mention_entry(mention: Mention) -> bytes:
    """An entry of the inbox."""
    return _MENTION.dump_json(mention, exclude_defaults=True)


def read_mention(entry: bytes) -> Mention:
    """The reverse of `mention_entry`. Raises ValidationError."""
    return _MENTION.validate_json(entry)


def encode(exchange: Exchange) -> bytes:
    """An entry of the history: the platform's message ids in clear, then the exchange.

    Redis can find an entry by message id without reading the rest.
    """
    return ",".join(exchange.messages).encode() + b"|" + _EXCHANGE.dump_json(exchange)


def decode(entry: bytes) -> Exchange:
    """The reverse of `encode`. Raises ValidationError."""
    return _EXCHANGE.validate_json(entry.partition(b"|")[2])


def readable(read: Callable[[bytes], T], entries: Iterable[bytes]) -> Iterator[T]:
    """The entries that can be read. Of another version's nothing is logged but that: the error quotes its input."""
    for entry in entries:
        try:
            yield read(entry)
        except ValidationError:
            log.warning("an entry that can't be read is passed over")


def read_history(entries: Iterable[bytes]) -> tuple[Exchange, ...]:
    """The exchanges, without those that another version wrote and this one can't read."""
    return tuple(readable(decode, entries))


def shown_entry(mention: Mention, messages: Iterable[str]) -> bytes:
    """An entry of the answers that can be asked for again: the messages in clear, then the mention."""
    return ",".join(messages).encode() + b"|" + mention_entry(mention)


def read_shown(entry: bytes) -> tuple[Mention, tuple[str, ...]]:
    """The reverse of `shown_entry`. Raises ValidationError."""
    ids, _, mention = entry.partition(b"|")
    return read_mention(mention), tuple(filter(None, ids.decode().split(",")))


def progress_entry(progress: Progress) -> bytes:
    """The progress as it is stored; none leaves what is stored as it is."""
    return _PROGRESS.dump_json(progress) if progress.messages else b""


def read_progress(entry: bytes | None, before: Progress = NOTHING_SHOWN) -> Progress:
    """The reverse of `progress_entry`; `before` where nothing is stored. Raises ValidationError."""
    return _PROGRESS.validate_json(entry) if entry else before
