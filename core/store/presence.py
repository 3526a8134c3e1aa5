"""Presence in Redis: when a platform was last heard by any process, so that what was missed can be looked for."""

from typing import Any

from redis.asyncio import Redis

from core.store.mailbox import ms
from core.store.redis.client import guarded
from core.store.scripts import load

# Whoever comes back after longer is as good as new: nothing is looked for. Seconds.
_KEEP = 7 * 86_400.0


def _presence(key: str, /, *, present: int, keep_ms: int) -> Any:
    """Milliseconds since the platform was last heard; `present` is 1 if it is heard now."""


class Presence:
    """`look_back`: how far back missed questions are looked for at most, in seconds; 0: not at all."""

    def __init__(self, redis: "Redis", look_back: float) -> None:
        self._look_back = look_back
        self._presence = load(redis, _presence)

    async def away(self, name: str) -> float:
        """For how many seconds nobody heard this platform; 0 for one that is new. Raises StoreError."""
        return min(self._look_back, max(0.0, await self._since(name, present=False)))

    async def present(self, name: str) -> None:
        """This platform is heard now. Raises StoreError."""
        await self._since(name, present=True)

    async def _since(self, name: str, *, present: bool) -> float:
        async with guarded():
            passed = await self._presence(f"nb:p:{{{name}}}", present=int(present), keep_ms=ms(_KEEP))
        return int(passed) / 1000
