"""Rate limits in Redis: counts the calls that all processes make under one limit, by the server's clock."""

import logging
import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.ratelimit.plan import Load, margin
from core.ratelimit.shared import (
    AHEAD_SECONDS,
    NO_LOAD,
    PROMISE_SECONDS,
    CallRequest,
    Decision,
    Promised,
    PromiseRequest,
)
from core.store.redis.client import guarded
from core.store.redis.scripts import Script, ceil_ms, load
from core.store.redis.spaces import Spaces

log = logging.getLogger(__name__)

# The next thing people see waits for this answer. If it does not come in time, the process uses its own count.
ANSWER_TIMEOUT_SECONDS = 0.5
# Do not ask Redis again for this long after a failure: replies must not wait for it again and again.
RETRY_AFTER_FAILURE_SECONDS = 5.0
# The next call then only looks whether Redis is back, and waits for this share of the timeout. Each further look waits
# twice as long as the one before, up to the timeout: so a slow Redis is found again as well.
FIRST_LOOK_SHARE = 0.1
# A process that makes no call for this long no longer counts as one that uses a limit.
PROCESS_TTL_SECONDS = 30.0


def _plan() -> None:
    """What the other steps share."""


def _admit(
    calls: str,
    state: str,
    plan: str,
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
    interim: int,
    owed: int,
    arrivals: int,
    keep_ms: int,
) -> Any:
    """The wait in milliseconds, the active replies, the limit, how many calls were counted in advance, and what all
    processes owe, with their arrivals."""


def _promise(
    calls: str,
    state: str,
    plan: str,
    /,
    *,
    process: str,
    most: int,
    window_ms: int,
    margin: int,
    owed: int,
    arrivals: int,
    keep_ms: int,
    certain: int,
) -> Any:
    """Whether the end was counted, the limit, and what all processes owe, with their arrivals."""


def _refused(state: str, /, *, hold_ms: int, limit: int, stay_ms: int) -> Any:
    """Make all processes wait, and lower the limit."""


class RedisRateLimit:
    """Implements SharedRateLimit: each step is one Lua call in its scope's slot. All raise StoreError."""

    def __init__(
        self, redis: "Redis", spaces: Spaces | None = None, *, answer_timeout: float = ANSWER_TIMEOUT_SECONDS
    ) -> None:
        """`answer_timeout`: see ANSWER_TIMEOUT_SECONDS."""
        self._spaces, self._answer_timeout = spaces or Spaces(), answer_timeout
        plan = Script(_plan)
        self._admit, self._promise = load(redis, _admit, plan), load(redis, _promise, plan)
        self._refused = load(redis, _refused)
        self._process = uuid.uuid4().hex
        self._patience, self._unreachable_until = answer_timeout, -math.inf

    @property
    def silent(self) -> bool:
        """Whether Redis was out of reach a moment ago, and has not answered since."""
        return time.monotonic() < self._unreachable_until

    async def admit(self, scope: str, claim: CallRequest) -> Decision:
        """Count a call that is sent now, or say when it may be sent."""
        own = claim.load or NO_LOAD
        async with self._reachable():
            wait, active, calls, ahead, owed, arrivals = await self._admit(
                *self._keys(scope),
                process=self._process,
                call=uuid.uuid4().hex,
                active=claim.active,
                most=claim.calls,
                window_ms=ceil_ms(claim.seconds),
                usable=claim.usable,
                usable_ms=ceil_ms(claim.usable_seconds),
                stay_ms=ceil_ms(PROCESS_TTL_SECONDS),
                ahead=claim.ahead,
                ahead_ms=ceil_ms(AHEAD_SECONDS),
                interim=int(claim.interim),
                owed=own.owed,
                arrivals=_in_1000_seconds(own),
                keep_ms=ceil_ms(PROMISE_SECONDS) if claim.load else 0,
            )
        return Decision(wait / 1000, active, calls, ahead, Load(owed, arrivals / 1000))

    async def promise(self, scope: str, wish: PromiseRequest) -> Promised:
        """Count an end that is owed from now on, if there will be a call for it."""
        async with self._reachable():
            granted, calls, owed, arrivals = await self._promise(
                *self._keys(scope),
                process=self._process,
                most=wish.calls,
                window_ms=ceil_ms(wish.seconds),
                margin=margin(wish.calls),
                owed=wish.load.owed,
                arrivals=_in_1000_seconds(wish.load),
                keep_ms=ceil_ms(PROMISE_SECONDS),
                certain=int(wish.certain),
            )
        return Promised(bool(granted), calls, Load(owed, arrivals / 1000))

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Make all processes wait for this many seconds; `calls` is our estimate of the remaining limit."""
        async with self._reachable():
            await self._refused(
                self._key(scope), hold_ms=ceil_ms(seconds), limit=calls, stay_ms=ceil_ms(PROCESS_TTL_SECONDS)
            )

    def _key(self, scope: str) -> str:
        """Platforms limit each bot by itself, so bots that share a Redis do not share these."""
        return f"{self._spaces.prefix(scope)}:b:{{{scope}}}"

    def _keys(self, scope: str) -> tuple[str, str, str]:
        """The calls in the window, who uses the limit, and what they owe."""
        key = self._key(scope)
        return f"{key}:calls", key, f"{key}:plan"

    @asynccontextmanager
    async def _reachable(self) -> AsyncIterator[None]:
        """Wraps a step. Raises StoreError at once if Redis was out of reach a moment ago."""
        if self.silent:
            raise StoreError("Redis did not answer a moment ago")
        try:
            async with guarded(self._patience):
                yield
        except StoreError as error:
            if not self.silent:  # calls that were under way together count as one failure
                self._lost(error)
            raise
        self._patience, self._unreachable_until = self._answer_timeout, -math.inf

    def _lost(self, error: StoreError) -> None:
        if self._unreachable_until == -math.inf:
            log.warning("can't reach the rate limits shared with other processes: %s", error)
            self._patience = self._answer_timeout * FIRST_LOOK_SHARE
        else:
            self._patience = min(2 * self._patience, self._answer_timeout)
        self._unreachable_until = time.monotonic() + RETRY_AFTER_FAILURE_SECONDS


def _in_1000_seconds(load: Load) -> int:
    return round(load.arrivals * 1000)
