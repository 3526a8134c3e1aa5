"""Turns in Redis: a conversation is a mailbox with a lease, and every step is one Lua call in one slot."""

import logging
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis

from core.errors import Stale
from core.model import NOTHING_SHOWN, Exchange, Mention, Progress
from core.store.connect import guarded
from core.store.entries import (
    encode,
    mention_entry,
    progress_entry,
    read_history,
    read_mention,
    read_progress,
    read_shown,
    readable,
    shown_entry,
)
from core.store.signals import Signals

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One claimed mention. `fence` proves the claim, `attempt` counts from 1, `epoch` tells resets apart."""

    conversation: str
    mention: Mention
    fence: int
    attempt: int
    epoch: int
    history: tuple[Exchange, ...]
    progress: Progress


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This mention was accepted before."""


@dataclass(frozen=True, slots=True)
class Full:
    """Too many mentions wait in this conversation already; nothing was stored."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Queued:
    """Accepted; `ahead` mentions of this conversation come before it, the running one included."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Accepted, and the turn that is next in this conversation is ours to run."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Shown:
    """A mention and the messages in which its reply stands."""

    mention: Mention
    messages: tuple[str, ...]


Acceptance = Duplicate | Full | Queued | Claimed


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things live, in seconds, and how many there may be."""

    lease: float = 20
    dedupe: float = 3600  # Slack redelivers for about six minutes
    keep: float = 30 * 86_400
    inbox: int = 20
    exchanges: int = 100
    window_bytes: int = 256 * 1024
    ended: int = 10  # turns of a conversation whose answer can be asked for again


class Turns:
    """The typed stubs of the Lua steps. Each is one round trip and safe to repeat; all raise StoreError."""

    def __init__(self, redis: "Redis", limits: Limits = Limits(), partitions: int = 1) -> None:
        self.limits = limits
        self.signals = Signals(redis)
        self._redis = redis
        self._partitions = partitions
        source = files("core.store") / "lua"
        common = (source / "common.lua").read_text()
        steps = ("accept", "claim", "renew", "release", "commit", "reset", "stop")
        self._steps = {name: redis.register_script(common + (source / f"{name}.lua").read_text()) for name in steps}

    async def accept(self, conversation: str, mention: Mention, request: str) -> Acceptance:
        """Queue a mention once; claim its conversation when nobody holds it.

        `request` names this call: repeated with the same one after a lost answer, it gives that answer again.
        """
        entry = mention_entry(mention)
        tag = self._tag(conversation)
        limits = self.limits
        reply = await self._step(
            "accept",
            conversation,
            [request, entry, _ms(limits.dedupe), limits.inbox],
            extra_key=f"nb:{tag}:d:{mention.id}",
        )
        match reply[0]:
            case b"DUPLICATE":
                return Duplicate()
            case b"FULL":
                return Full(waiting=reply[1])
            case b"QUEUED":
                return Queued(ahead=reply[1])
            case _:
                turn = await self._turn(conversation, reply[1])
                return Claimed(turn) if turn else Queued(ahead=0)

    async def once(self, event: str) -> bool:
        """True for the first call with this event's id, in all processes."""
        key, call = f"nb:{self._tag(event)}:d:{event}", uuid.uuid4().hex
        async with guarded():
            if await self._redis.set(key, call, nx=True, px=_ms(self.limits.dedupe)):
                return True
            # The client repeats a command whose answer was lost: then the key is there, and it is ours.
            return bool(await self._redis.get(key) == call.encode())

    async def waiting(self, conversation: str) -> int:
        """How many mentions wait in this conversation, the running one included."""
        async with guarded():
            return int(await self._redis.llen(self._key("i", conversation)))

    async def ahead(self, conversation: str, mention: Mention) -> int | None:
        """How many mentions come before this one, the running one included; None when it does not wait any more."""
        entry = mention_entry(mention)
        async with guarded():
            place = await self._redis.lpos(self._key("i", conversation), entry)  # type: ignore[arg-type]
        return place if isinstance(place, int) else None

    async def running(self, conversation: str) -> Shown | None:
        """The mention whose turn it is in this conversation, and what is on screen of its reply as far as is known."""
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            pipe.lindex(self._key("i", conversation), 0)
            pipe.hget(self._key("c", conversation), "progress")
            entry, progress = await pipe.execute()
        mentions = readable(read_mention, [entry] if entry is not None else [])
        return next((Shown(each, read_progress(progress).messages) for each in mentions), None)

    async def ended(self, conversation: str, message: str) -> Shown | None:
        """The mention that was answered in this message, if that was not long ago; None if it is forgotten."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._key("e", conversation), 0, -1)
        found = (Shown(*each) for each in readable(read_shown, entries))
        return next((shown for shown in found if message in shown.messages), None)

    async def waits(self, conversation: str, turn: str) -> bool:
        """Whether the turn of this mention waits or runs."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._key("i", conversation), 0, -1)
        return any(each.id == turn for each in readable(read_mention, entries))

    async def answered(self, conversation: str, turn: str) -> bool:
        """Whether the answer of this turn is remembered."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._key("h", conversation), 0, -1)
        return any(each.turn == turn for each in read_history(entries))

    async def exchange(self, conversation: str, message: str) -> Exchange | None:
        """The exchange that this message belongs to, if it is remembered."""
        async with guarded():
            entries: list[Any] = await self._redis.lrange(self._key("h", conversation), 0, -1)
        found = (entry for entry in entries if message.encode() in entry.partition(b"|")[0].split(b","))
        return next(iter(read_history(found)), None)

    async def stop(self, conversation: str, turn: str) -> bool:
        """Have the turn of this mention ended by whoever holds it; False when it does not run."""
        return bool(await self._step("stop", conversation, [turn]))

    async def claim(self, conversation: str) -> Turn | None:
        """The next turn of a conversation whose lease ran out or was handed back; None if there is none to take."""
        reply = await self._step("claim", conversation, [])
        return await self._turn(conversation, reply[1]) if reply[0] == b"CLAIMED" else None

    async def lapsed(self, at_most: int = 100) -> tuple[str, ...]:
        """Conversations whose lease ran out, the longest ago first."""
        names: list[Any] = []
        async with guarded():
            seconds, micros = await self._redis.time()
            now = seconds * 1000 + micros // 1000
            for partition in range(self._partitions):
                key = f"nb:{{{partition}}}:leases"
                names.extend(await self._redis.zrangebyscore(key, "-inf", now, start=0, num=at_most))
        return tuple(name.decode() for name in names[:at_most])

    async def renew(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> bool:
        """Prolong the lease, keeping the progress made; false when somebody wants the turn stopped.

        Raises Stale when another process holds it.
        """
        found = await self._step("renew", turn.conversation, [turn.fence, turn.mention.id, progress_entry(progress)])
        if not found:
            raise Stale(turn.mention.id)
        return bool(found == 1)

    async def release(self, turn: Turn, progress: Progress = NOTHING_SHOWN) -> None:
        """Hand an unfinished turn back, for any process to go on with at once."""
        await self._step("release", turn.conversation, [turn.fence, progress_entry(progress)])

    async def commit(self, turn: Turn, exchange: Exchange | None, messages: tuple[str, ...] = ()) -> Turn | None:
        """End the turn and remember its exchange, if any; returns the next turn, which is then ours as well.

        With `messages`, in which the reply stands, it can be asked for again. Raises Stale when another process holds
        the turn; nothing is written then.
        """
        entry = b"" if exchange is None else encode(exchange)
        again = shown_entry(replace(turn.mention, redo=None), messages) if messages else b""
        replaces = turn.mention.redo.turn if turn.mention.redo else ""
        reply = await self._commit(turn.conversation, turn.fence, turn.mention.id, entry, turn.epoch, again, replaces)
        if reply[0] == b"STALE":
            raise Stale(turn.mention.id)
        return await self._turn(turn.conversation, reply[1]) if reply[0] == b"NEXT" else None

    async def reset(self, conversation: str) -> int:
        """Forget the history of a conversation; returns how many exchanges that were."""
        return int(await self._step("reset", conversation, []))

    async def _turn(self, conversation: str, state: Sequence[Any]) -> Turn | None:
        """The turn in a snapshot. A question that can't be read (of another version) is dropped: it would block its
        conversation for good."""
        while True:
            try:
                return _turn(conversation, state)
            except ValidationError:  # which quotes its input: not for the log
                log.error("a question in %s can't be read and is dropped", conversation)
            name = f"unreadable/{uuid.uuid4().hex}"
            reply = await self._commit(conversation, state[1], name, b"", state[3])
            if reply[0] != b"NEXT":
                return None
            state = reply[1]

    async def _commit(
        self, conversation: str, fence: int, turn: str, entry: bytes, epoch: int, again: bytes = b"", replaces: str = ""
    ) -> Any:
        limits = self.limits
        args = [fence, turn, entry, epoch, limits.exchanges, again, limits.ended, replaces]
        return await self._step("commit", conversation, args)

    def _key(self, kind: str, conversation: str) -> str:
        return f"nb:{self._tag(conversation)}:{kind}:{conversation}"

    def _tag(self, conversation: str) -> str:
        """The partition as a Cluster hash tag: all keys of a conversation are in one slot."""
        return f"{{{zlib.crc32(conversation.encode()) % self._partitions}}}"

    async def _step(self, name: str, conversation: str, args: Sequence[Any], extra_key: str = "") -> Any:
        tag, limits = self._tag(conversation), self.limits
        keys = [self._key(kind, conversation) for kind in "cihe"] + [f"nb:{tag}:leases"]
        common: list[Any] = [conversation, _ms(limits.lease), _ms(limits.keep), limits.exchanges, limits.window_bytes]
        async with guarded():
            return await self._steps[name](keys=[*keys, extra_key] if extra_key else keys, args=common + list(args))


def _turn(conversation: str, state: Sequence[Any]) -> Turn:
    entry, fence, attempts, epoch, progress, history = state
    mention = read_mention(entry)
    before = Progress(mention.redo.messages) if mention.redo else NOTHING_SHOWN  # it goes on in the old messages
    return Turn(
        conversation=conversation,
        mention=mention,
        fence=int(fence),
        attempt=int(attempts),
        epoch=int(epoch),
        history=read_history(history),
        progress=read_progress(progress, before),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
