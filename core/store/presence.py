"""Presence in Redis: when a platform was last heard by any process, so that what was missed can be looked for."""

from importlib.resources import files

from redis.asyncio import Redis

from core.store.mailbox import ms
from core.store.redis.client import guarded

# Whoever comes back after longer is as good as new: nothing is looked for. Seconds.
_KEEP = 7 * 86_400.0


class Presence:
    """`look_back`: how far back missed questions are looked for at most, in seconds; 0: not at all."""

    def __init__(self, redis: "Redis", look_back: float) -> None:
        self._look_back = look_back
        self._presence = redis.register_script((files("core.store") / "lua" / "presence.lua").read_text())

    async def away(self, name: str) -> float:
        """For how many seconds nobody heard this platform; 0 for one that is new. Raises StoreError."""
        return min(self._look_back, max(0.0, await self._since(name, present=False)))

    async def present(self, name: str) -> None:
        """This platform is heard now. Raises StoreError."""
        await self._since(name, present=True)

    async def _since(self, name: str, *, present: bool) -> float:
        async with guarded():
            passed = await self._presence(keys=[f"nb:p:{{{name}}}"], args=[int(present), ms(_KEEP)])
        return int(passed) / 1000
