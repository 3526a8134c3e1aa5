"""Marks: eyes on a question that waits and its place in line, set and taken away at the pace that Discord allows."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from enum import Enum, auto

from bots.discord.api.limits import LIMITS, Limits
from bots.discord.api.rest import Rest
from core.domain.errors import PlatformError, SlowDown, Unreachable

log = logging.getLogger(__name__)

EYES = "👀"
NUMBERS = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣", "9️⃣", "🔟")  # how many come before it, ten for more
_ALL_NUMBERS = ""  # in the place of an emoji: whatever number a process that is gone left there
PATIENCE = 5.0  # seconds; a 429 that asks for more is not waited out
CLOSE_SECONDS = 2.0
_REMEMBERED = 10_000

_Key = tuple[str, str, str]  # channel, message, emoji


class _Mark(Enum):
    WANTED = auto()
    COMING = auto()  # the call that sets it is on its way
    THERE = auto()
    UNWANTED = auto()  # to be taken away, once it is there


class Reactions:
    """The marks that this process sets. `put` and `take` do not wait; the calls are made while `run` runs."""

    def __init__(self, rest: Rest, limits: Limits = LIMITS) -> None:
        self._rest, self._spacing_seconds = rest, limits.reaction_seconds
        self._on: dict[_Key, _Mark] = {}
        self._queues: dict[str, deque[_Key]] = {}  # by channel, each with a task that works on it
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Set marks and take them away until cancelled; those that are due by then are taken away in CLOSE_SECONDS.

        Marks of questions that still wait stay: whoever answers them takes them away as `adopted`.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    await asyncio.Event().wait()
                finally:
                    self._group = None  # a group that ends takes no more tasks
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    for key in [key for key, mark in self._on.items() if mark is _Mark.UNWANTED]:
                        await self._remove(key)
                        await asyncio.sleep(self._spacing_seconds)

    def put(self, channel: str, message: str, emoji: str = EYES) -> None:
        """Mark a question, once, when its place in the channel's queue comes; unless it is taken before that."""
        key = channel, message, emoji
        if self._group is None or key in self._on:
            return
        if len(self._on) >= _REMEMBERED:
            del self._on[next(iter(self._on))]
        self._on[key] = _Mark.WANTED
        self._enqueue(key)

    def take(self, channel: str, message: str, emoji: str = EYES, *, adopted: bool = False) -> None:
        """Take the mark away if this process set it, or if a process that `adopted` says is gone may have."""
        key = channel, message, emoji
        match self._on.get(key):
            case _Mark.WANTED:
                del self._on[key]
            case _Mark.COMING:
                self._on[key] = _Mark.UNWANTED
            case _Mark.THERE:
                self._on[key] = _Mark.UNWANTED
                self._enqueue(key)
            case None if adopted and message:
                self._on[key] = _Mark.UNWANTED
                self._enqueue(key)

    def sweep(self, channel: str, message: str) -> None:
        """Take away the place in line that a process which is gone may have left on a question."""
        self.take(channel, message, _ALL_NUMBERS, adopted=True)

    def _enqueue(self, key: _Key) -> None:
        if key[0] in self._queues:
            self._queues[key[0]].append(key)
        elif self._group is not None:
            self._queues[key[0]] = deque([key])
            self._group.create_task(self._work(key[0]))

    async def _work(self, channel: str) -> None:
        """One call of a channel after the other, until there is nothing left to do."""
        queue = self._queues[channel]
        try:
            while queue:
                key = queue.popleft()
                match self._on.get(key):
                    case _Mark.WANTED:
                        await self._set(key)
                    case _Mark.UNWANTED:
                        await self._remove(key)
                    case _:
                        continue  # taken before it was set
                await asyncio.sleep(self._spacing_seconds)
        finally:
            del self._queues[channel]

    async def _set(self, key: _Key) -> None:
        for patience in (PATIENCE, 0.0):
            self._on[key] = _Mark.COMING
            try:
                await self._rest.react(*key)
            except SlowDown as error:
                if self._on.pop(key, None) is not _Mark.COMING or error.retry_after > patience:
                    return
                self._on[key] = _Mark.WANTED
                await asyncio.sleep(error.retry_after)
                if key not in self._on:
                    return  # its turn began meanwhile
                continue
            except Unreachable as error:
                log.info("a reaction is perhaps not set: %s", error)
            except PlatformError as error:
                log.info("a reaction was not set: %s", error)
                self._on.pop(key, None)
                return
            break
        if self._on.get(key) is _Mark.UNWANTED:
            self._enqueue(key)
        else:
            self._on[key] = _Mark.THERE

    async def _remove(self, key: _Key) -> None:
        if key[2] == _ALL_NUMBERS:
            await self._remove_numbers(key)
            return
        for patience in (PATIENCE, 0.0):
            try:
                await self._rest.unreact(*key)
            except SlowDown as error:
                if error.retry_after <= patience:
                    await asyncio.sleep(error.retry_after)
                    continue
                log.info("a reaction stayed: %s", error)
            except PlatformError as error:
                log.info("a reaction stayed: %s", error)
            break
        self._on.pop(key, None)

    async def _remove_numbers(self, key: _Key) -> None:
        self._on.pop(key, None)
        channel, message, _ = key
        try:
            left = await self._rest.own_reactions(channel, message)
        except PlatformError as error:
            log.info("it is not known whether a place in line stayed: %s", error)
            return
        for emoji in set(left) & set(NUMBERS):
            await asyncio.sleep(self._spacing_seconds)
            await self._remove((channel, message, emoji))
