"""Reads the history of channels for somebody who waits: within Discord's limits, and never long."""

import time
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import Any, TypeVar

from cachetools import FIFOCache

from bots.discord.api.rest import Rest, within
from bots.discord.room.said import Json
from core.domain.errors import SlowDown, Unreachable
from core.domain.rates import RateLimitStatus
from core.domain.retry import retried

# How often a call is tried, for how many seconds, and the pause after a failure that says none.
_TRIES, PATIENCE_SECONDS, _PAUSE_SECONDS = 3, 1.0, 0.2
_CHANNELS = 10_000  # whose limits are remembered
T = TypeVar("T")


class History:
    """All calls raise PlatformError; SlowDown if Discord, or the count of all calls, has none to spare soon."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        # By channel: when its messages may be listed again, by the monotonic clock, as the headers said.
        self._free: FIFOCache[str, float] = FIFOCache(_CHANNELS)

    async def before(self, channel: str, message: int | None, limit: int) -> list[Json]:
        """The `limit` newest messages before an id, newest first."""
        return await self._page(channel, lambda: self._rest.messages_before(channel, message, limit))

    async def after(self, channel: str, message: str, limit: int) -> list[Json]:
        """The `limit` oldest messages after an id, oldest first."""
        return (await self._page(channel, lambda: self._rest.messages_after(channel, message, limit)))[::-1]

    async def first(self, channel: str) -> Json | None:
        """The first message of a thread, whose messages are not older than itself; None if there is none."""
        found = await self._page(channel, lambda: self._rest.messages_after(channel, str(int(channel) - 1), 1))
        return found[0] if found else None

    async def message(self, channel: str, message: str) -> Json:
        """One message."""
        found = await self._patiently(lambda: self._rest.message(channel, message))
        if str(found["id"]) != message:
            raise Unreachable("Discord's answer is another message")
        return found

    async def look(self, call: Callable[[], Awaitable[T]]) -> T:
        """What another call that only reads returns."""
        return await self._patiently(call)

    async def _page(
        self, channel: str, call: Callable[[], Awaitable[tuple[list[dict[str, Any]], RateLimitStatus | None]]]
    ) -> list[Json]:
        async def listed() -> list[Json]:
            wait = self._free.get(channel, 0.0) - time.monotonic()
            if wait > 0:
                raise SlowDown("the limit on reading this channel", wait)
            try:
                found, status = await call()
            except SlowDown as slow:
                self._free[channel] = time.monotonic() + slow.retry_after
                raise
            if status and status.remaining <= 0:
                self._free[channel] = time.monotonic() + status.reset_after
            return sorted(found, key=lambda each: int(each["id"]), reverse=True)

        return await self._patiently(listed)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        async def counted() -> T:
            permit = await self._rest.spare()
            if permit is None:
                raise SlowDown("all calls of the bot together", _PAUSE_SECONDS, everywhere=True)
            return await within(permit, call)

        return await retried(counted, repeat(_PAUSE_SECONDS, _TRIES - 1), within=PATIENCE_SECONDS)
