"""How often, and after which pause, a failed request is tried again."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from core import metrics
from core.domain.errors import ModelError
from core.nebula.failures import AttemptFailed

# Awaited with the model's name and the error before another attempt; may raise ModelError instead.
Before = Callable[[str, ModelError], Awaitable[None]]

LONGEST_WAIT = 20.0  # seconds that a Retry-After is waited out; people are told about longer ones
LONGEST_BACKOFF = 8.0  # seconds

log = logging.getLogger(__name__)


class RetryPolicy:
    """The attempts at one request: a Retry-After is honoured, other pauses double and are drawn at random."""

    def __init__(self, most: int, backoff: float, model: str, before: Before | None = None) -> None:
        """`most`: attempts in all. `backoff`: seconds that the first pause lasts at most. `before`: see Before."""
        self._left = most - 1
        self._backoff = backoff
        self._model = model
        self._before = before
        self._once = False

    async def pause(self, failed: AttemptFailed) -> None:
        """Wait until the next attempt; raises the attempt's error when there is none."""
        metrics.MODEL_FAILURES.labels(type(failed.error).__name__).inc()
        wait = failed.wait
        if not failed.again or not self._left or (failed.once and self._once) or (wait or 0) > LONGEST_WAIT:
            raise failed.error from failed.__cause__
        if wait is None:
            wait = random.uniform(0, self._backoff)
        self._left -= 1
        self._once = self._once or failed.once
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        log.warning("%s failed: %s (%s); again in %.1f s", self._model, type(failed.error).__name__, failed, wait)
        clock = asyncio.get_running_loop().time
        again = clock() + wait
        if self._before:
            await self._before(self._model, failed.error)
        await asyncio.sleep(max(0.0, again - clock()))
