"""Reactions on a question that waits: eyes, and its place in the queue, set and removed as fast as Discord allows; and
a sign on one that is not answered."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from enum import Enum, auto

from cachetools import FIFOCache

from bots.discord.api.limits import LIMITS, Limits
from bots.discord.api.rest import Rest
from core.domain.errors import PlatformError, SlowDown, Unreachable

log = logging.getLogger(__name__)

EYES = "👀"
SIGN = "🚫"  # on a message of a bot that is not answered
# How many questions come before it; the last emoji also means more than ten.
NUMBERS = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣", "9️⃣", "🔟")
_ALL_NUMBERS = ""  # in place of an emoji: whatever number a process that no longer runs left there
LONGEST_WAIT_SECONDS = 5.0  # do not wait longer than this for a 429
CLOSE_SECONDS = 2.0
_REMEMBERED = 10_000

_Key = tuple[str, str, str]  # channel, message, emoji


class _State(Enum):
    WANTED = auto()
    COMING = auto()  # the call that sets it is on its way
    THERE = auto()
    UNWANTED = auto()  # to be removed as soon as it is there


class Reactions:
    """The reactions that this process sets. `add` and `remove` do not wait; `run` makes the calls."""

    def __init__(self, rest: Rest, limits: Limits = LIMITS) -> None:
        self._rest, self._spacing_seconds = rest, limits.reaction_seconds
        # The one evicted first is the one whose state changed the longest time ago.
        self._states: FIFOCache[_Key, _State] = FIFOCache(_REMEMBERED)
        self._queues: dict[str, deque[_Key]] = {}  # by channel, each with a task that works on it
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Set and remove reactions until cancelled; then remove the ones that are due, within CLOSE_SECONDS.

        Reactions on questions that still wait stay: the process that answers them removes them as `adopted`.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    await asyncio.Event().wait()
                finally:
                    self._group = None  # a group that is ending accepts no more tasks
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    for key in [key for key, state in self._states.items() if state is _State.UNWANTED]:
                        await self._send_remove(key)
                        await asyncio.sleep(self._spacing_seconds)

    def add(self, channel: str, message: str, emoji: str = EYES) -> None:
        """React to a question, once and when the channel's queue gets to it, unless it is removed before that."""
        key = channel, message, emoji
        if self._group is None or key in self._states:
            return
        self._states[key] = _State.WANTED
        self._enqueue(key)

    def remove(self, channel: str, message: str, emoji: str = EYES, *, adopted: bool = False) -> None:
        """Remove a reaction that this process set or, if `adopted`, that a process now gone may have set."""
        key = channel, message, emoji
        match self._states.get(key):
            case _State.WANTED:
                del self._states[key]
            case _State.COMING:
                self._states[key] = _State.UNWANTED
            case _State.THERE:
                self._states[key] = _State.UNWANTED
                self._enqueue(key)
            case None if adopted and message:
                self._states[key] = _State.UNWANTED
                self._enqueue(key)

    def remove_numbers(self, channel: str, message: str) -> None:
        """Remove the queue position that a process which no longer runs may have left on a question."""
        self.remove(channel, message, _ALL_NUMBERS, adopted=True)

    def _enqueue(self, key: _Key) -> None:
        if key[0] in self._queues:
            self._queues[key[0]].append(key)
        elif self._group is not None:
            self._queues[key[0]] = deque([key])
            self._group.create_task(self._work(key[0]))

    async def _work(self, channel: str) -> None:
        """Make a channel's calls one after the other until none is left."""
        queue = self._queues[channel]
        try:
            while queue:
                key = queue.popleft()
                match self._states.get(key):
                    case _State.WANTED:
                        await self._send_add(key)
                    case _State.UNWANTED:
                        await self._send_remove(key)
                    case _:
                        continue  # removed before it was set
                await asyncio.sleep(self._spacing_seconds)
        finally:
            del self._queues[channel]

    async def _send_add(self, key: _Key) -> None:
        for longest_seconds in (LONGEST_WAIT_SECONDS, 0.0):
            self._states[key] = _State.COMING
            try:
                await self._rest.react(*key)
            except SlowDown as error:
                if self._states.pop(key, None) is not _State.COMING or error.retry_after > longest_seconds:
                    return
                self._states[key] = _State.WANTED
                await asyncio.sleep(error.retry_after)
                if key not in self._states:
                    return  # its turn has begun meanwhile
                continue
            except Unreachable as error:
                log.info("a reaction may not have been set: %s", error)
            except PlatformError as error:
                log.info("could not set a reaction: %s", error)
                self._states.pop(key, None)
                return
            break
        if self._states.get(key) is _State.UNWANTED:
            self._enqueue(key)
        else:
            self._states[key] = _State.THERE

    async def _send_remove(self, key: _Key) -> None:
        if key[2] == _ALL_NUMBERS:
            await self._send_remove_numbers(key)
            return
        for longest_seconds in (LONGEST_WAIT_SECONDS, 0.0):
            try:
                await self._rest.unreact(*key)
            except SlowDown as error:
                if error.retry_after <= longest_seconds:
                    await asyncio.sleep(error.retry_after)
                    continue
                log.info("could not remove a reaction: %s", error)
            except PlatformError as error:
                log.info("could not remove a reaction: %s", error)
            break
        self._states.pop(key, None)

    async def _send_remove_numbers(self, key: _Key) -> None:
        self._states.pop(key, None)
        channel, message, _ = key
        try:
            left = await self._rest.own_reactions(channel, message)
        except PlatformError as error:
            log.info("could not check whether a queue position is still shown: %s", error)
            return
        for emoji in set(left) & set(NUMBERS):
            await asyncio.sleep(self._spacing_seconds)
            await self._send_remove((channel, message, emoji))
