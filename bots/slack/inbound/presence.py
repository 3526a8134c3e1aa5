"""Records that a process listens to this workspace, and looks for missed questions after a time when none did."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from core.domain.errors import PlatformError, StoreError
from core.domain.ports import Connection
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

# Time between two records, and the shortest gap that we search: Slack itself delivers unacknowledged events again at
# once, after a minute and after five (docs.slack.dev/apis/events-api).
NOTE_SECONDS, SHORTEST_GAP_SECONDS = 30.0, 45.0


class SlackPresence:
    """One workspace, named `slack/T1`. `connection` returns whether events can arrive; `look_back` accepts the
    questions of that many seconds, and raises StoreError or PlatformError if it should be tried again."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        name: str,
        connection: Callable[[], Connection],
        look_back: Callable[[float], Awaitable[None]],
    ) -> None:
        self._dispatcher, self._name = dispatcher, name
        self._connection, self._look_back = connection, look_back
        self._connected = asyncio.Event()
        self._withheld = 0.0  # seconds in which Slack kept events from us

    def withheld(self, seconds: float) -> None:
        """Note that Slack kept events of the last `seconds` from us, though we were present; 0 does nothing."""
        if seconds > 0:
            self._withheld = max(self._withheld, seconds)
            self._connected.set()

    def connected(self) -> None:
        """Note that a connection was opened, for the first time or again."""
        self._connected.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record the presence while the context is open."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run())
            try:
                yield
            finally:
                task.cancel()

    async def _run(self) -> None:
        while True:
            self._connected.clear()
            if self._connection().up:
                await self._note()
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_SECONDS):
                    await self._connected.wait()

    async def _note(self) -> None:
        """Close the gap only after searching it: a process that ends earlier leaves the search to the next one. Ask
        for the gap each time, because an outage of Redis leaves one too."""
        withheld, self._withheld = self._withheld, 0.0
        try:
            if (seconds := await self._dispatcher.away(self._name)) > SHORTEST_GAP_SECONDS:
                log.info("Slack: no process listened for %.0f s, looking for missed questions", seconds)
                await self._look_back(max(seconds, withheld))
            elif withheld:
                await self._look_back(withheld)
        except (StoreError, PlatformError) as error:
            log.warning("Slack: postponed the search for missed questions: %s: %s", type(error).__name__, error)
            self._withheld = max(self._withheld, withheld)
            return
        except Exception:
            log.exception("Slack: the search for missed questions failed")
        await self._dispatcher.present(self._name)
