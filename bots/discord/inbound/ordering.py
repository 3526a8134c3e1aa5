"""Passes what people say to the core in the order in which Discord sent it, and retries while Redis is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import chain, repeat
from typing import TypeVar
from weakref import WeakValueDictionary

from core.domain.errors import PlatformError, StoreError
from core.domain.retry import backoff, retried

log = logging.getLogger(__name__)

T = TypeVar("T")

# The gateway does not deliver an event again, so we try to store it for this long.
STORE_TIMEOUT_SECONDS = 600.0
# After this time without Redis, people are told that their question waits.
AWAY_SECONDS = 5.0
# The longest pause between two attempts, and how many attempts run at once while Redis is away.
PAUSE_SECONDS, TRIES = 2.0, 8
# How many steps may wait for Redis in this process. More are refused, so that memory stays bounded.
MOST_WAITING = 1000


class ArrivalOrder:
    """Orders all events of a process. What waits here is lost if the process ends."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[asyncio.Task[object], int] = {}  # our tasks, by how many of their steps wait
        self._tries = asyncio.Semaphore(TRIES)
        self._away = False  # no step has succeeded since one failed
        self._announced: set[int] = set()  # channels where we said that Redis is away

    async def store(
        self, channel: int, step: Callable[[], Awaitable[T]], tell: Callable[[], Awaitable[object]] | None = None
    ) -> T:
        """Run a step that stores something, after all earlier steps of its channel: first come, first served.

        discord.py runs every event in a task of its own, and these could overtake each other. So call this before you
        await anything else.

        While Redis is away, the step is retried for STORE_TIMEOUT_SECONDS. After AWAY_SECONDS of that, `tell` is called
        once, never while the step runs. Raises StoreError if all attempts fail, or at once if too much waits already.
        """
        most = MOST_WAITING if tell else MOST_WAITING // 2  # half is kept for questions
        if self._away and len(self._waiting) >= most:
            raise StoreError("too much in this process waits for Redis")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("no task")
        self._waiting[task] = self._waiting.get(task, 0) + 1
        quiet = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell_later(quiet, tell)) if tell else None
                try:
                    return await self._store(channel, step, quiet)
                finally:
                    if telling:
                        telling.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]

    def first(self, channel: int) -> bool:
        """True for the first call with this channel during an outage of Redis."""
        known = channel in self._announced
        self._announced.add(channel)
        return not known

    def close(self) -> None:
        """Give up what still waits."""
        for task in tuple(self._waiting):
            task.cancel()

    async def _store(self, channel: int, step: Callable[[], Awaitable[T]], quiet: asyncio.Lock) -> T:
        clock = asyncio.get_running_loop().time
        deadline, pauses = clock() + STORE_TIMEOUT_SECONDS, backoff(PAUSE_SECONDS / 20, PAUSE_SECONDS)
        # The first attempt does not wait for those of others.
        tries: Iterator[AbstractAsyncContextManager[None]] = chain((nullcontext(),), repeat(self._tries))

        async def attempt() -> T:
            async with next(tries), quiet:
                return self._done(await step())

        async with self._locks.setdefault(channel, asyncio.Lock()):
            return await retried(attempt, pauses, on=StoreError, within=deadline - clock(), failed=self._failed)

    def _done(self, found: T) -> T:
        if self._away:
            log.info("Redis is back; %d tasks wait to be stored", len(self._waiting))
            self._away = False
            self._announced.clear()
        return found

    def _failed(self, error: Exception, attempt: int) -> None:
        if not self._away:
            log.warning("could not store what people say; it waits for Redis: %s", error)
        self._away = True

    async def _tell_later(self, quiet: asyncio.Lock, tell: Callable[[], Awaitable[object]]) -> None:
        """Tell people once that Redis is away, if it is."""
        await asyncio.sleep(AWAY_SECONDS)
        while not self._away:  # Redis is there, the wait is for something else
            await asyncio.sleep(AWAY_SECONDS)
        async with quiet:
            try:
                await tell()
            except PlatformError as error:
                log.warning("could not tell people that Redis is away: %s", error)
