"""Work that outlives the request which began it: each piece is known, ends in the log and is waited for at the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that pieces of work still get when the platform is left.
_SETTLING = 3.0


class TaskSupervisor:
    """A task group whose pieces can't bring each other down."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup
        self._running: set[asyncio.Task[Any]] = set()
        self.closing = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Accept work while the context is open."""
        async with asyncio.TaskGroup() as self._group:
            try:
                yield
            finally:
                self.closing = True
                if self._running:
                    await asyncio.wait(self._running, timeout=_SETTLING)
                for task in self._running:
                    task.cancel()

    def start(self, piece: Coroutine[Any, Any, T]) -> "asyncio.Task[T | None]":
        """Run a piece of work; the result is None if it failed, which is logged."""
        task = self._group.create_task(_guarded(piece))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _guarded(piece: Coroutine[Any, Any, T]) -> T | None:
    try:
        return await piece
    except Exception:
        log.exception("a request of Slack's could not be served")
        return None
