"""Rate limits in Redis: the calls that all processes together make under one limit, counted by the server's clock."""

import logging
import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.ratelimit.limiter import AHEAD_SECONDS, CallRequest, Decision
from core.store.redis.client import guarded

log = logging.getLogger(__name__)

# What waits for the answer is what people see next; without one in time a process goes by its own count. Seconds.
ANSWER = 0.5
# After a failure it is not asked for so long: replies must not wait for Redis again and again. Seconds.
BLIND = 5.0
# A process that makes no call for so long no longer counts as one that draws on a budget. Seconds.
STAY = 30.0


class RedisRateLimit:
    """Implements SharedRateLimit: each step is one Lua call in the slot of its scope. All raise StoreError."""

    def __init__(self, redis: "Redis") -> None:
        source = files("core.store") / "lua"
        self._admit, self._refused = (
            redis.register_script((source / f"{name}.lua").read_text()) for name in ("admit", "refused")
        )
        self._process = uuid.uuid4().hex
        self._blind_until = -math.inf

    async def admit(self, scope: str, claim: CallRequest) -> Decision:
        """Count a call that leaves now, or say when it may."""
        async with self._seeing():
            wait, active, calls, ahead = await self._admit(
                keys=[f"nb:b:{{{scope}}}:calls", f"nb:b:{{{scope}}}"],
                args=[
                    self._process,
                    uuid.uuid4().hex,
                    claim.active,
                    claim.calls,
                    _ms(claim.seconds),
                    claim.usable,
                    _ms(claim.usable_seconds),
                    _ms(STAY),
                    claim.ahead,
                    _ms(AHEAD_SECONDS),
                ],
            )
        return Decision(wait / 1000, active, calls, ahead)

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Hold all processes for so long; `calls` is the limit that is left by our reckoning."""
        async with self._seeing():
            await self._refused(keys=[f"nb:b:{{{scope}}}"], args=[_ms(seconds), calls, _ms(STAY)])

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
