"""Turns in Redis: a conversation is a mailbox with lanes, each with a lease; each step is one Lua call in one slot."""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from core.domain.conversation import Conversation, Exchange, Lane, in_order
from core.domain.errors import QuestionDeleted, Stale, StoreError
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.domain.question import NEW, Question
from core.domain.turn_id import Step, TurnId, step_of, unasked
from core.settings.encryption import NO_ENCRYPTION, Encryption, Unreadable
from core.store.entries import fence_of, lane_name, progress_entry, read_forgotten, read_progress, substitute
from core.store.mailbox import DEFAULT_RETENTION, VERSIONS, Mailboxes, Retention, ms
from core.store.redis.client import guarded
from core.store.redis.spaces import Spaces
from core.store.signals import Signals

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed question. `fence` proves the claim, `attempt` counts from 1, `epoch` counts resets. `history`: what was
    committed when it was claimed, in order of the questions.

    `also`: questions that are answered with it, and `entries` their entries in the line. `retracted`: its question was
    deleted, so the visible part of its reply must be removed. `forgotten`: digests of messages of forgotten exchanges.
    `asked`: when we sent the claim, by our monotonic clock; the lease may have begun then, however late its answer.
    """

    lane: Lane
    question: Question
    fence: int
    attempt: int
    epoch: int
    history: tuple[Exchange, ...]
    progress: Progress
    also: tuple[Question, ...] = ()
    entries: tuple[bytes, ...] = ()
    retracted: bool = False
    forgotten: frozenset[str] = frozenset()
    asked: float = field(default=0.0, compare=False)

    @property
    def conversation(self) -> Conversation:
        """What it is remembered in."""
        return self.lane.conversation


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This question was accepted before."""


@dataclass(frozen=True, slots=True)
class Full:
    """Too many questions already wait in this lane or conversation; nothing was stored."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Silent:
    """Bots asked too often here without a person between; nothing was stored. `first`: those before it were."""

    first: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was stored: the person may not ask here, or not now. The sentence says why."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Accepted; `ahead` questions must end before it can begin."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Accepted, and we hold a turn of this conversation: of this question, or of one that waited longer."""

    turn: Turn


Acceptance = Duplicate | Full | Silent | Refused | Queued | Claimed


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease is prolonged. `stop`: somebody wants to end the turn; `retract`: because its question was deleted.

    `lost`: the server lost the question, as after a failover or FLUSHALL.
    """

    stop: bool = False
    retract: bool = False
    lost: bool = False


class Turns:
    """Accepts questions and runs turns. Each step is one round trip and safe to repeat; all raise StoreError."""

    def __init__(
        self,
        redis: "Redis",
        limits: Retention = DEFAULT_RETENTION,
        partitions: int = 1,
        encryption: Encryption = NO_ENCRYPTION,
        spaces: Spaces | None = None,
    ) -> None:
        """`partitions`, `encryption` and `spaces`: see Mailboxes, Encryption and Spaces."""
        self.limits = limits
        self.mailboxes = Mailboxes(redis, limits, partitions, encryption, spaces)
        self.spaces, self.signals = self.mailboxes.spaces, Signals(redis, self.mailboxes.spaces)
        self._entries, self._redis = self.mailboxes.entries, redis

    async def accept(
        self,
        lane: Lane,
        question: Question,
        request: str,
        keep: float | None = None,
        *,
        parallel: int = 1,
        claim: bool = True,
    ) -> Acceptance:
        """Queue a question once. If there is room for one more lane, claim the one that waits longest, or leave it to
        others without `claim`.

        `request` names this call: a repetition with the same name, after a lost answer, returns that answer again.
        `keep`: how many seconds the conversation is remembered; None: as the limits say. `parallel`: its lanes at once.
        """
        limits, conversation, place = self.limits, lane.conversation, question.place
        kept = limits.keep if keep is None else keep
        asked = time.monotonic()
        reply = await self.mailboxes.accept(
            conversation,
            self.mailboxes.question_key(conversation, question.id),
            self.mailboxes.asked_key(conversation),
            self.mailboxes.chain_key(conversation, place),
            request=request,
            entry=self._entries.question(lane, question),
            inbox_limit=limits.inbox,
            keep_ms=ms(kept),
            parallel=parallel,
            claim=int(claim),
            thread=(place.thread or question.message) if question.is_said else "",
            opens=int(place.thread in ("", question.message)),
            person=question.author.id,
            asked_ms=ms(min(limits.asked, kept)),
            link=("extends" if question.author.program else "ends") if question.is_open else "",
            most=limits.chained,
            chain_ms=ms(limits.chain),
        )
        match reply[0]:
            case b"DUPLICATE":
                return Duplicate()
            case b"FULL":
                return Full(waiting=reply[1])
            case b"SILENT":
                return Silent(first=reply[1] == limits.chained + 1)
            case b"QUEUED":
                return Queued(ahead=reply[1])
            case _:
                try:
                    return Claimed(await self._turn(conversation, reply[1], asked))
                except Unreadable:  # the question before ours
                    return Queued(ahead=0)

    async def forgotten(self, conversation: Conversation, question: Question) -> bool:
        """Whether the server no longer knows that this question was accepted, though it would know it for
        `limits.dedupe` seconds: it lost its data."""
        async with guarded():
            return not await self._redis.exists(self.mailboxes.question_key(conversation, question.id))

    async def once(self, event: TurnId, keep: float | None = None) -> bool:
        """True for the first call with this event's id across all processes, in `keep` seconds (`limits.dedupe`)."""
        key, call = self.mailboxes.dedupe_key(event), uuid.uuid4().hex
        async with guarded():
            if await self._redis.set(key, call, nx=True, px=ms(self.limits.dedupe if keep is None else keep)):
                return True
            # The client repeats a command whose answer was lost: then the key exists and holds our own call.
            return bool(await self._redis.get(key) == call.encode())

    async def undo(self, event: TurnId) -> None:
        """The event came to nothing: the next call of `once` is the first."""
        async with guarded():
            await self._redis.delete(self.mailboxes.dedupe_key(event))

    async def known(self, conversation: Conversation, question: TurnId) -> bool:
        """Whether this question was accepted, declined or refused, as long as duplicates are recognised."""
        keys = [self.mailboxes.question_key(conversation, each) for each in (question, unasked(question))]
        async with guarded():
            if await self._redis.exists(*keys):
                return True
            return bool(await self._redis.exists(self.mailboxes.dedupe_key(step_of(question, Step.REFUSED))))

    async def waiting(self, conversation: Conversation) -> int:
        """How many questions wait in all lanes of this conversation, including the running ones."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for kind in "qi":
                pipe.llen(self.mailboxes.key(kind, conversation))
            return sum(await pipe.execute())

    async def line(self, lane: Lane) -> tuple[tuple[Question, bytes], ...]:
        """The waiting questions of this lane with their entries, the running one first, up to the first that can't be
        read."""
        found: list[tuple[Question, bytes]] = []
        for entry in await self._waiting(lane):
            questions = self._entries.questions(lane.conversation, [entry])
            if not questions:
                break
            found.append((questions[0], entry))
        return tuple(found)

    async def ahead(self, conversation: Conversation, question: Question) -> int | None:
        """How many questions must end before this one can begin; None if it no longer waits."""
        found: int | None = await self.mailboxes.ahead(conversation, word=question.id)
        return found

    async def _waiting(self, lane: Lane) -> list[bytes]:
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self.mailboxes.key("q", lane.conversation), 0, -1)
        return [each for each in entries if lane_name(each) == lane.name]

    async def stop(self, conversation: Conversation, turn: TurnId) -> bool:
        """Have this turn ended by the process that holds it; False if it does not run."""
        return bool(await self.mailboxes.stop(conversation, turn=turn))

    async def claim(self, lane: Lane) -> Turn | None:
        """The next turn of a lane whose lease expired or was handed back; None if there is none to take.

        If the question can't be read, because another version stored it or its key is missing, hands the turn back and
        raises Unreadable, so that another process can try. After `limits.unreadable` seconds the turn has a substitute
        for the question instead, which ends in a sentence.
        """
        asked, conversation, mailboxes = time.monotonic(), lane.conversation, self.mailboxes
        old = mailboxes.key("i", conversation), mailboxes.old_leases(conversation)
        reply = await mailboxes.claim(conversation, *old, lane=lane.name)
        return await self._turn(conversation, reply[1], asked) if reply[0] == b"CLAIMED" else None

    async def lapsed(self, beginnings: Sequence[str] = ("",), at_most: int = 100) -> tuple[Lane, ...]:
        """Lanes whose lease expired and whose name begins with one of these; within a partition the earliest expired
        first. A partition out of reach does not hide the others. Raises StoreError if all are out of reach."""
        spaces: dict[str, list[str]] = {}
        for beginning in beginnings:
            spaces.setdefault(self.spaces.prefix(beginning), []).append(beginning)
        asked = [
            self.mailboxes.lapsed(partition, each, at_most)
            for each in spaces.values()
            for partition in range(self.mailboxes.partitions)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors and (len(errors) == len(answers) or not isinstance(errors[0], StoreError)):
            raise errors[0]
        found = (name for names in answers if not isinstance(names, BaseException) for name in names)
        return tuple(Lane.named(name.decode("utf-8", "replace")) for name in found)

    async def renew(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> Renewed:
        """Prolong the lease and store the progress. Raises Stale if another process holds the lease."""
        found = await self.mailboxes.renew(
            turn.conversation,
            self._ending(turn),
            fence=turn.fence,
            turn=turn.question.id,
            progress=progress_entry(progress),
        )
        if not found:
            raise Stale(turn.question.id)
        return Renewed(stop=found in (2, 3), retract=found == 3, lost=found == 4)

    async def restore(self, turn: Turn) -> None:
        """Queue the question of a running turn again, because the server lost it. Raises Stale."""
        found = await self.mailboxes.restore(
            turn.conversation,
            self._ending(turn),
            fence=turn.fence,
            turn=turn.question.id,
            entry=self._entries.question(turn.lane, turn.question),
        )
        if not found:
            raise Stale(turn.question.id)

    async def release(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> bool:
        """Hand an unfinished turn back, for any process to continue at once; False if it had ended or was lost."""
        found = await self.mailboxes.release(
            turn.conversation,
            self._ending(turn),
            fence=turn.fence,
            turn=turn.question.id,
            progress=progress_entry(progress),
        )
        return bool(found == 1)

    async def taken(self, turn: Turn) -> bool:
        """Whether another process has taken the turn over, and perhaps ended it."""
        async with guarded():
            stored: Any = await self._redis.hget(self.mailboxes.key("t", turn.conversation), turn.question.id)
        return fence_of(stored) != turn.fence

    def _ending(self, turn: Turn) -> str:
        """The key that tells how the turn ended."""
        return self.mailboxes.question_key(turn.conversation, turn.question.id)

    async def commit(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...] = ()) -> Turn | None:
        """End the turn and store its exchange, if any. Returns the turn for which there is room now, perhaps of another
        lane; we then hold it.

        `messages`: those that show the reply; with them it can be regenerated. If another process holds the turn,
        raises Stale and writes nothing; if the question was deleted and there is something to store, QuestionDeleted.
        """
        conversation, question, limits = turn.conversation, turn.question, self.limits
        entry = b"" if exchange is None else self._entries.exchange(conversation, exchange)
        again = b""
        if messages:
            again = self._entries.answered_question(
                conversation, AnsweredQuestion(replace(question, kind=NEW) if question.replaces else question, messages)
            )
        replaces, shows = question.replaces, question.shows
        entries = turn.entries or (b"",) * len(turn.also)
        also = [each for other, entry in zip(turn.also, entries, strict=True) for each in (other.id, entry)]
        asked = time.monotonic()
        reply = await self.mailboxes.commit(
            conversation,
            self._ending(turn),
            fence=turn.fence,
            turn=question.id,
            exchange=entry,
            epoch=turn.epoch,
            keep=limits.exchanges,
            again=again,
            again_keep=limits.ended,
            replaces=replaces.turn if replaces else "",
            shows=shows.version if shows else "",
            keeps=VERSIONS if replaces and replaces.keeps else 0,
            also=also,
        )
        if reply[0] == b"STALE":
            raise Stale(question.id)
        if reply[0] == b"DELETED":
            raise QuestionDeleted(question.id)
        try:
            return await self._turn(conversation, reply[1], asked) if reply[0] == b"NEXT" else None
        except Unreadable:
            return None

    async def _turn(self, conversation: Conversation, state: Sequence[Any], asked: float) -> Turn:
        """The turn in a snapshot. Raises Unreadable (see `claim`)."""
        entry, lane_word, fence, attempts, epoch, progress, retracted, history, forgotten = state
        lane = Lane(conversation, lane_word.decode("utf-8", "replace"))
        also: tuple[Question, ...] = ()
        entries: tuple[bytes, ...] = ()
        try:
            question = self._entries.read_question(conversation, entry)
        except Unreadable as error:
            log.error("%s: %s; is a key missing in ENCRYPTION_KEYS, or a version too old?", conversation, error)
            # No version writes an entry without a bar, so nobody will ever read one.
            after = ms(self.limits.unreadable) if b"|" in entry else 0
            if not await self.mailboxes.unread(conversation, fence=fence, after_ms=after):
                raise
            question, history = substitute(conversation, entry), ()
            # One sentence for all of them: nobody should wait as long for the next one as for this one.
            entries = tuple(each for each in (await self._waiting(lane))[1:] if self._cant_read(conversation, each))
            also = tuple(substitute(conversation, each) for each in entries)
        # A new answer continues in the messages of the old one.
        before = Progress(question.replaces.messages) if question.replaces else NOTHING_SHOWN
        return Turn(
            lane=lane,
            question=question,
            fence=int(fence),
            attempt=int(attempts),
            epoch=int(epoch),
            history=in_order(self._entries.exchanges(conversation, history)),
            progress=read_progress(progress, before),
            also=also,
            entries=entries,
            retracted=bool(retracted),
            forgotten=read_forgotten(forgotten),
            asked=asked,
        )

    def _cant_read(self, conversation: Conversation, entry: bytes) -> bool:
        try:
            self._entries.read_question(conversation, entry)
        except Unreadable:
            return True
        return False
