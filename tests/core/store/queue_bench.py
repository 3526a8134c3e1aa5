"""Compares the queue with its model: runs each step in a real Redis and in the model, which must agree."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis

from core.domain.conversation import Conversation, Exchange, Lane
from core.domain.errors import QuestionDeleted, Stale
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.question import Question
from core.store.entries import read_progress
from core.store.mailbox import Retention
from core.store.records import ConversationLookups
from core.store.redis.client import connect
from core.store.turns import Acceptance, Claimed, Full, Turn, Turns
from tests.core.store.queue_model import Box, LeaseState, question, reply, said

T = TypeVar("T")

CHANNELS = ("C1", "C2")
# A lease expires only if a step says so.
LIMITS = Retention(lease=3600, inbox=3, exchanges=3, ended=2)
_STALE = "stale"
_DELETED = "deleted"
# Every key and its time to live, in one round trip.
_TTLS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('PTTL', key)
end
return found
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A turn that a process believes it holds."""

    process: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class Ended:
    """A commit that was applied, whether or not its answer arrived."""

    process: int
    turn: Turn
    exchange: Exchange | None
    messages: tuple[str, ...]


class BlockingRedis:
    """A client of the tests' Redis on a loop of its own, for tests that are not coroutines."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self.redis: Redis = connect(self._url)
        self.turns = Turns(self.redis, LIMITS, partitions=4)
        self.records = ConversationLookups(self.turns.mailboxes)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.redis.aclose())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine until its end."""
        return self._runner.get_loop().run_until_complete(work)


_NEVER_MS = 10**9  # no process waits this long for one that can read a question


class Bench:
    """Steps of several processes on an empty Redis. A step fails if Redis and the model differ."""

    def __init__(self, server: BlockingRedis) -> None:
        self._server = server
        self.turns, self.records = server.turns, server.records
        server.run(self._flush())
        names = {channel: question(channel, 0).place.name for channel in CHANNELS}
        self.channels = {channel: Box(name, LIMITS) for channel, name in names.items()}
        self.boxes = {box.name: box for box in self.channels.values()}
        self.held: list[Held] = []
        self.ended: list[Ended] = []
        self.commits: Counter[str] = Counter()  # as Redis reported them
        self._requests = 0

    async def _flush(self) -> None:
        await self._server.redis.flushall()

    def both(self, real: Coroutine[Any, Any, T], model: Callable[[], T]) -> T | None:
        """Run one step in both; None if it is stale in both."""
        found: T | str
        expected: T | str
        before = {name: box.fence for name, box in self.boxes.items()}
        try:
            found = self._server.run(real)
        except Stale:
            found = _STALE
        except QuestionDeleted:
            found = _DELETED
        try:
            expected = model()
        except Stale:
            expected = _STALE
        except QuestionDeleted:
            expected = _DELETED
        for name, fence in before.items():
            expected = self._renumbered(self.boxes[name], fence, expected)
        assert found == expected, f"Redis: {found}, the model: {expected}"
        return None if isinstance(found, str) else found

    def _renumbered(self, box: Box, before: int, expected: T) -> T:
        """The model's answer with a new claim's token from Redis, which is a time and higher than all before."""
        if box.fence == before:
            return expected
        model, box.fence = box.fence, self._server.run(self._fence(box.name))
        assert box.fence > before
        turn = expected.turn if isinstance(expected, Claimed) else expected
        if not isinstance(turn, Turn) or (turn.conversation.name, turn.fence) != (box.name, model):
            return expected
        turn = replace(turn, fence=box.fence)
        return cast(T, Claimed(turn) if isinstance(expected, Claimed) else turn)

    async def _fence(self, name: str) -> int:
        return int(await self._server.redis.hget(self.turns.mailboxes.key("c", Conversation(name)), "fence") or 0)

    def _take(self, process: int, turn: Turn | None) -> None:
        """A process learns that it holds a turn. A repeated answer names the same turn again."""
        if turn and not any(self._same(each, process, turn) for each in self.held):
            self.held.append(Held(process, turn))

    @staticmethod
    def _same(held: Held, process: int, turn: Turn) -> bool:
        return (held.process, held.turn.fence, held.turn.question.id) == (process, turn.fence, turn.question.id)

    def accept(self, process: int, asked: Question, *, lost: bool = False) -> Acceptance | None:
        """A new request, or a redelivery if the question was accepted before. `lost`: its answer does not arrive."""
        self._requests += 1
        return self._accept(process, asked, f"{process} {self._requests}", lost)

    def accept_again(self, asked: Question) -> Acceptance | None:
        """The same request that the question was accepted with, repeated by the process that sent it."""
        request = self.boxes[asked.place.name].requests[asked.id]
        return self._accept(int(request.split()[0]), asked, request, False)

    def _accept(self, process: int, asked: Question, request: str, lost: bool) -> Acceptance | None:
        box = self.boxes[asked.place.name]
        waiting = len(box.line)
        found = self.both(
            self.turns.accept(Lane(Conversation(box.name)), asked, request), lambda: box.accept(asked, request)
        )
        if isinstance(found, Full):
            assert len(box.line) == waiting
        if isinstance(found, Claimed) and not lost:
            self._take(process, found.turn)
        return found

    def claim(self, process: int, box: Box) -> Turn | None:
        """Take over a conversation, if it is free."""
        turn = self.both(self.turns.claim(Lane(Conversation(box.name))), box.claim)
        self._take(process, turn)
        return turn

    def look(self) -> None:
        """Check which conversations are free: handed back, or with an expired lease."""
        free = {box.name for box in self.boxes.values() if box.lease in (LeaseState.FREE, LeaseState.LAPSED)}
        assert {each.name for each in self._server.run(self.turns.lapsed())} == free

    def lapse(self, box: Box) -> None:
        """The lease expires unnoticed by its holder, as if that process were paused."""
        box.lapse()
        if box.lease is LeaseState.LAPSED:
            self._server.run(self._expire(box.name))

    async def _expire(self, name: str) -> None:
        await self._server.redis.zadd(self._leases(name), {name: 1}, xx=True)

    def _leases(self, name: str) -> str:
        return f"nb:{self.turns.mailboxes.tag(name)}:leases"

    def crash(self, process: int) -> None:
        """A process is gone with all its knowledge; its leases expire."""
        for held in [each for each in self.held if each.process == process]:
            self.held.remove(held)
            box = self.boxes[held.turn.conversation.name]
            if box.fence == held.turn.fence:
                self.lapse(box)

    def renew(self, held: Held, progress: Progress = NOTHING_SHOWN) -> None:
        """The holder renews its lease; one that has lost it gives up."""
        box = self.boxes[held.turn.conversation.name]
        if self.both(self.turns.renew(held.turn, progress), lambda: box.renew(held.turn, progress)) is None:
            self.held.remove(held)

    def release(self, held: Held, progress: Progress = NOTHING_SHOWN, *, twice: bool = False) -> None:
        """The holder hands its turn back; `twice`: the answer is lost and the call repeated."""
        self.held.remove(held)
        for _ in range(1 + twice):
            self.release_late(held.turn, progress)

    def unread(self, held: Held, *, twice: bool = False) -> None:
        """The holder can't read its question; `twice`: as in `release`."""
        turn, box = held.turn, self.boxes[held.turn.conversation.name]
        kept: int | None = 0
        for _ in range(1 + twice):
            step = self.turns.mailboxes.unread(turn.conversation, fence=turn.fence, after_ms=_NEVER_MS)
            kept = self.both(cast(Coroutine[Any, Any, int], step), lambda: box.unread(turn))
        if not kept:
            self.held.remove(held)

    def release_late(self, turn: Turn, progress: Progress) -> None:
        """A release arrives, no matter what has happened to the turn."""
        box = self.boxes[turn.conversation.name]
        self.both(self.turns.release(turn, progress), lambda: box.release(turn, progress))

    def renew_late(self, turn: Turn, progress: Progress) -> None:
        """A renewal arrives after its turn has ended."""
        box = self.boxes[turn.conversation.name]
        self.both(self.turns.renew(turn, progress), lambda: box.renew(turn, progress))

    def commit(self, held: Held, *, answered: bool = True, merged: int = 0, lost: bool = False) -> None:
        """The holder ends its turn and also answers `merged` waiting questions; `lost`: its answer is lost."""
        box = self.boxes[held.turn.conversation.name]
        also = tuple(box.line[1 : 1 + merged]) if box.runs(held.turn) else ()
        turn = replace(held.turn, also=also)
        if answered and box.retracted:  # a holder that has not heard of the deletion learns of it here
            said_too_late, shown = said(turn), (reply(turn.question),)
            self.both(self.turns.commit(turn, said_too_late, shown), lambda: box.commit(turn, said_too_late, shown))
        exchange = said(turn) if answered and not box.retracted else None
        self.held.remove(held)
        ended = Ended(held.process, turn, exchange, (reply(turn.question),) if exchange else ())
        if box.runs(turn):
            self.ended.append(ended)
            self.commits.update([turn.question.id, *(each.id for each in also)])
        self.commit_again(ended, lost=lost)

    def commit_again(self, ended: Ended, *, lost: bool = False) -> None:
        """A commit arrives, perhaps for a second time."""
        turn, box = ended.turn, self.boxes[ended.turn.conversation.name]
        following = self.both(
            self.turns.commit(turn, ended.exchange, ended.messages),
            lambda: box.commit(turn, ended.exchange, ended.messages),
        )
        if not lost:
            self._take(ended.process, following)

    def finish(self) -> None:
        """All processes crash; another answers all waiting questions. Each question must have exactly one answer."""
        for process in {each.process for each in self.held}:
            self.crash(process)
        for box in self.boxes.values():
            self.lapse(box)
            if box.line:
                assert self.claim(99, box)
            while held := next((each for each in self.held if each.turn.conversation.name == box.name), None):
                self.commit(held)
            assert not box.line
            assert [each for each in box.requests if each not in box.deleted] == box.committed
            assert all(self.commits[each] == 1 for each in box.committed)
        self.check()
        assert self._server.run(self.turns.lapsed()) == ()

    def check(self) -> None:
        """Check what must hold between any two steps."""
        for box in self.boxes.values():
            box.check()
            held = [each for each in self.held if each.turn.conversation.name == box.name]
            newest = [each for each in held if each.turn.fence >= box.fence]
            assert len(newest) <= 1, "one holder, whose fence is the newest"
            assert not newest or newest[0].turn.fence == box.fence
        self._server.run(self._compare())

    async def _compare(self) -> None:
        redis, mailboxes = self._server.redis, self.turns.mailboxes
        async with redis.pipeline(transaction=False) as pipe:
            for box in self.boxes.values():
                for kind in "ihe":
                    pipe.lrange(mailboxes.key(kind, Conversation(box.name)), 0, -1)
                pipe.zscore(self._leases(box.name), box.name)
                pipe.hmget(mailboxes.key("c", Conversation(box.name)), "fence", "attempts", "epoch", "progress")
            pipe.eval(_TTLS, 0)
            *found, ttls = await pipe.execute()
        for place, box in enumerate(self.boxes.values()):
            inbox, history, ended, score, (*numbers, progress) = found[5 * place : 5 * place + 5]
            assert [int(each or 0) for each in numbers] == [box.fence, box.attempts, box.epoch]
            assert read_progress(progress) == box.progress
            assert list(mailboxes.entries.questions(Conversation(box.name), inbox)) == box.line
            assert list(mailboxes.entries.exchanges(Conversation(box.name), history)) == box.history
            assert list(mailboxes.entries.answered_questions(Conversation(box.name), ended)) == box.ended
            assert _lease(score) == box.lease
            tags = {key.split(b":")[1] for key in ttls[::2] if box.name.encode() in key}
            assert len(tags) <= 1, "all keys of a conversation share one hash tag"
        assert all(left > 0 for left in ttls[1::2]), "every key goes away by itself"


def _lease(end: float | None) -> LeaseState:
    """The state of a lease that ends at this time in milliseconds: `lapse` sets 1, and a release the present."""
    if end is None:
        return LeaseState.NONE
    if end == 1:
        return LeaseState.LAPSED
    return LeaseState.FREE if end <= 1000 * time.time() else LeaseState.LIVE
