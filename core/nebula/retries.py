"""Decides how often, and after which pause, a failed request is retried."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from core import metrics
from core.domain.errors import ModelError
from core.nebula.failures import AttemptFailed

# Awaited before each retry with the model's name and the error; may raise a ModelError to prevent it.
Before = Callable[[str, ModelError], Awaitable[None]]

MAX_WAIT_SECONDS = 20.0  # the longest Retry-After to wait out; people see the error for longer ones
MAX_BACKOFF_SECONDS = 8.0

log = logging.getLogger(__name__)


class RetryPolicy:
    """The attempts at one request. Pauses are random, and their maximum doubles; none is shorter than Retry-After."""

    def __init__(self, attempts: int, backoff: float, model: str, before: Before | None = None) -> None:
        """`attempts`: how many in all. `backoff`: the longest first pause, in seconds. `before`: see Before."""
        self._left = attempts - 1
        self._backoff = backoff
        self._model = model
        self._before = before
        self._once = False

    async def pause(self, failed: AttemptFailed) -> None:
        """Wait until the next attempt; raises the error of the last one if there is none."""
        metrics.MODEL_FAILURES.labels(type(failed.error).__name__).inc()
        wait = failed.wait
        if not failed.again or not self._left or (failed.once and self._once) or (wait or 0) > MAX_WAIT_SECONDS:
            raise failed.error from failed.__cause__
        wait = max(wait or 0.0, random.uniform(self._backoff / 2, self._backoff))
        self._left -= 1
        self._once = self._once or failed.once
        self._backoff = min(2 * self._backoff, MAX_BACKOFF_SECONDS)
        log.warning("%s failed: %s (%s); retrying in %.1f s", self._model, type(failed.error).__name__, failed, wait)
        clock = asyncio.get_running_loop().time
        again = clock() + wait
        if self._before:
            await self._before(self._model, failed.error)
        await asyncio.sleep(max(0.0, again - clock()))
