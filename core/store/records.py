"""Conversation lookups: finds questions and answers by message, and changes, lists and forgets them."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from typing import Any

from core.awake import awake
from core.domain.conversation import Conversation, Exchange, Lane, Summary, digest, in_order
from core.domain.errors import StoreError
from core.domain.progress import AnsweredQuestion
from core.domain.question import Question
from core.domain.retry import retried
from core.domain.turn_id import Step, TurnId, step_of
from core.store.entries import has, lane_name, progress_of, turn_key
from core.store.mailbox import Mailboxes, ms
from core.store.redis.client import guarded
from core.store.redis.erasure import Erasure
from core.store.redis.scripts import load
from core.store.redis.spaces import FIRST

log = logging.getLogger(__name__)

# How many steps of commands, buttons and edits use a connection at once. The pool's other connections are for what must
# not wait: questions, leases, commits and limits.
AT_ONCE = 8
# How long such a step may wait for those before it.
WAIT_SECONDS = 10.0
# How long a command waits for the first index of conversations from before there were indexes.
INDEX_SECONDS = 30.0
INDEXED = f"{FIRST}:indexed"
SCAN_KEYS = 1000  # that one step of a scan of all keys looks at
RETRY_SECONDS = 5.0  # until the next attempt to index


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


@dataclass(frozen=True, slots=True)
class Undone:
    """An exchange that was forgotten, and its answered question if that was known."""

    exchange: Exchange
    shown: AnsweredQuestion | None


def _known(index: str, /) -> Any:
    """The names of conversations."""


class ConversationLookups:
    """Looks up and changes conversations: a read is one round trip, a change one Lua step. All raise StoreError."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes
        self._redis, self._entries = mailboxes.redis, mailboxes.entries
        self._places = asyncio.Semaphore(AT_ONCE)
        self._scanning = asyncio.Lock()
        self._indexed = False
        self._known = load(mailboxes.redis, _known)
        self._erasure = Erasure(mailboxes.redis)

    async def running(self, conversation: Conversation) -> tuple[AnsweredQuestion, ...]:
        """The running questions of all lanes in order of arrival, with the known messages of their replies.

        In place of one that can't be read, there is one of the same name that nobody asked: it can be stopped.
        """
        return tuple(answered for _, answered in await self._running(conversation))

    async def running_in(self, lane: Lane) -> AnsweredQuestion | None:
        """The running question of this lane."""
        return next((found for name, found in await self._running(lane.conversation) if name == lane.name), None)

    async def _running(self, conversation: Conversation) -> list[tuple[str, AnsweredQuestion]]:
        line, turns = await self._line(conversation)
        entries = [entry for entry in line if turn_key(entry) in turns]
        questions = self._entries.questions_or_substitutes(conversation, entries)
        return [
            (lane_name(entry), AnsweredQuestion(question, progress_of(turns[turn_key(entry)]).messages))
            for entry, question in zip(entries, questions, strict=True)
        ]

    async def _line(self, conversation: Conversation) -> tuple[list[bytes], dict[bytes, bytes]]:
        """The entries of the waiting and running questions, and what is stored of the turns of the running ones."""
        async with self._place(), guarded(), self._redis.pipeline(transaction=False) as pipe:
            pipe.lrange(self._mailboxes.key("q", conversation), 0, -1)
            pipe.hgetall(self._mailboxes.key("t", conversation))
            line, turns = await pipe.execute()
        return line, turns

    async def ended(self, conversation: Conversation, message: str) -> AnsweredQuestion | None:
        """The question that was recently answered in this message; None if it is forgotten."""
        entries = await self._list("e", conversation, message)
        answered = self._entries.answered_questions(conversation, entries)
        return next((each for each in answered if message in each.messages), None)

    async def asked(self, conversation: Conversation, message: str) -> tuple[State, AnsweredQuestion] | None:
        """The question in this message if it waits, runs or was recently answered; None if there is none."""
        line, turns = await self._line(conversation)
        for entry in line:
            if has(entry, message):
                for question in self._entries.questions(conversation, [entry]):
                    state = State.RUNNING if turn_key(entry) in turns else State.WAITING
                    return state, AnsweredQuestion(question, ())
        found = self._entries.answered_questions(conversation, await self._list("e", conversation, message))
        return next(((State.ENDED, each) for each in found if each.question.message == message), None)

    async def newest(self, conversation: Conversation, thread: str = "") -> Question | None:
        """The newest question that waits, runs or was recently answered, in this thread if one is given; None if there
        is none."""
        line, _ = await self._line(conversation)
        answered = self._entries.answered_questions(conversation, await self._list("e", conversation))
        found = (*(each.question for each in reversed(answered)), *self._entries.questions(conversation, line))
        here = [each for each in found if not thread or thread in (each.place.thread, each.message)]
        return max(here, key=lambda each: each.at, default=None)

    async def waits(self, conversation: Conversation, turn: TurnId) -> bool:
        """Whether the question of this turn waits or runs."""
        return bool(await self._list("q", conversation, turn))

    async def answered(self, conversation: Conversation, turn: TurnId) -> bool:
        """Whether the answer of this turn is in the history."""
        return bool(await self._list("h", conversation, turn))

    async def exchange(self, conversation: Conversation, message: str) -> Exchange | None:
        """The exchange that this message belongs to; None if there is none in the history."""
        entries = await self._list("h", conversation, message)
        return next(iter(self._entries.exchanges(conversation, entries)), None)

    async def edit(self, conversation: Conversation, question: Question) -> State | None:
        """Change a waiting question and return WAITING; otherwise only return RUNNING, or None if it is gone."""
        waiting = await self._list("q", conversation, question.id)
        if not waiting:
            return None
        entry = self._entries.question(Lane(conversation, lane_name(waiting[0])), question)
        async with self._place():
            found = await self._mailboxes.edit(conversation, word=question.id, entry=entry)
        return {b"WAITING": State.WAITING, b"RUNNING": State.RUNNING}.get(found)

    async def revise(self, conversation: Conversation, answered: AnsweredQuestion) -> bool:
        """Change an answered question, for when its answer is regenerated; False if it was forgotten."""
        entry = self._entries.answered_question(conversation, answered)
        async with self._place():
            return bool(await self._mailboxes.revise(conversation, word=answered.question.id, entry=entry))

    async def delete(self, conversation: Conversation, message: str) -> DeletedMessage:
        """Forget the question or answer of a deleted message, and end its turn if it runs."""
        async with self._place():
            found = await self._mailboxes.delete(conversation, word=message)
        running, waiting, exchange, answered, summaries = found
        if waiting or exchange or answered or summaries:
            await self.erase()
        exchanges = self._entries.exchanges(conversation, filter(None, [exchange]))
        shown = self._entries.answered_questions(conversation, filter(None, [answered]))
        return DeletedMessage(bool(running), int(waiting), next(iter(exchanges), None), next(iter(shown), None))

    async def undo(self, conversation: Conversation, exchange: Exchange) -> Undone | State | None:
        """Forget this exchange with all its versions; RUNNING if a question of its lane waits or runs, None if the
        exchange is gone."""
        lanes = ("", exchange.thread or exchange.author.id)
        entries = await self._list("e", conversation, exchange.turn)
        shown = next(iter(self._entries.answered_questions(conversation, entries)), None)
        undoer = self._mailboxes.question_key(conversation, step_of(exchange.turn, Step.UNDONE))
        async with self._place():
            found = await self._mailboxes.undo(
                conversation, undoer, request=uuid.uuid4().hex, turn=exchange.turn, of_lanes=lanes
            )
        if found != b"UNDONE":
            return State.RUNNING if found == b"BUSY" else None
        await self.erase()
        return Undone(exchange, shown)

    async def versions(self, conversation: Conversation, turn: TurnId) -> tuple[Exchange, ...]:
        """All answers to the question of this turn, in order of writing."""
        async with self._place():
            return await self._mailboxes.versions(conversation, turn)

    async def reset(self, conversation: Conversation) -> int:
        """Forget the history of a conversation; returns how many exchanges it had."""
        async with self._place():
            count = int(await self._mailboxes.reset(conversation))
        if count:
            await self.erase()
        return count

    async def forget(self, conversation: Conversation, person: str) -> int:
        """Forget this person's questions in a conversation and their answers; returns how many exchanges it forgot."""
        # Any waiting question may be answered together with the running one of its lane.
        waiting = await self._list("q", conversation)
        lanes = dict.fromkeys(
            lane_name(entry)
            for entry in waiting
            for question in self._entries.questions(conversation, [entry])
            if question.author.id == person
        )
        of_lanes = f",{','.join(lanes)}," if lanes else ""
        # First the running turns: one that ended before its mark is in the history, and one after it stores nothing.
        before = await self._forget(conversation, person, of_lanes, []) if lanes else 0
        history = [*await self._list("h", conversation), *await self._list("v", conversation)]
        mine = [
            *_of(history, lambda entry: self._entries.exchanges(conversation, [entry]), person),
            *_of(
                await self._list("e", conversation),
                lambda entry: tuple(each.question for each in self._entries.answered_questions(conversation, [entry])),
                person,
            ),
        ]
        return before + await self._forget(conversation, person, of_lanes, mine)

    async def _forget(self, conversation: Conversation, person: str, of_lanes: str, entries: list[bytes]) -> int:
        async with self._place():
            count, summaries = await self._mailboxes.forget(
                conversation, person=person, of_lanes=of_lanes, entries=entries
            )
        if entries or summaries:
            await self.erase()
        return int(count)

    async def retain(self, scope: str, keep: float) -> None:
        """Keep the conversations of a channel or thread for this many seconds, and forget what is older now."""
        for conversation in await self.conversations(scope):
            async with self._place():
                await self._mailboxes.retain(conversation, keep_ms=ms(keep))
        await self.erase()

    async def history(self, conversation: Conversation) -> tuple[Exchange, ...]:
        """The history of a conversation, in order of the questions."""
        return in_order(self._entries.exchanges(conversation, await self._list("h", conversation)))

    async def replaced(self, conversation: Conversation) -> tuple[Exchange, ...]:
        """The versions of answers in a conversation that are not on screen."""
        return self._entries.exchanges(conversation, await self._list("v", conversation))

    async def summaries(self, conversation: Conversation) -> tuple[tuple[str, Summary], ...]:
        """The summaries of a conversation that can be read, each with the name of its dialogue."""
        async with self._place(), guarded():
            stored: dict[Any, Any] = await self._redis.hgetall(self._mailboxes.key("s", conversation))
        named = ((name.decode("utf-8", "replace"), entry) for name, entry in sorted(stored.items()))
        found = ((name, self._entries.read_summary(conversation, name, entry)) for name, entry in named)
        return tuple((name, summary) for name, summary in found if summary and summary.text)

    async def summarises(self, conversation: Conversation, message: str) -> bool:
        """Whether a summary of this conversation tells of an exchange with this message."""
        return any(digest(message) in each.covered for _, each in await self.summaries(conversation))

    async def conversations(self, scope: str) -> tuple[Conversation, ...]:
        """The conversations of a workspace, channel or thread: its own, its threads' and private ones."""
        if not self._indexed:
            try:
                async with awake(INDEX_SECONDS):
                    await self.index(again=False)
            except TimeoutError:
                raise StoreError("the conversations from before the upgrade are still being looked for") from None
        names: set[str] = set()
        for key in self._mailboxes.index_keys("/".join(scope.split("/")[:3])):
            async with self._place(), guarded():
                names |= {name.decode("utf-8", "replace") for name in await self._known(key)}
        found = (Conversation.named(name) for name in sorted(names))
        return tuple(each for each in found if each.is_in(scope))

    async def index(self, *, again: bool = True) -> None:
        """Index the conversations of processes that did not do so themselves: those of an older version.

        Looks at all keys, slowly, beside everything else. `again`: even if a process has done so; call it once at the
        start, since processes of the older version may have run until now.
        """
        async with guarded():
            self._indexed = self._indexed or bool(await self._redis.exists(INDEXED))
        if self._indexed and not again:
            return
        async with self._scanning:
            if again or not self._indexed:
                await self._scan()
                self._indexed = True
                with suppress(StoreError):  # its memory may be full; then other processes look too
                    async with guarded():
                        await self._redis.set(INDEXED, 1)

    async def _scan(self) -> None:
        keys = self._redis.scan_iter(match=f"{FIRST}:{{*}}:c:*", count=SCAN_KEYS)  # older versions know no other space
        while True:
            async with guarded(INDEX_SECONDS):  # many keys may be passed over before one matches
                key = await anext(keys, None)
            if key is None:
                return
            name = key.decode("utf-8", "replace").split(":c:", 1)[1]
            try:
                await self._mailboxes.index(Conversation.named(name))
            except StoreError as error:
                log.warning("could not index a conversation: %s", error)

    async def erase(self) -> None:
        """Have the server rewrite its log without what was forgotten, soon."""
        await self._erasure.request()

    async def tidy(self) -> None:
        """Index older conversations, then erase from the server's log what was forgotten or has expired, until
        cancelled."""
        await retried(self.index, repeat(RETRY_SECONDS), on=StoreError)
        await self._erasure.run()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of a few connections, so that however many commands there are, others find one too. Raises StoreError."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise StoreError("too many commands at once") from None
        try:
            yield
        finally:
            self._places.release()

    async def _list(self, kind: str, conversation: Conversation, word: str = "") -> list[bytes]:
        """The entries of a list; with `word`, only those that have it."""
        async with self._place(), guarded():
            entries: list[Any] = await self._redis.lrange(self._mailboxes.key(kind, conversation), 0, -1)
        return [entry for entry in entries if not word or has(entry, word)]


def _of(
    entries: list[bytes], read: Callable[[bytes], tuple[Exchange, ...] | tuple[Question, ...]], person: str
) -> list[bytes]:
    """The entries whose question this person asked."""
    return [entry for entry in entries if any(person in (each.author.id, *each.others) for each in read(entry))]
