"""Presence in Redis: when any process last heard from a platform, so that the bot can look for what it missed."""

from typing import Any

from redis.asyncio import Redis

from core.store.mailbox import ms
from core.store.redis.client import guarded
from core.store.redis.scripts import load
from core.store.redis.spaces import Spaces

# After a longer absence a platform counts as new, and the bot looks for nothing.
_KEEP_SECONDS = 7 * 86_400.0


def _presence(key: str, /, *, present: int, keep_ms: int) -> Any:
    """Milliseconds since the platform was last heard from, -1 if never; with `present` of 1, it is heard from now."""


class Presence:
    """Knows when a platform was last heard from. `look_back`: how many seconds at most to look back; 0: not at all."""

    def __init__(self, redis: "Redis", look_back: float, spaces: Spaces | None = None) -> None:
        self.look_back, self._spaces = look_back, spaces or Spaces()
        self._presence = load(redis, _presence)

    async def away(self, name: str) -> float:
        """Seconds since any process heard from this platform; 0 if it is new. Raises StoreError."""
        return min(self.look_back, max(0.0, await self._since(name, present=False)))

    async def present(self, name: str) -> None:
        """Record that this platform is heard from now. Raises StoreError."""
        await self._since(name, present=True)

    async def _since(self, name: str, *, present: bool) -> float:
        async with guarded():
            key = f"{self._spaces.prefix(name)}:p:{{{name}}}"
            passed = await self._presence(key, present=int(present), keep_ms=ms(_KEEP_SECONDS))
        return int(passed) / 1000
