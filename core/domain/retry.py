"""Retries of a call that failed for a reason which may pass.

Some loops with pauses are no such retries:
- `core.reply.publisher`: what follows a frame that failed is a newer frame, not the same call.
- `core.nebula`: what a failure says decides whether and how often to ask again, and something is awaited before that.
- `bots.discord.outbound.reactions`: between two attempts it looks whether the reaction is still wanted.
- `bots.discord.app`: it connects again for ever, and discord.py's pauses start over only after a long connection, as a
  bot that signs in too often loses its token.
- `core.store.redis.embedded`, `core.turns.lease`, `core.turns.takeover`, `bots.discord.inbound.backfill` (`run`): they
  watch something and look again for ever, whether or not the last look failed.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from core.domain.errors import SlowDown, Unreachable

T = TypeVar("T")

# The longest pause before a message that people wait for is sent again, whatever the platform asks for.
_MAX_PAUSE_SECONDS = 30.0

Errors = type[Exception] | tuple[type[Exception], ...]


async def retried(
    call: Callable[[], Awaitable[T]],
    pauses: Iterable[float],
    *,
    on: Errors = (SlowDown, Unreachable),
    unless: Errors = (),
    longest: float = math.inf,
    within: float = math.inf,
    failed: Callable[[Exception, int], object] = lambda error, attempt: None,
) -> T:
    """Make a call, and make it again after each pause for as long as it raises an error of `on`; raises the last one.

    `pauses`: seconds; one attempt more than there are pauses. A SlowDown says itself how long the pause is.
    `unless`: errors of `on` that are final all the same. `longest`: the longest pause, whatever a SlowDown says.
    `within`: no attempt begins later than so many seconds after the first. `failed`: called before each pause, with the
    error and the number of the attempt, from 1; it writes the log.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + within
    for attempt, usual in enumerate(pauses, 1):
        try:
            return await call()
        except unless:
            raise
        except on as error:
            pause = min(longest, error.retry_after if isinstance(error, SlowDown) else usual)
            if clock() + pause > end:
                raise
            failed(error, attempt)
        await asyncio.sleep(pause)
    return await call()


def backoff(first: float, longest: float) -> Iterator[float]:
    """Pauses without end that double from `first` to `longest` seconds; each is a random part of it, half at least."""
    while True:
        yield random.uniform(first / 2, first)
        first = min(2 * first, longest)


async def patiently(call: Callable[[], Awaitable[T]], attempts: int = 4) -> T:
    """Make a call that shows people something, and repeat it while the platform asks for a pause or can't be reached.
    Raises PlatformError.

    A message whose response was lost may be shown twice; that is better than not at all.
    """
    return await retried(call, range(1, attempts), longest=_MAX_PAUSE_SECONDS)
