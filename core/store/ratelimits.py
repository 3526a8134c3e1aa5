"""Rate limits in Redis: the calls that all processes together make under one limit, counted by the server's clock."""

import logging
import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.ratelimit.limiter import AHEAD, CallRequest, Decision
from core.store.redis.client import guarded
from core.store.scripts import load

log = logging.getLogger(__name__)

# What waits for the answer is what people see next; without one in time a process goes by its own count. Seconds.
ANSWER = 0.5
# After a failure it is not asked for so long: replies must not wait for Redis again and again. Seconds.
BLIND = 5.0
# A process that makes no call for so long no longer counts as one that draws on a budget. Seconds.
STAY = 30.0


def _admit(
    calls: str,
    state: str,
    /,
    *,
    process: str,
    call: str,
    active: int,
    most: int,
    window_ms: int,
    usable: int,
    usable_ms: int,
    stay_ms: int,
    ahead: int,
    ahead_ms: int,
) -> Any:
    """Wait in milliseconds, active replies, the limit, and the calls counted ahead."""


def _refused(state: str, /, *, hold_ms: int, limit: int, stay_ms: int) -> Any:
    """Hold all processes."""


class RedisRateLimit:
    """Implements SharedRateLimit: each step is one Lua call in the slot of its scope. All raise StoreError."""

    def __init__(self, redis: "Redis") -> None:
        self._admit, self._refused = load(redis, _admit), load(redis, _refused)
        self._process = uuid.uuid4().hex
        self._blind_until = -math.inf

    async def admit(self, scope: str, claim: CallRequest) -> Decision:
        """Count a call that leaves now, or say when it may."""
        async with self._seeing():
            wait, active, calls, ahead = await self._admit(
                f"nb:b:{{{scope}}}:calls",
                f"nb:b:{{{scope}}}",
                process=self._process,
                call=uuid.uuid4().hex,
                active=claim.active,
                most=claim.calls,
                window_ms=_ms(claim.seconds),
                usable=claim.usable,
                usable_ms=_ms(claim.usable_seconds),
                stay_ms=_ms(STAY),
                ahead=claim.ahead,
                ahead_ms=_ms(AHEAD),
            )
        return Decision(wait / 1000, active, calls, ahead)

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Hold all processes for so long; `calls` is the limit that is left by our reckoning."""
        async with self._seeing():
            await self._refused(f"nb:b:{{{scope}}}", hold_ms=_ms(seconds), limit=calls, stay_ms=_ms(STAY))

    @asynccontextmanager
    async def _seeing(self) -> AsyncIterator[None]:
        """Around a step; raises StoreError at once while Redis was out of reach a moment ago."""
        if time.monotonic() < self._blind_until:
            raise StoreError("it did not answer a moment ago")
        try:
            async with guarded(ANSWER):
                yield
        except StoreError as error:
            if self._blind_until == -math.inf:
                log.warning("the budgets shared with other processes are out of reach: %s", error)
            self._blind_until = time.monotonic() + BLIND
            raise
        self._blind_until = -math.inf


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
