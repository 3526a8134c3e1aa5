"""Lease: the hold on a running turn, renewed until it ends, carrying how far its reply has come."""

import asyncio
import logging
from collections.abc import Callable

from core.errors import Stale, StoreError
from core.model import Progress
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# After a renewal that failed the next one follows soon: others wait for it before they take the turn over. Seconds.
RETRY = 1.0


class Lease:
    """Of one turn. Whoever takes the turn over knows from it which messages to go on in, and how long they were."""

    def __init__(self, turns: Turns, turn: Turn, stop: Callable[[], object]) -> None:
        """`stop` is called when somebody wants the turn stopped."""
        self._stop = stop
        self._turns = turns
        self._turn = turn
        self._progress = turn.progress
        self._held = True

    def drawn(self, progress: Progress) -> None:
        """Something new is on screen; kept with the next renewal."""
        self._progress = progress

    async def posted(self, progress: Progress) -> None:
        """A new message is on screen; kept at once, or a takeover would post it again. Raises Stale."""
        self._progress = progress
        await self._renew()

    async def hold(self) -> None:
        """Renew until cancelled. Raises Stale when another process took the turn."""
        pause = self._turns.limits.lease / 3
        while True:
            await asyncio.sleep(pause if self._held else min(pause, RETRY))
            await self._renew()

    async def release(self) -> None:
        """Hand the turn back unfinished, for any process to go on with at once. Raises StoreError."""
        await self._turns.release(self._turn, self._progress)

    async def _renew(self) -> None:
        try:
            if not await self._turns.renew(self._turn, self._progress):
                self._stop()
            self._held = True
        except Stale:
            raise
        except StoreError as error:
            self._held = False
            log.warning("turn %s: the lease was not renewed: %s", self._turn.mention.id, error)
