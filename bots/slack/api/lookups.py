"""Looks up Slack's objects: each once, kept for a while, and only while a call is free in all processes together."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from cachetools import FIFOCache

from core.domain.errors import PlatformError, SlowDown, StoreError
from core.ratelimit.shared import CallRequest, SharedRateLimit

log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")

# Slack counts the calls of a minute as they arrive, up to the timeout of a call later than we do.
WINDOW_SECONDS = 80.0
# Time before a failed lookup is tried again.
_RETRY_SECONDS = 30.0
# Entries that each cache keeps in memory.
_MAX_ENTRIES = 10_000


class Starter(Protocol):
    """Starts work that may outlive the request for it."""

    def __call__(self, work: Coroutine[Any, Any, S], /) -> "asyncio.Task[S | None]":
        """Run work in a task."""
        ...


class CallBudget:
    """The calls of one method. They are counted in Redis, as those of replies are, but nobody waits for one: a name
    that comes later is of no use. While Redis is out of reach, a process makes its part of the calls."""

    def __init__(self, shared: SharedRateLimit, scope: str, calls: int) -> None:
        self._shared, self._scope, self._calls = shared, scope, calls
        self._processes = 1  # that use this budget, as far as we know
        self._own: deque[float] = deque()  # when this process made its calls
        self._held_until = -math.inf

    async def call(self, most: int, make: Callable[[], Awaitable[T]]) -> T:
        """Make a call, if it is one of at most `most` in the window. Raises PlatformError; SlowDown if none is free."""
        if not await self._free(most):
            raise SlowDown("no call is free", 0.0)
        try:
            return await make()
        except SlowDown as error:
            self._held_until = time.monotonic() + error.retry_after
            with suppress(StoreError):
                await self._shared.refused(self._scope, error.retry_after, self._calls // 2)
            raise

    async def _free(self, most: int) -> bool:
        now = time.monotonic()
        if now < self._held_until:
            return False
        while self._own and self._own[0] <= now - WINDOW_SECONDS:
            self._own.popleft()
        try:
            request = CallRequest(self._calls, WINDOW_SECONDS, most, WINDOW_SECONDS, active=1)
            decision = await self._shared.admit(self._scope, request)
            # Redis does not know of the calls that were made while it was out of reach.
            free, self._processes = decision.wait <= 0 and len(self._own) < most, decision.active
        except StoreError:
            free = len(self._own) < most // self._processes
        if free:
            self._own.append(time.monotonic())
        return free


class Lookups(Generic[T]):
    """Values by key with their age. Requests for one key share one lookup. It goes on when nobody waits for it any
    more, for the next question."""

    def __init__(self, look_up: Callable[[str], Awaitable[T]], budget: CallBudget, start: Starter) -> None:
        self._look_up, self._budget, self._start = look_up, budget, start
        self._known: FIFOCache[str, tuple[float, T]] = FIFOCache(_MAX_ENTRIES)
        self._failed: FIFOCache[str, float] = FIFOCache(_MAX_ENTRIES)
        self._running: dict[str, asyncio.Task[None]] = {}

    def known(self, key: str, fresh: float = math.inf) -> T | None:
        """Return the most recent value, None if there never was one or it is older than `fresh` seconds."""
        at, value = self._known.get(key, (-math.inf, None))
        return value if time.monotonic() - at < fresh else None

    async def get(self, key: str, fresh: float, most: int) -> T | None:
        """Return a value at most `fresh` seconds old, None if Slack does not say. `most`: see CallBudget."""
        if (value := self.known(key, fresh)) is not None:
            return value
        if running := self._running.get(key):
            await asyncio.wait({running})
        if (value := self.known(key, fresh)) is not None or self._failed_lately(key):
            return value
        # The one before may have found no call free where one is for this purpose.
        await asyncio.wait({self._running.get(key) or self._begin(key, most)})
        return self.known(key, fresh)

    def _failed_lately(self, key: str) -> bool:
        return time.monotonic() - self._failed.get(key, -math.inf) < _RETRY_SECONDS

    def _begin(self, key: str, most: int) -> "asyncio.Task[None]":
        running = self._running[key] = self._start(self._find(key, most))
        running.add_done_callback(lambda _: self._running.pop(key))
        return running

    async def _find(self, key: str, most: int) -> None:
        begun = time.monotonic()
        try:
            found = await self._budget.call(most, lambda: self._look_up(key))
        except SlowDown as error:
            log.info("Slack: something is not looked up now: %s", error)
        except PlatformError as error:
            log.warning("Slack: a lookup failed: %s: %s", type(error).__name__, error)
            self._failed[key] = begun
        else:
            self._failed.pop(key, None)
            self._known[key] = begun, found
