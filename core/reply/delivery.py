"""Delivers what must arrive: repeats calls that a platform delays or fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.domain.errors import SlowDown, Unreachable

T = TypeVar("T")

_MAX_PAUSE_SECONDS = 30.0


async def patiently(call: Callable[[], Awaitable[T]], attempts: int = 4) -> T:
    """The result of a call, repeated while the platform asks for a pause or can't be reached. Raises PlatformError.

    A message whose response was lost may be shown twice; that is better than not at all.
    """
    for attempt in range(1, attempts):
        try:
            return await call()
        except (SlowDown, Unreachable) as error:
            pause = error.retry_after if isinstance(error, SlowDown) else attempt
            await asyncio.sleep(min(pause, _MAX_PAUSE_SECONDS))
    return await call()
