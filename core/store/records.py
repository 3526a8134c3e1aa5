"""Records: what is known of questions and their answers, looked up by message, revised, handed out and forgotten."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.domain.conversation import Exchange, Question
from core.domain.errors import StoreError
from core.domain.progress import AnsweredQuestion
from core.store.entries import has, read_progress
from core.store.mailbox import Mailboxes, ms
from core.store.redis.client import guarded

_GLOB = re.compile(r"([*?\[\]\\^])")


class State(StrEnum):
    """How far a question has come."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a message was that is gone now: the question of a running turn, or what was remembered of an answer."""

    running: bool
    waiting: int
    exchange: Exchange | None
    shown: AnsweredQuestion | None


class ConversationLookups:
    """Reads are one round trip, and changes one Lua step. All raise StoreError."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._boxes = mailboxes
        self._redis, self._entries = mailboxes.redis, mailboxes.entries

    async def running(self, conversation: str) -> AnsweredQuestion | None:
        """The mention whose turn it is in this conversation, and what is on screen of its reply as far as is known."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            pipe.lindex(self._boxes.key("i", conversation), 0)
            pipe.hget(self._boxes.key("c", conversation), "progress")
            entry, progress = await pipe.execute()
        mentions = self._entries.mentions(conversation, [entry] if entry is not None else [])
        return next((AnsweredQuestion(each, read_progress(progress).messages) for each in mentions), None)

    async def ended(self, conversation: str, message: str) -> AnsweredQuestion | None:
        """The mention that was answered in this message, if that was not long ago; None if it is forgotten."""
        entries = await self._list("e", conversation, message)
        return next((each for each in self._entries.all_shown(conversation, entries) if message in each.messages), None)

    async def asked(self, conversation: str, message: str) -> tuple[State, AnsweredQuestion] | None:
        """The question in this message, as it waits, runs or was answered not long ago; None if there is none."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for kind in "ie":
                pipe.lrange(self._boxes.key(kind, conversation), 0, -1)
            inbox, ended = await pipe.execute()
        for place, entry in enumerate(inbox):
            if has(entry, message):
                for mention in self._entries.mentions(conversation, [entry]):
                    return (State.WAITING if place else State.RUNNING), AnsweredQuestion(mention, ())
        found = self._entries.all_shown(conversation, (entry for entry in ended if has(entry, message)))
        return next(((State.ENDED, each) for each in found if each.mention.message == message), None)

    async def waits(self, conversation: str, turn: str) -> bool:
        """Whether the turn of this mention waits or runs."""
        return bool(await self._list("i", conversation, turn))

    async def answered(self, conversation: str, turn: str) -> bool:
        """Whether the answer of this turn is remembered."""
        return bool(await self._list("h", conversation, turn))

    async def exchange(self, conversation: str, message: str) -> Exchange | None:
        """The exchange that this message belongs to, if it is remembered."""
        entries = await self._list("h", conversation, message)
        return next(iter(self._entries.exchanges(conversation, entries)), None)

    async def edit(self, conversation: str, mention: Question) -> State | None:
        """Change a question that waits; what it was found as instead: RUNNING, or None for one that is gone."""
        entry = self._entries.mention(conversation, mention)
        found = await self._boxes.edit(conversation, word=mention.id, entry=entry)
        return {b"WAITING": State.WAITING, b"RUNNING": State.RUNNING}.get(found)

    async def revise(self, conversation: str, shown: AnsweredQuestion) -> bool:
        """Ask in other words when the answer is asked for again; False if it was forgotten."""
        entry = self._entries.shown(conversation, shown)
        return bool(await self._boxes.revise(conversation, word=shown.mention.id, entry=entry))

    async def delete(self, conversation: str, message: str) -> Deleted:
        """A message is gone: forget the question or answer that it was, and end its turn if it runs."""
        running, waiting, exchange, shown = await self._boxes.delete(conversation, word=message)
        exchanges = self._entries.exchanges(conversation, filter(None, [exchange]))
        all_shown = self._entries.all_shown(conversation, filter(None, [shown]))
        return Deleted(bool(running), int(waiting), next(iter(exchanges), None), next(iter(all_shown), None))

    async def reset(self, conversation: str) -> int:
        """Forget the history of a conversation; returns how many exchanges that were."""
        return int(await self._boxes.reset(conversation))

    async def forget(self, conversation: str, person: str) -> int:
        """Forget what this person asked in a conversation, and the answers; returns how many exchanges that were."""
        entries = await self._list("h", conversation), await self._list("e", conversation)
        mine = [
            *_of(entries[0], lambda entry: self._entries.exchanges(conversation, [entry]), person),
            *_of(
                entries[1],
                lambda entry: tuple(each.mention for each in self._entries.all_shown(conversation, [entry])),
                person,
            ),
        ]
        # Any that wait may be answered together with the one that runs.
        line = self._entries.mentions(conversation, await self._list("i", conversation))
        epoch = int(any(person == mention.author.id for mention in line))
        return int(await self._boxes.forget(conversation, epoch=epoch, entries=mine))

    async def retain(self, scope: str, keep: float) -> None:
        """Remember the conversations of a channel or thread for so many seconds, and forget what is older now."""
        for conversation in await self.conversations(scope):
            await self._boxes.retain(conversation, keep_ms=ms(keep))

    async def history(self, conversation: str) -> tuple[Exchange, ...]:
        """All that is remembered of a conversation, oldest first."""
        return self._entries.exchanges(conversation, await self._list("h", conversation))

    async def conversations(self, scope: str) -> tuple[str, ...]:
        """The conversations of a channel: its own, those of its threads, and private ones."""
        scope_glob = _GLOB.sub(r"\\\1", scope)
        found = set()
        async with guarded(30.0):  # looks at every key once, in small steps
            async for key in self._redis.scan_iter(match=f"nb:{{*}}:c:{scope_glob}*", count=1000):
                name = key.decode().split(":c:", 1)[1]
                if name == scope or name.startswith(f"{scope}/"):
                    found.add(name)
        return tuple(sorted(found))

    async def erase(self) -> None:
        """Have the server write its log anew, without what was forgotten; where it may not, its next rewrite does."""
        with suppress(StoreError):
            async with guarded():
                await self._redis.bgrewriteaof()

    async def _list(self, kind: str, conversation: str, word: str = "") -> list[bytes]:
        """The entries of a list, those with a word if one is given."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._boxes.key(kind, conversation), 0, -1)
        return [entry for entry in entries if not word or has(entry, word)]


def _of(
    entries: list[bytes], read: Callable[[bytes], tuple[Exchange, ...] | tuple[Question, ...]], person: str
) -> list[bytes]:
    """The entries whose question this person put."""
    return [entry for entry in entries if any(person in (each.author.id, *each.others) for each in read(entry))]
