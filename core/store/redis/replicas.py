"""Replicas: which processes use this Redis at the moment, in which version and since when."""

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.store.redis.client import STEP_TIMEOUT_SECONDS, guarded
from core.store.redis.scripts import ceil_ms, load

KEY = "nb:replicas"
# For how long a process counts as there after it said so, and how often it says so.
LIVE_SECONDS, KEEP_SECONDS = 30.0, 10.0
# How long its goodbye may take, which nobody needs: it would count as gone after LIVE_SECONDS.
GOODBYE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Replica:
    """A process: its version, its role (the command that started it), and since when it runs, in epoch seconds."""

    version: str
    role: str
    since: float


def _replicas(key: str, /, *, member: str, live_ms: int) -> Any:
    """Those that are there; `member` is there for so long from now on, or with 0 no longer."""


class Replicas:
    """The processes that use this Redis."""

    def __init__(self, redis: "Redis") -> None:
        self._step = load(redis, _replicas)

    async def keep(self, version: str, role: str) -> None:
        """Say again and again that this process is there, until cancelled; then say that it goes."""
        member = f"{uuid.uuid4().hex}|{version}|{role}|{time.time():.0f}"
        try:
            while True:
                await self._say(member, LIVE_SECONDS)
                await asyncio.sleep(KEEP_SECONDS)
        finally:
            await self._say(member, 0.0, within=GOODBYE_SECONDS)

    async def present(self) -> tuple[Replica, ...]:
        """Those that are there, the oldest first. Raises StoreError."""
        async with guarded():
            members = await self._step(KEY, member="", live_ms=0)
        found = [member.decode("utf-8", "replace").split("|") for member in members]
        known = [Replica(each[1], each[2], float(each[3])) for each in found if len(each) == 4 and each[3].isdigit()]
        return tuple(sorted(known, key=lambda each: each.since))

    async def _say(self, member: str, seconds: float, within: float = STEP_TIMEOUT_SECONDS) -> None:
        with suppress(StoreError):
            async with guarded(within):
                await self._step(KEY, member=member, live_ms=ceil_ms(seconds))
