"""Compares the queue with its model: runs each step in a real Redis and in the model, which must agree."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis

from core.domain.conversation import Conversation, Exchange, Lane
from core.domain.errors import QuestionDeleted, Stale
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.question import Question
from core.store.entries import has, read_progress
from core.store.mailbox import Retention
from core.store.records import ConversationLookups
from core.store.redis.client import connect
from core.store.turns import Acceptance, Claimed, Full, Turn, Turns
from tests.core.store.queue_model import Box, Claim, LeaseState, question, reply, said

T = TypeVar("T")

CHANNELS = ("C1", "C2")
LANES = ("", "a", "b")
# A lease expires only if a step says so.
LIMITS = Retention(lease=3600, inbox=4, exchanges=3, ended=2)
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
        self.turns = Turns(self.redis, LIMITS, partitions=2)
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

    def __init__(self, server: BlockingRedis, parallel: int = 1, channels: Sequence[str] = CHANNELS) -> None:
        self._server = server
        self.turns, self.records = server.turns, server.records
        server.run(self._flush())
        names = {channel: question(channel, 0).place.name for channel in channels}
        self.channels = {channel: Box(name, LIMITS, parallel) for channel, name in names.items()}
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
        model = box.fence
        box.renumber(self._server.run(self._fence(box.name)))
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

    def accept(
        self,
        process: int,
        asked: Question,
        lane: str = "",
        *,
        parallel: int | None = None,
        claim: bool = True,
        lost: bool = False,
    ) -> Acceptance | None:
        """A new request, or a redelivery if the question was accepted before. `lost`: its answer does not arrive.

        `parallel`: from now on; None: as before. Without `claim`, what there is room for is left to others.
        """
        self._requests += 1
        return self._accept(process, asked, f"{process} {self._requests}", lane, parallel, claim, lost)

    def accept_again(self, asked: Question) -> Acceptance | None:
        """The same request that the question was accepted with, repeated by the process that sent it."""
        box = self.boxes[asked.place.name]
        request = box.requests[asked.id]
        return self._accept(int(request.split()[0]), asked, request, box.lanes[asked.id], None, True, False)

    def _accept(
        self, process: int, asked: Question, request: str, lane: str, parallel: int | None, claim: bool, lost: bool
    ) -> Acceptance | None:
        box = self.boxes[asked.place.name]
        waiting, parallel = len(box.line), parallel or box.parallel
        found = self.both(
            self.turns.accept(_lane(box, lane), asked, request, parallel=parallel, claim=claim),
            lambda: box.accept(lane, asked, request, parallel, claim=claim),
        )
        if isinstance(found, Full):
            assert len(box.line) == waiting
        if isinstance(found, Claimed) and not lost:
            self._take(process, found.turn)
        return found

    def claim(self, process: int, box: Box, lane: str = "") -> Turn | None:
        """Take over a lane, if its turn has come."""
        turn = self.both(self.turns.claim(_lane(box, lane)), lambda: box.claim(lane))
        self._take(process, turn)
        return turn

    def look(self) -> list[Lane]:
        """Check what those that look for work find: the lanes that were handed back or offered, or whose lease expired.
        Also what else people and processes ask."""
        self._server.run(self._ask())
        found = self._server.run(self.turns.lapsed())
        expected = {
            _lane(box, lane)
            for box in self.boxes.values()
            for lane, state in box.leases.items()
            if state is not LeaseState.LIVE
        }
        assert set(found) == expected
        assert len(found) == len(expected)
        return list(found)

    def lapse(self, box: Box, lane: str = "") -> None:
        """The lease of a lane expires unnoticed by its holder, as if that process were paused."""
        if lane in box.held():
            box.lapse(lane)
            self._server.run(self._expire(_lane(box, lane)))

    async def _expire(self, lane: Lane) -> None:
        await self._server.redis.zadd(self._leases(lane.conversation.name), {str(lane): 1}, xx=True)

    def _leases(self, name: str) -> str:
        return f"nb:{self.turns.mailboxes.tag(name)}:lanes"

    def crash(self, process: int) -> None:
        """A process is gone with all its knowledge; its leases expire."""
        for held in [each for each in self.held if each.process == process]:
            self.held.remove(held)
            box = self.boxes[held.turn.conversation.name]
            if box.runs(held.turn):
                self.lapse(box, held.turn.lane.name)

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
        also = tuple(box.of(held.turn.lane.name)[1 : 1 + merged]) if box.runs(held.turn) else ()
        turn = replace(held.turn, also=also)
        retracted = box.claim_of(turn.question).retracted
        if answered and retracted:  # a holder that has not heard of the deletion learns of it here
            said_too_late, shown = said(turn), (reply(turn.question),)
            self.both(self.turns.commit(turn, said_too_late, shown), lambda: box.commit(turn, said_too_late, shown))
        exchange = said(turn) if answered and not retracted else None
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
        """All processes crash; another goes on with what it finds. Each question must have exactly one answer."""
        for process in {each.process for each in self.held}:
            self.crash(process)
        for box in self.boxes.values():
            for lane in box.held():
                self.lapse(box, lane)
        while waiting := sum(len(box.line) for box in self.boxes.values()):
            for _ in range(2):  # a look may only find that others wait longer
                for found in self.look():
                    self.claim(99, self.boxes[found.conversation.name], found.name)
                while self.held:
                    self.commit(self.held[0])
            assert sum(len(box.line) for box in self.boxes.values()) < waiting, "whoever looks gets on"
        for box in self.boxes.values():
            assert sorted(each for each in box.requests if each not in box.deleted) == sorted(box.committed)
            assert all(self.commits[each] == 1 for each in box.committed)
        for found in self.look():
            assert self.claim(99, self.boxes[found.conversation.name], found.name) is None, "nothing waits there"
        self.check()
        assert self._server.run(self.turns.lapsed()) == ()

    def check(self) -> None:
        """Check what must hold between any two steps."""
        for box in self.boxes.values():
            box.check()
            held = [each for each in self.held if each.turn.conversation.name == box.name]
            assert all(each.turn.fence <= box.fence for each in held)
            newest = [each.turn.lane for each in held if box.runs(each.turn)]
            assert len(set(newest)) == len(newest), "one holder of a lane, whose token is the newest of its turn"
        self._server.run(self._compare())

    async def _compare(self) -> None:
        redis, mailboxes = self._server.redis, self.turns.mailboxes
        async with redis.pipeline(transaction=False) as pipe:
            for box in self.boxes.values():
                for kind in "qhe":
                    pipe.lrange(mailboxes.key(kind, Conversation(box.name)), 0, -1)
                pipe.zrange(self._leases(box.name), 0, -1, withscores=True)
                pipe.hmget(mailboxes.key("c", Conversation(box.name)), "fence", "epoch")
                pipe.hgetall(mailboxes.key("t", Conversation(box.name)))
            pipe.eval(_TTLS, 0)
            *found, ttls = await pipe.execute()
        for place, box in enumerate(self.boxes.values()):
            line, history, ended, leases, numbers, turns = found[6 * place : 6 * place + 6]
            assert [int(each or 0) for each in numbers] == [box.fence, box.epoch]
            assert list(mailboxes.entries.questions(Conversation(box.name), line)) == box.line
            assert all(has(each, f"^{box.lanes[asked.id]}") for each, asked in zip(line, box.line, strict=True))
            assert list(mailboxes.entries.exchanges(Conversation(box.name), history)) == box.history
            assert list(mailboxes.entries.answered_questions(Conversation(box.name), ended)) == box.ended
            lanes = {Lane.named(name.decode()): _lease(end) for name, end in leases}
            ours = {lane.name: state for lane, state in lanes.items() if lane.conversation.name == box.name}
            assert ours == box.leases
            claims = {name.decode(): _claim(json.loads(state)) for name, state in turns.items()}
            assert claims == {name: _claimed(claim) for name, claim in box.claims.items()}
            tags = {key.split(b":")[1] for key in ttls[::2] if box.name.encode() in key}
            assert len(tags) <= 1, "all keys of a conversation share one hash tag"
        assert all(left > 0 for left in ttls[1::2]), "every key goes away by itself"

    async def _ask(self) -> None:
        for box in self.boxes.values():
            conversation = Conversation(box.name)
            assert await self.turns.waiting(conversation) == len(box.line)
            assert list(await self.records.running(conversation)) == box.running()
            for lane in set(box.lanes.values()):
                assert [each for each, _ in await self.turns.line(_lane(box, lane))] == box.of(lane)
            for asked in box.line:
                assert await self.turns.ahead(conversation, asked) == box.ahead(asked.id)
        for held in self.held:
            assert await self.turns.taken(held.turn) != self.boxes[held.turn.conversation.name].runs(held.turn)


def _lane(box: Box, name: str) -> Lane:
    return Lane(Conversation(box.name), name)


def _claimed(claim: Claim) -> tuple[int, int, Progress]:
    return claim.fence, claim.attempts, claim.progress


def _claim(state: dict[str, Any]) -> tuple[int, int, Progress]:
    """The same of a turn as it is stored."""
    progress = state.get("progress")
    return int(state["fence"]), int(state["attempts"]), read_progress(progress.encode() if progress else None)


def _lease(end: float) -> LeaseState:
    """The state of a lease that ends at this time in milliseconds: `lapse` sets 1, and a release the present."""
    if end == 1:
        return LeaseState.LAPSED
    return LeaseState.FREE if end <= 1000 * time.time() else LeaseState.LIVE
