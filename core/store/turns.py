"""Turns in Redis: a conversation is a mailbox with a lease, and every step is one Lua call in one slot."""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis

from core.domain.conversation import Exchange, Question
from core.domain.errors import Stale, StoreError
from core.domain.progress import NOTHING_SHOWN, AnsweredQuestion, Progress
from core.settings.encryption import NO_ENCRYPTION, Encryption, Unreadable
from core.store.entries import has, progress_entry, read_progress
from core.store.mailbox import DEFAULTS, Mailboxes, Retention, ms
from core.store.redis.client import guarded
from core.store.signals import Signals

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One claimed mention. `fence` proves the claim, `attempt` counts from 1, `epoch` tells resets apart.

    `also`: mentions that are answered with it, `entries` as what they stand in the line. `retracted`: its question was
    deleted, and what was shown of a reply is to be taken away. `asked`: when the claim left, by our monotonic clock;
    its lease may have begun then, however late the answer was read.
    """

    conversation: str
    mention: Question
    fence: int
    attempt: int
    epoch: int
    history: tuple[Exchange, ...]
    progress: Progress
    also: tuple[Question, ...] = ()
    entries: tuple[bytes, ...] = ()
    retracted: bool = False
    asked: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This mention was accepted before."""


@dataclass(frozen=True, slots=True)
class Full:
    """Too many mentions wait in this conversation already; nothing was stored."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was stored: the person may not ask here, or not now; the sentence says why."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Accepted; `ahead` mentions of this conversation come before it, the running one included."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Accepted, and the turn that is next in this conversation is ours to run."""

    turn: Turn


Acceptance = Duplicate | Full | Refused | Queued | Claimed


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease is ours for longer; `stop`: somebody wants the turn ended, `retract`: because its question is gone."""

    stop: bool = False
    retract: bool = False


class Turns:
    """The typed stubs of the Lua steps. Each is one round trip and safe to repeat; all raise StoreError."""

    def __init__(
        self, redis: "Redis", limits: Retention = DEFAULTS, partitions: int = 1, seal: Encryption = NO_ENCRYPTION
    ) -> None:
        """`partitions`, `seal`: see Mailboxes and Encryption."""
        self.limits = limits
        self.signals = Signals(redis)
        self.mailboxes = Mailboxes(redis, limits, partitions, seal)
        self._entries = self.mailboxes.entries
        self._redis = redis

    async def accept(
        self, conversation: str, mention: Question, request: str, keep: float | None = None, *, claim: bool = True
    ) -> Acceptance:
        """Queue a mention once; claim its conversation when nobody holds it, or leave it to others without `claim`.

        `request` names this call: repeated with the same one after a lost answer, it gives that answer again. `keep`:
        how long this conversation is remembered, in seconds; None: as the limits say.
        """
        limits = self.limits
        entry = self._entries.mention(conversation, mention)
        asked = time.monotonic()
        reply = await self.mailboxes.accept(
            conversation,
            f"nb:{self.mailboxes.tag(conversation)}:d:{mention.id}",
            request=request,
            entry=entry,
            dedupe_ms=ms(limits.dedupe),
            inbox_limit=limits.inbox,
            keep_ms=ms(limits.keep if keep is None else keep),
            claim=int(claim),
        )
        match reply[0]:
            case b"DUPLICATE":
                return Duplicate()
            case b"FULL":
                return Full(waiting=reply[1])
            case b"QUEUED":
                return Queued(ahead=reply[1])
            case _:
                try:
                    turn = await self._turn(conversation, reply[1], asked)
                except Unreadable:  # the one before ours
                    turn = None
                return Claimed(turn) if turn else Queued(ahead=0)

    async def once(self, event: str) -> bool:
        """True for the first call with this event's id, in all processes."""
        key, call = f"nb:{self.mailboxes.tag(event)}:d:{event}", uuid.uuid4().hex
        async with guarded():
            if await self._redis.set(key, call, nx=True, px=ms(self.limits.dedupe)):
                return True
            # The client repeats a command whose answer was lost: then the key is there, and it is ours.
            return bool(await self._redis.get(key) == call.encode())

    async def waiting(self, conversation: str) -> int:
        """How many mentions wait in this conversation, the running one included."""
        async with guarded():
            return int(await self._redis.llen(self.mailboxes.key("i", conversation)))

    async def line(self, conversation: str) -> tuple[tuple[Question, bytes], ...]:
        """The mentions that wait in this conversation with their entries, the running one first, up to one that can't
        be read."""
        found: list[tuple[Question, bytes]] = []
        for entry in await self._inbox(conversation):
            mentions = self._entries.mentions(conversation, [entry])
            if not mentions:
                break
            found.append((mentions[0], entry))
        return tuple(found)

    async def ahead(self, conversation: str, mention: Question) -> int | None:
        """How many mentions come before this one, the running one included; None when it does not wait any more."""
        entries = await self._inbox(conversation)
        return next((place for place, entry in enumerate(entries) if has(entry, mention.id)), None)

    async def _inbox(self, conversation: str) -> list[bytes]:
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self.mailboxes.key("i", conversation), 0, -1)
        return entries

    async def stop(self, conversation: str, turn: str) -> bool:
        """Have the turn of this mention ended by whoever holds it; False when it does not run."""
        return bool(await self.mailboxes.stop(conversation, turn=turn))

    async def claim(self, conversation: str) -> Turn | None:
        """The next turn of a conversation whose lease ran out or was handed back; None if there is none to take.

        Raises Unreadable, with the turn handed back, when its question was sealed with a key that we do not have.
        """
        asked = time.monotonic()
        reply = await self.mailboxes.claim(conversation)
        return await self._turn(conversation, reply[1], asked) if reply[0] == b"CLAIMED" else None

    async def lapsed(self, beginnings: Sequence[str] = ("",), at_most: int = 100) -> tuple[str, ...]:
        """Conversations whose lease ran out, those of a partition the longest ago first, and whose name begins with one
        of these. A partition out of reach hides no other. Raises StoreError when all are."""
        partitions = range(self.mailboxes.partitions)
        asked = (self.mailboxes.lapsed(partition, beginnings, at_most) for partition in partitions)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors and (len(errors) == len(partitions) or not isinstance(errors[0], StoreError)):
            raise errors[0]
        return tuple(name.decode() for names in answers if not isinstance(names, BaseException) for name in names)

    async def renew(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> Renewed:
        """Prolong the lease, keeping the progress made. Raises Stale when another process holds it."""
        found = await self.mailboxes.renew(
            turn.conversation, fence=turn.fence, turn=turn.mention.id, progress=progress_entry(progress)
        )
        if not found:
            raise Stale(turn.mention.id)
        return Renewed(stop=found >= 2, retract=found == 3)

    async def release(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> bool:
        """Hand an unfinished turn back, for any process to go on with at once; False when it had ended or gone."""
        found = await self.mailboxes.release(
            turn.conversation, fence=turn.fence, turn=turn.mention.id, progress=progress_entry(progress)
        )
        return bool(found == 1)

    async def taken(self, turn: Turn) -> bool:
        """Whether another process took the conversation since."""
        key = self.mailboxes.key("c", turn.conversation)
        async with guarded():
            return bool(await self._redis.hget(key, "fence") != str(turn.fence).encode())

    async def commit(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...] = ()) -> Turn | None:
        """End the turn and remember its exchange, if any; returns the next turn, which is then ours as well.

        With `messages`, in which the reply stands, it can be asked for again. Raises Stale when another process holds
        the turn; nothing is written then.
        """
        conversation, mention = turn.conversation, turn.mention
        entry = b"" if exchange is None else self._entries.exchange(conversation, exchange)
        again = b""
        if messages:
            again = self._entries.shown(conversation, AnsweredQuestion(replace(mention, redo=None), messages))
        replaces = mention.redo.turn if mention.redo else ""
        entries = turn.entries or (b"",) * len(turn.also)
        also = [each for mention, entry in zip(turn.also, entries, strict=True) for each in (mention.id, entry)]
        asked = time.monotonic()
        reply = await self._commit(conversation, turn.fence, mention.id, entry, turn.epoch, again, replaces, also)
        if reply[0] == b"STALE":
            raise Stale(mention.id)
        try:
            return await self._turn(conversation, reply[1], asked) if reply[0] == b"NEXT" else None
        except Unreadable:
            return None

    async def _turn(self, conversation: str, state: Sequence[Any], asked: float) -> Turn | None:
        """The turn in a snapshot. A question that can't be read (of another version) is dropped: it would block its
        conversation for good."""
        while True:
            try:
                return self._read(conversation, state, asked)
            except ValidationError:  # which quotes its input: not for the log
                log.error("a question in %s can't be read and is dropped", conversation)
            except Unreadable:
                # Nothing is lost by it: a process with the right key can answer it.
                log.error("a question in %s can't be opened: is its key missing in ENCRYPTION_KEYS?", conversation)
                await self.mailboxes.release(conversation, fence=state[1], turn="", progress=b"")
                raise
            name = f"unreadable/{uuid.uuid4().hex}"
            reply = await self._commit(conversation, state[1], name, b"", state[3])
            if reply[0] != b"NEXT":
                return None
            state = reply[1]

    async def _commit(
        self,
        conversation: str,
        fence: int,
        turn: str,
        entry: bytes,
        epoch: int,
        again: bytes = b"",
        replaces: str = "",
        also: Sequence[str | bytes] = (),
    ) -> Any:
        limits = self.limits
        return await self.mailboxes.commit(
            conversation,
            fence=fence,
            turn=turn,
            exchange=entry,
            epoch=epoch,
            keep=limits.exchanges,
            again=again,
            again_keep=limits.ended,
            replaces=replaces,
            also=also,
        )

    def _read(self, conversation: str, state: Sequence[Any], asked: float) -> Turn:
        entry, fence, attempts, epoch, progress, retracted, history = state
        mention = self._entries.read_mention(conversation, entry)
        before = Progress(mention.redo.messages) if mention.redo else NOTHING_SHOWN  # it goes on in the old messages
        return Turn(
            conversation=conversation,
            mention=mention,
            fence=int(fence),
            attempt=int(attempts),
            epoch=int(epoch),
            history=self._entries.exchanges(conversation, history),
            progress=read_progress(progress, before),
            retracted=bool(retracted),
            asked=asked,
        )
