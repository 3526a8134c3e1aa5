"""Background: work beside the turns, such as statuses and notices on their way to people."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


class Background:
    """Runs work while its context is open; leaving it cancels what still runs."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._group: asyncio.TaskGroup

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run work until the caller leaves the context."""
        async with asyncio.TaskGroup() as self._group:
            self._open = True
            try:
                yield
            finally:
                self._open = False
                for task in tuple(self._tasks):
                    task.cancel()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run something beside the turns. Outside the context it does not begin: nobody would cancel it, so it could
        delay the shutdown or outlive it."""
        if not self._open:
            work.close()
            return
        self._tasks.add(task := self._group.create_task(work))
        task.add_done_callback(self._tasks.discard)
