"""Presence: notes that somebody listens to this workspace, and looks back after a time in which nobody did."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from core.domain.errors import PlatformError, StoreError
from core.domain.ports import Connection
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

# Seconds between two notes, and the shortest gap that is looked through: what nobody took Slack delivers again at once,
# after a minute and after five (docs.slack.dev/apis/events-api).
EVERY, SHORT = 30.0, 45.0


class Presence:
    """One workspace, named `slack/T1`. `connection` tells whether events can arrive; `look` takes in the questions of
    so many seconds, and raises StoreError or PlatformError when that has to be tried again."""

    def __init__(
        self,
        front: Dispatcher,
        name: str,
        connection: Callable[[], Connection],
        look: Callable[[float], Awaitable[None]],
    ) -> None:
        self._front, self._name = front, name
        self._connection, self._look = connection, look
        self._greeted = asyncio.Event()

    def greeted(self) -> None:
        """A connection was opened, for the first time or anew."""
        self._greeted.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Note it while the context is open."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._keep())
            try:
                yield
            finally:
                task.cancel()

    async def _keep(self) -> None:
        while True:
            self._greeted.clear()
            if self._connection().up:
                await self._note()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._greeted.wait()

    async def _note(self) -> None:
        """The gap is closed when it was looked through: a process that ends before leaves that to the next one. It is
        asked for each time, since an outage of Redis leaves one too."""
        try:
            if (seconds := await self._front.away(self._name)) > SHORT:
                log.info("Slack: nobody listened for %.0f s, looking for questions", seconds)
                await self._look(seconds)
        except (StoreError, PlatformError) as error:
            log.warning("Slack: looking back is put off: %s: %s", type(error).__name__, error)
            return
        except Exception:
            log.exception("Slack: looking back failed")
        await self._front.present(self._name)
