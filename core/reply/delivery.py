"""Delivers what must arrive: repeats calls that a platform delays or fails."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.domain.retry import retried

T = TypeVar("T")

_MAX_PAUSE_SECONDS = 30.0


async def patiently(call: Callable[[], Awaitable[T]], attempts: int = 4) -> T:
    """The result of a call, repeated while the platform asks for a pause or can't be reached. Raises PlatformError.

    A message whose response was lost may be shown twice; that is better than not at all.
    """
    return await retried(call, range(1, attempts), longest=_MAX_PAUSE_SECONDS)
