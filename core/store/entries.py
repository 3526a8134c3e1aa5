"""Entries: how questions, exchanges and progress are written to Redis and read back.

An entry is `<words>|<value>`. The Lua steps find it by its words, which are plain text; the value may be encrypted.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from core.domain.conversation import (
    NOBODY,
    Attachment,
    Author,
    Conversation,
    Exchange,
    Lane,
    Place,
    ResponseToken,
    Summary,
    digest,
)
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.domain.question import NEW, Continue, Declined, Kind, Question, Reads, Regenerate, Show
from core.domain.surroundings import Said
from core.domain.turn_id import TurnId
from core.settings.encryption import Encryption, Unreadable

log = logging.getLogger(__name__)

T = TypeVar("T")

CANT_READ = (
    "I can't read a question that waited here: another version of me stored it, or I no longer have its key. "
    "Please ask it again."
)


@dataclass(frozen=True, slots=True)
class _Question:
    """A question as it is stored. The names are those of the first version, which other processes may still run.

    Whatever another version may not have stored has a default here, as in all stored records; what it has beside these
    is ignored.
    """

    id: TurnId
    place: Place
    author: Author = NOBODY
    text: str = ""
    message: str = ""
    at: float = 0.0
    attachments: tuple[Attachment, ...] = ()
    interaction: str = ""
    expires: float = 0.0
    refusal: str = ""
    private: bool = False
    redo: Regenerate | None = None
    after: str = ""
    others: tuple[str, ...] = ()
    overheard: bool = False
    about: tuple[Said, ...] = ()
    reads: Reads = Reads.USUAL
    uses: int | None = None
    grows: bool = True
    model: str = ""
    shows: str = ""
    draws: bool = False

    @classmethod
    def of(cls, question: Question) -> "_Question":
        command, continues, declined = question.interaction, question.continues, question.declined
        redo, shows = question.replaces, question.shows
        return cls(
            id=question.id,
            place=question.place,
            author=question.author,
            text=question.text,
            message=question.message,
            at=question.at,
            attachments=question.attachments,
            interaction=command.token if command else "",
            expires=command.expires if command else 0.0,
            refusal=declined.sentence if declined else "",
            private=question.private,
            redo=redo and Regenerate(redo.turn, redo.messages, redo.answered, redo.keeps),
            after=continues.turn if continues else "",
            others=question.others,
            overheard=question.overheard,
            about=question.about,
            reads=question.reads,
            uses=command.messages if command else None,
            grows=command.grows if command else True,
            model=question.model,
            shows=shows.version if shows else "",
            draws=question.draws,
        )

    def read(self) -> Question:
        token = ResponseToken(self.interaction, self.expires, self.uses, self.grows)
        return Question(
            id=self.id,
            place=self.place,
            author=self.author,
            text=self.text,
            message=self.message,
            at=self.at,
            attachments=self.attachments,
            interaction=token if self.interaction else None,
            kind=self._kind(),
            private=self.private,
            others=self.others,
            overheard=self.overheard,
            about=self.about,
            reads=self.reads,
            model=self.model,
            draws=self.draws,
        )

    def _kind(self) -> Kind:
        if self.refusal:
            return Declined(self.refusal)
        if redo := self.redo:
            return Show(redo.turn, redo.messages, redo.answered, redo.keeps, TurnId(self.shows)) if self.shows else redo
        return Continue(TurnId(self.after)) if self.after else NEW


@dataclass(frozen=True, slots=True)
class _AnsweredQuestion:
    """An answered question as it is stored."""

    mention: _Question
    messages: tuple[str, ...] = ()
    offer: str = ""

    @classmethod
    def of(cls, answered: AnsweredQuestion) -> "_AnsweredQuestion":
        question = replace(answered.question, about=())  # what was said around a question is not kept
        return cls(_Question.of(question), answered.messages, answered.offer)

    def read(self) -> AnsweredQuestion:
        return AnsweredQuestion(self.mention.read(), self.messages, self.offer)


@dataclass(frozen=True, slots=True)
class _Summary:
    """A summary as it is stored; the rest of it is in its words."""

    text: str = ""
    count: int = 0
    people: tuple[str, ...] = ()
    known: bool = False


_QUESTION = TypeAdapter(_Question)
_EXCHANGE = TypeAdapter(Exchange)
_ANSWERED_QUESTION = TypeAdapter(_AnsweredQuestion)
_SUMMARY = TypeAdapter(_Summary)
_PROGRESS = TypeAdapter(Progress)


class Entries:
    """Writes and reads entries. Each belongs to a `conversation` and is encrypted for it."""

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    def question(self, lane: Lane, question: Question) -> bytes:
        """An entry of the line. Its words are the question's id and message, the messages it replaces with `~`, and the
        lane with `^`."""
        replaced = (f"~{each}" for each in question.replaces.messages) if question.replaces else ()
        value = _QUESTION.dump_json(_Question.of(question), exclude_defaults=True)
        words = (question.id, question.message, *replaced, f"^{lane.name}")
        return self._entry("i", lane.conversation, words, value)

    def exchange(self, conversation: Conversation, exchange: Exchange) -> bytes:
        """An entry of the history. Its words are the turn, the messages and, after `@`, the time, since it expires."""
        words = (exchange.turn, *exchange.messages, f"@{exchange.written or time.time():.0f}")
        return self._entry("h", conversation, words, _EXCHANGE.dump_json(exchange, exclude_defaults=True))

    def answered_question(self, conversation: Conversation, answered: AnsweredQuestion) -> bytes:
        """An entry of the answers that can be regenerated. Its words are the question's id and all messages."""
        words = (answered.question.id, answered.question.message, *answered.messages)
        value = _ANSWERED_QUESTION.dump_json(_AnsweredQuestion.of(answered), exclude_defaults=True)
        return self._entry("e", conversation, words, value)

    def summary(self, conversation: Conversation, thread: str, summary: Summary) -> bytes:
        """The summary of a dialogue. Its words are the thread, with `^`, the digests of what it covers and, after `@`,
        the time of the oldest exchange, since it expires with that."""
        words = (f"^{thread}", *sorted(summary.covered), f"@{summary.since}")
        value = _Summary(summary.text, summary.count, tuple(sorted(summary.people)), summary.known)
        return self._entry("s", conversation, words, _SUMMARY.dump_json(value, exclude_defaults=True))

    def read_summary(self, conversation: Conversation, thread: str, entry: bytes) -> Summary | None:
        """The reverse of `summary`; None if it can't be read."""
        first, *covered = (word.decode("utf-8", "replace") for word in _words(entry))
        found = next(iter(self._readable("s", conversation, _SUMMARY, [entry])), None)
        if found is None or first != f"^{thread}":
            return None
        return Summary(
            text=found.text,
            count=found.count,
            covered=frozenset(word for word in covered if not word.startswith("@")),
            people=frozenset(found.people),
            since=stored_at(entry),
            known=found.known,
        )

    def read_question(self, conversation: Conversation, entry: bytes) -> Question:
        """The reverse of `question`. Raises Unreadable, also without the key."""
        try:
            return _QUESTION.validate_json(self._value("i", conversation, entry)).read()
        except ValidationError:  # do not name it as the cause: it quotes its input
            raise Unreadable("another version stored a question") from None

    def questions_or_substitutes(self, conversation: Conversation, entries: Iterable[bytes]) -> Iterator[Question]:
        """The questions; in place of each that can't be read, one of the same name that ends in a sentence."""
        for entry in entries:
            try:
                yield self.read_question(conversation, entry)
            except Unreadable:
                yield substitute(conversation, entry)

    def questions(self, conversation: Conversation, entries: Iterable[bytes]) -> tuple[Question, ...]:
        """The questions that can be read."""
        return tuple(each.read() for each in self._readable("i", conversation, _QUESTION, entries))

    def exchanges(self, conversation: Conversation, entries: Iterable[bytes]) -> tuple[Exchange, ...]:
        """The exchanges that can be read."""
        return tuple(self._readable("h", conversation, _EXCHANGE, entries))

    def answered_questions(self, conversation: Conversation, entries: Iterable[bytes]) -> tuple[AnsweredQuestion, ...]:
        """The answered questions that can be read."""
        return tuple(each.read() for each in self._readable("e", conversation, _ANSWERED_QUESTION, entries))

    def _entry(self, kind: str, conversation: Conversation, words: Iterable[str], value: bytes) -> bytes:
        before = ",".join(words).encode()
        return before + b"|" + self._encryption.encrypt(value, conversation.name, _sealed(kind, before))

    def _value(self, kind: str, conversation: Conversation, entry: bytes) -> bytes:
        before, _, stored = entry.partition(b"|")
        return self._encryption.decrypt(stored, conversation.name, _sealed(kind, before))

    def _readable(
        self, kind: str, conversation: Conversation, adapter: TypeAdapter[T], entries: Iterable[bytes]
    ) -> Iterator[T]:
        """Skip entries that another version wrote; log only the error's type, because its text quotes the input."""
        for entry in entries:
            try:
                yield adapter.validate_json(self._value(kind, conversation, entry))
            except (ValidationError, Unreadable) as error:
                log.warning("skipped an entry that can't be read (%s)", type(error).__name__)


def has(entry: bytes, word: str) -> bool:
    """Whether this is one of the words of an entry."""
    return word.encode() in _words(entry)


def digests(exchange: Exchange) -> frozenset[str]:
    """The names under which a summary covers an exchange."""
    people = (exchange.author.id, *exchange.others)
    return frozenset(map(digest, (exchange.turn, *exchange.messages, *people)))


def stored_at(entry: bytes) -> int:
    """When an exchange, or the oldest one of a summary, was stored, in epoch seconds; 0 if an older version did so."""
    found = _words(entry)[-1]
    return int(found[1:]) if found[:1] == b"@" and found[1:].isdigit() else 0


def lane_name(entry: bytes) -> str:
    """The name of the lane of a question; "" if another version wrote it."""
    return next((each[1:].decode("utf-8", "replace") for each in _words(entry) if each.startswith(b"^")), "")


def turn_key(entry: bytes) -> bytes:
    """The name of a question's turn among those of its conversation, as in common.lua."""
    name = _words(entry)[0] if b"|" in entry else b""
    return name or hashlib.sha1(entry, usedforsecurity=False).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is stored of a turn that was claimed, as far as it is read here (see common.lua)."""

    fence: int = 0
    progress: str = ""


_TURN = TypeAdapter(_Turn)


def progress_of(turn: bytes) -> Progress:
    """How far the reply of a turn has come, from what is stored of the turn."""
    return read_progress(_turn(turn).progress.encode())


def fence_of(turn: bytes | None) -> int:
    """The newest fencing token of a turn; 0 if it ended."""
    return _turn(turn).fence if turn else 0


def _turn(stored: bytes) -> _Turn:
    try:
        return _TURN.validate_json(stored)
    except ValidationError:
        log.warning("what is stored of a turn can't be read")
        return _Turn()


def _words(entry: bytes) -> list[bytes]:
    return entry.partition(b"|")[0].split(b",")


def _sealed(kind: str, words: bytes) -> bytes:
    """What an encrypted value is bound to: the list that it is in (see Mailboxes.key), and its words."""
    return kind.encode() + b"\0" + words


def substitute(conversation: Conversation, entry: bytes) -> Question:
    """A question in place of one that can't be read, with as much as its words and its conversation say."""
    words = entry.partition(b"|")[0].decode("utf-8", "replace").split(",") if b"|" in entry else [""]
    digest = hashlib.sha1(entry, usedforsecurity=False).hexdigest()
    # Lua finds the entry by its first word, as it stands there, or by its digest (see `has` in common.lua).
    name = words[0] if words[0] and "\ufffd" not in words[0] else f"unreadable/{digest}"
    message = next((each for each in words[1:2] if not each.startswith("~")), "")
    platform, workspace, channel, thread = (*conversation.scope.split("/"), "", "", "")[:4]
    # A thread with the name of the message is the one that the reply was to open.
    place = Place(platform, workspace, channel, "" if thread == message else thread, direct=workspace == "-")
    author, private = Author(conversation.owner, ""), bool(conversation.owner)
    return Question(TurnId(name), place, author, "", message, kind=Declined(CANT_READ), private=private)


def read_forgotten(stored: bytes) -> frozenset[str]:
    """The digests of the messages whose exchange was forgotten (see common.lua)."""
    exchanges = stored.decode("utf-8", "replace").split()
    return frozenset(each for exchange in exchanges for each in exchange.partition("@")[0].split(","))


def progress_entry(progress: Progress) -> bytes:
    """The progress as it is stored; empty if there is none, which leaves the stored one unchanged."""
    return _PROGRESS.dump_json(progress) if progress.messages else b""


def read_progress(entry: bytes | None, before: Progress = NOTHING_SHOWN) -> Progress:
    """The reverse of `progress_entry`; `before` if nothing is stored, or nothing of it can be read."""
    if not entry:
        return before
    try:
        return _PROGRESS.validate_json(entry)
    except ValidationError:
        log.warning("another version stored how far a reply has come")
    try:
        messages = json.loads(entry)["messages"]
    except (ValueError, TypeError, KeyError):
        return before
    # Without these messages the reply would be posted once more.
    known = isinstance(messages, list) and all(isinstance(each, str) for each in messages)
    return Progress(tuple(messages)) if known else before
