"""Handing what people say to the core: in the order in which Discord sent it, and patiently while Redis is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakValueDictionary

from core.domain.errors import PlatformError, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

# The gateway does not deliver an event again: how long what could not be stored is tried. Seconds.
STORE_PATIENCE = 600.0
# After so many seconds without Redis people are told that their question waits.
AWAY_SECONDS = 5.0
# The longest pause between two tries, in seconds, and how many are made at once while Redis is away.
PAUSE_SECONDS, TRIES = 2.0, 8
# What waits for Redis in this process at most; what comes then is refused, so that memory is bounded.
WAITING = 1000


class ArrivalOrder:
    """One for all events of a process. What waits here is lost with the process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[asyncio.Task[object], int] = {}  # tasks of ours, by how many of their steps wait
        self._tries = asyncio.Semaphore(TRIES)
        self._away = False  # no step succeeded since one failed
        self._told: set[int] = set()  # channels where that was said

    async def store(
        self, channel: int, step: Callable[[], Awaitable[T]], tell: Callable[[], Awaitable[object]] | None = None
    ) -> T:
        """Do a step that stores something, when all that came before it in its channel is stored, first come, first
        served: discord.py runs every event in a task of its own, where they could overtake each other. To be called
        before anything else is awaited.

        While Redis is away it is tried again for STORE_PATIENCE; after AWAY_SECONDS of that `tell` is called once,
        never while the step runs. Raises StoreError when that was in vain, or at once when too much waits already.
        """
        if self._away and len(self._waiting) >= (WAITING if tell else WAITING // 2):  # half is kept for questions
            raise StoreError("too much waits for Redis in this process")
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
        """True for the first call with this channel in an outage of Redis."""
        known = channel in self._told
        self._told.add(channel)
        return not known

    def close(self) -> None:
        """Give up what still waits."""
        for task in tuple(self._waiting):
            task.cancel()

    async def _store(self, channel: int, step: Callable[[], Awaitable[T]], quiet: asyncio.Lock) -> T:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + STORE_PATIENCE, PAUSE_SECONDS / 20
        lock = self._locks.setdefault(channel, asyncio.Lock())
        async with lock:
            try:
                async with quiet:
                    return self._done(await step())
            except StoreError as error:
                self._failed(error)
            while True:
                if loop.time() + pause > deadline:
                    raise StoreError(f"Redis was away for {STORE_PATIENCE:g} s")
                await asyncio.sleep(pause)
                pause = min(PAUSE_SECONDS, pause * 2)
                with suppress(StoreError):
                    async with self._tries, quiet:
                        return self._done(await step())

    def _done(self, found: T) -> T:
        if self._away:
            log.info("Redis is back, %d wait to be stored", len(self._waiting))
            self._away = False
            self._told.clear()
        return found

    def _failed(self, error: StoreError) -> None:
        if not self._away:
            log.warning("what people say can't be stored and waits: %s", error)
        self._away = True

    async def _tell_later(self, quiet: asyncio.Lock, tell: Callable[[], Awaitable[object]]) -> None:
        """Tell once that Redis is away, if it is."""
        await asyncio.sleep(AWAY_SECONDS)
        while not self._away:  # it is a wait for something else
            await asyncio.sleep(AWAY_SECONDS)
        async with quiet:
            try:
                await tell()
            except PlatformError as error:
                log.warning("it was not said that Redis is away: %s", error)
