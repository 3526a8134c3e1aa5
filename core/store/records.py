"""Conversation lookups: finds questions and answers by message, and changes, lists and forgets them."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.domain.conversation import Conversation, Exchange
from core.domain.errors import StoreError
from core.domain.progress import AnsweredQuestion
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.entries import has, read_progress
from core.store.mailbox import Mailboxes, ms
from core.store.redis.client import guarded

_GLOB = re.compile(r"([*?\[\]\\^])")


class State(StrEnum):
    """The state of a question."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class DeletedMessage:
    """What a deleted message was: the question of a running turn, `waiting` ones, or what was stored of an answer."""

    running: bool
    waiting: int
    exchange: Exchange | None
    shown: AnsweredQuestion | None


class ConversationLookups:
    """Looks up and changes conversations: a read is one round trip, a change one Lua step. All raise StoreError."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes
        self._redis, self._entries = mailboxes.redis, mailboxes.entries

    async def running(self, conversation: Conversation) -> AnsweredQuestion | None:
        """The running question of this conversation, with the messages of its reply, as far as they are known."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            pipe.lindex(self._mailboxes.key("i", conversation), 0)
            pipe.hget(self._mailboxes.key("c", conversation), "progress")
            entry, progress = await pipe.execute()
        questions = self._entries.questions(conversation, [entry] if entry is not None else [])
        return next((AnsweredQuestion(each, read_progress(progress).messages) for each in questions), None)

    async def ended(self, conversation: Conversation, message: str) -> AnsweredQuestion | None:
        """The question that was recently answered in this message; None if it is forgotten."""
        entries = await self._list("e", conversation, message)
        answered = self._entries.answered_questions(conversation, entries)
        return next((each for each in answered if message in each.messages), None)

    async def asked(self, conversation: Conversation, message: str) -> tuple[State, AnsweredQuestion] | None:
        """The question in this message if it waits, runs or was recently answered; None if there is none."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for kind in "ie":
                pipe.lrange(self._mailboxes.key(kind, conversation), 0, -1)
            inbox, ended = await pipe.execute()
        for place, entry in enumerate(inbox):
            if has(entry, message):
                for question in self._entries.questions(conversation, [entry]):
                    return (State.WAITING if place else State.RUNNING), AnsweredQuestion(question, ())
        found = self._entries.answered_questions(conversation, (entry for entry in ended if has(entry, message)))
        return next(((State.ENDED, each) for each in found if each.question.message == message), None)

    async def waits(self, conversation: Conversation, turn: TurnId) -> bool:
        """Whether the question of this turn waits or runs."""
        return bool(await self._list("i", conversation, turn))

    async def answered(self, conversation: Conversation, turn: TurnId) -> bool:
        """Whether the answer of this turn is in the history."""
        return bool(await self._list("h", conversation, turn))

    async def exchange(self, conversation: Conversation, message: str) -> Exchange | None:
        """The exchange that this message belongs to; None if there is none in the history."""
        entries = await self._list("h", conversation, message)
        return next(iter(self._entries.exchanges(conversation, entries)), None)

    async def edit(self, conversation: Conversation, question: Question) -> State | None:
        """Change a waiting question and return WAITING; otherwise only return RUNNING, or None if it is gone."""
        entry = self._entries.question(conversation, question)
        found = await self._mailboxes.edit(conversation, word=question.id, entry=entry)
        return {b"WAITING": State.WAITING, b"RUNNING": State.RUNNING}.get(found)

    async def revise(self, conversation: Conversation, answered: AnsweredQuestion) -> bool:
        """Change an answered question, for when its answer is regenerated; False if it was forgotten."""
        entry = self._entries.answered_question(conversation, answered)
        return bool(await self._mailboxes.revise(conversation, word=answered.question.id, entry=entry))

    async def delete(self, conversation: Conversation, message: str) -> DeletedMessage:
        """Forget the question or answer of a deleted message, and end its turn if it runs."""
        running, waiting, exchange, answered = await self._mailboxes.delete(conversation, word=message)
        exchanges = self._entries.exchanges(conversation, filter(None, [exchange]))
        found = self._entries.answered_questions(conversation, filter(None, [answered]))
        return DeletedMessage(bool(running), int(waiting), next(iter(exchanges), None), next(iter(found), None))

    async def reset(self, conversation: Conversation) -> int:
        """Forget the history of a conversation; returns how many exchanges it had."""
        return int(await self._mailboxes.reset(conversation))

    async def forget(self, conversation: Conversation, person: str) -> int:
        """Forget this person's questions in a conversation and their answers; returns how many exchanges it forgot."""
        entries = await self._list("h", conversation), await self._list("e", conversation)
        mine = [
            *_of(entries[0], lambda entry: self._entries.exchanges(conversation, [entry]), person),
            *_of(
                entries[1],
                lambda entry: tuple(each.question for each in self._entries.answered_questions(conversation, [entry])),
                person,
            ),
        ]
        # Any waiting question may be answered together with the running one.
        waiting = self._entries.questions(conversation, await self._list("i", conversation))
        epoch = int(any(person == question.author.id for question in waiting))
        return int(await self._mailboxes.forget(conversation, epoch=epoch, entries=mine))

    async def retain(self, scope: str, keep: float) -> None:
        """Keep the conversations of a channel or thread for this many seconds, and forget what is older now."""
        for conversation in await self.conversations(scope):
            await self._mailboxes.retain(conversation, keep_ms=ms(keep))

    async def history(self, conversation: Conversation) -> tuple[Exchange, ...]:
        """The history of a conversation, oldest first."""
        return self._entries.exchanges(conversation, await self._list("h", conversation))

    async def conversations(self, scope: str) -> tuple[Conversation, ...]:
        """The conversations of a channel: its own, its threads' and private ones."""
        scope_glob = _GLOB.sub(r"\\\1", scope)
        found = set()
        async with guarded(30.0):  # it looks at every key once, in small steps
            async for key in self._redis.scan_iter(match=f"nb:{{*}}:c:{scope_glob}*", count=1000):
                name = key.decode().split(":c:", 1)[1]
                if (conversation := Conversation.named(name)).is_in(scope):
                    found.add(conversation)
        return tuple(sorted(found, key=lambda each: each.name))

    async def erase(self) -> None:
        """Have the server rewrite its log without what was forgotten; if we may not, its next rewrite does it."""
        with suppress(StoreError):
            async with guarded():
                await self._redis.bgrewriteaof()

    async def _list(self, kind: str, conversation: Conversation, word: str = "") -> list[bytes]:
        """The entries of a list; with `word`, only those that have it."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._mailboxes.key(kind, conversation), 0, -1)
        return [entry for entry in entries if not word or has(entry, word)]


def _of(
    entries: list[bytes], read: Callable[[bytes], tuple[Exchange, ...] | tuple[Question, ...]], person: str
) -> list[bytes]:
    """The entries whose question this person asked."""
    return [entry for entry in entries if any(person in (each.author.id, *each.others) for each in read(entry))]
