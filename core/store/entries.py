"""Entries: how questions, exchanges and progress are written to Redis and read back.

An entry is `<words>|<value>`. The Lua steps find it by its words, which are plain text; the value may be encrypted.
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

_QUESTION = TypeAdapter(Question)
_EXCHANGE = TypeAdapter(Exchange)
_ANSWERED_QUESTION = TypeAdapter(AnsweredQuestion)
_PROGRESS = TypeAdapter(Progress)


class Entries:
    """Writes and reads entries. Each belongs to a `conversation` and is encrypted for it."""

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    def question(self, conversation: str, question: Question) -> bytes:
        """An entry of the inbox. Its words are the question's id and message, and the messages it replaces with `~`."""
        replaced = (f"~{each}" for each in question.redo.messages) if question.redo else ()
        value = _QUESTION.dump_json(question, exclude_defaults=True)
        return self._entry(conversation, (question.id, question.message, *replaced), value)

    def exchange(self, conversation: str, exchange: Exchange) -> bytes:
        """An entry of the history. Its words are the turn, the messages and, after `@`, the time, since it expires."""
        words = (exchange.turn, *exchange.messages, f"@{time.time():.0f}")
        return self._entry(conversation, words, _EXCHANGE.dump_json(exchange, exclude_defaults=True))

    def answered_question(self, conversation: str, answered: AnsweredQuestion) -> bytes:
        """An entry of the answers that can be regenerated. Its words are the question's id and all messages."""
        words = (answered.mention.id, answered.mention.message, *answered.messages)
        return self._entry(conversation, words, _ANSWERED_QUESTION.dump_json(answered, exclude_defaults=True))

    def read_question(self, conversation: str, entry: bytes) -> Question:
        """The reverse of `question`. Raises ValidationError, and Unreadable without the key."""
        return _QUESTION.validate_json(self._value(conversation, entry))

    def questions(self, conversation: str, entries: Iterable[bytes]) -> tuple[Question, ...]:
        """The questions that can be read."""
        return tuple(self._readable(conversation, _QUESTION, entries))

    def exchanges(self, conversation: str, entries: Iterable[bytes]) -> tuple[Exchange, ...]:
        """The exchanges that can be read."""
        return tuple(self._readable(conversation, _EXCHANGE, entries))

    def answered_questions(self, conversation: str, entries: Iterable[bytes]) -> tuple[AnsweredQuestion, ...]:
        """The answered questions that can be read."""
        return tuple(self._readable(conversation, _ANSWERED_QUESTION, entries))

    def _entry(self, conversation: str, words: Iterable[str], value: bytes) -> bytes:
        return ",".join(words).encode() + b"|" + self._encryption.encrypt(value, conversation)

    def _value(self, conversation: str, entry: bytes) -> bytes:
        return self._encryption.decrypt(entry.partition(b"|")[2], conversation)

    def _readable(self, conversation: str, kind: TypeAdapter[T], entries: Iterable[bytes]) -> Iterator[T]:
        """Skip entries that another version wrote; log only the error's type, because its text quotes the input."""
        for entry in entries:
            try:
                yield kind.validate_json(self._value(conversation, entry))
            except (ValidationError, Unreadable) as error:
                log.warning("skipped an entry that can't be read (%s)", type(error).__name__)


def has(entry: bytes, word: str) -> bool:
    """Whether this is one of the words of an entry."""
    return word.encode() in entry.partition(b"|")[0].split(b",")


def progress_entry(progress: Progress) -> bytes:
    """The progress as it is stored; empty if there is none, which leaves the stored one unchanged."""
    return _PROGRESS.dump_json(progress) if progress.messages else b""


def read_progress(entry: bytes | None, before: Progress = NOTHING_SHOWN) -> Progress:
    """The reverse of `progress_entry`; `before` if nothing is stored. Raises ValidationError."""
    return _PROGRESS.validate_json(entry) if entry else before
