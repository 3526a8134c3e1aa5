"""Entries: how mentions, exchanges and progress are written in Redis, and how they are read again.

An entry is `<words>|<value>`: the words, by which a step in Redis finds it, stand in clear; the value may be sealed.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from core.domain.conversation import Exchange, Question
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.settings.encryption import Encryption, Unreadable

log = logging.getLogger(__name__)

T = TypeVar("T")

_MENTION = TypeAdapter(Question)
_EXCHANGE = TypeAdapter(Exchange)
_SHOWN = TypeAdapter(AnsweredQuestion)
_PROGRESS = TypeAdapter(Progress)


class Entries:
    """Writes and reads; `conversation` is where an entry belongs, and sealed for."""

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    def mention(self, conversation: str, mention: Question) -> bytes:
        """An entry of the inbox, found by the mention's id and its message, and with `~` by those it is to replace."""
        replaced = (f"~{each}" for each in mention.redo.messages) if mention.redo else ()
        value = _MENTION.dump_json(mention, exclude_defaults=True)
        return self._entry(conversation, (mention.id, mention.message, *replaced), value)

    def exchange(self, conversation: str, exchange: Exchange) -> bytes:
        """An entry of the history, found by its turn and its messages; `@` marks when it was written: it ages."""
        words = (exchange.turn, *exchange.messages, f"@{time.time():.0f}")
        return self._entry(conversation, words, _EXCHANGE.dump_json(exchange, exclude_defaults=True))

    def shown(self, conversation: str, shown: AnsweredQuestion) -> bytes:
        """An entry of the answers that can be asked for again, found by the question and by all messages."""
        words = (shown.mention.id, shown.mention.message, *shown.messages)
        return self._entry(conversation, words, _SHOWN.dump_json(shown, exclude_defaults=True))

    def read_mention(self, conversation: str, entry: bytes) -> Question:
        """The reverse of `mention`. Raises ValidationError, and Unreadable without the key."""
        return _MENTION.validate_json(self._value(conversation, entry))

    def mentions(self, conversation: str, entries: Iterable[bytes]) -> tuple[Question, ...]:
        """Those that can be read."""
        return tuple(self._readable(conversation, _MENTION, entries))

    def exchanges(self, conversation: str, entries: Iterable[bytes]) -> tuple[Exchange, ...]:
        """Those that can be read."""
        return tuple(self._readable(conversation, _EXCHANGE, entries))

    def all_shown(self, conversation: str, entries: Iterable[bytes]) -> tuple[AnsweredQuestion, ...]:
        """Those that can be read."""
        return tuple(self._readable(conversation, _SHOWN, entries))

    def _entry(self, conversation: str, words: Iterable[str], value: bytes) -> bytes:
        return ",".join(words).encode() + b"|" + self._encryption.encrypt(value, conversation)

    def _value(self, conversation: str, entry: bytes) -> bytes:
        return self._encryption.decrypt(entry.partition(b"|")[2], conversation)

    def _readable(self, conversation: str, kind: TypeAdapter[T], entries: Iterable[bytes]) -> Iterator[T]:
        """Of one that another version wrote nothing is logged but that: the error quotes its input."""
        for entry in entries:
            try:
                yield kind.validate_json(self._value(conversation, entry))
            except (ValidationError, Unreadable) as error:
                log.warning("an entry that can't be read is passed over (%s)", type(error).__name__)


def has(entry: bytes, word: str) -> bool:
    """Whether this is one of the words of an entry."""
    return word.encode() in entry.partition(b"|")[0].split(b",")


def progress_entry(progress: Progress) -> bytes:
    """The progress as it is stored; none leaves what is stored as it is."""
    return _PROGRESS.dump_json(progress) if progress.messages else b""


def read_progress(entry: bytes | None, before: Progress = NOTHING_SHOWN) -> Progress:
    """The reverse of `progress_entry`; `before` where nothing is stored. Raises ValidationError."""
    return _PROGRESS.validate_json(entry) if entry else before
