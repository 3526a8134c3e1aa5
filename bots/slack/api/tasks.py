"""Runs work that outlives the request that started it: tracks each task, logs failures, and waits for it at the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.response import BoltResponse

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long running tasks may continue after the platform stops.
_DRAIN_SECONDS = 3.0


class TaskSupervisor:
    """A task group in which a failing task does not cancel the others."""

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
                    await asyncio.wait(self._running, timeout=_DRAIN_SECONDS)
                for task in self._running:
                    task.cancel()

    def refuses(self, ack: AsyncAck) -> bool:
        """Refuse a request, and return that, while the process shuts down: nobody would do what it asks for, and people
        see that it failed and try again. Bolt itself would wait for three seconds, and then ask the next listener."""
        if self.closing:
            ack.response = BoltResponse(status=503, body="")
        return self.closing

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T | None]":
        """Run work in a task. If it fails, log the error; the task's result is then None."""
        task = self._group.create_task(_guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _guarded(work: Coroutine[Any, Any, T]) -> T | None:
    try:
        return await work
    except Exception:
        log.exception("Slack: could not serve a request")
        return None
