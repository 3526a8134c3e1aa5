"""Lease: the hold on a running turn, renewed until it ends, carrying how far its reply has come."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from core.domain.errors import Stale, StoreError
from core.domain.page import Page
from core.domain.ports import Surface
from core.domain.progress import Progress
from core.reply.layout import PAUSED
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# After a renewal that failed the next one follows soon: others wait for it before they take the turn over. Seconds.
RETRY = 1.0
# How long a reply waits until a new message of it is known to Redis: no longer, lest it stand still. Seconds.
CHECKPOINT = 1.0
# How long a turn that was handed back is watched for somebody who takes it. Seconds.
HANDOVER = 1.5
# How often it is looked at meanwhile. Seconds.
LOOK = 0.15
# How long the platform may take to show that the reply is paused: the process is about to end. Seconds.
PARTING = 3.0
# The server counts whole milliseconds: its lease may end so much earlier than ours. Seconds.
TICK = 0.001


class Lease:
    """Of one turn. Whoever takes the turn over knows from it which messages to go on in, and how long they were."""

    def __init__(self, turns: Turns, turn: Turn, stop: Callable[[], object], *, handover: float = HANDOVER) -> None:
        """`stop` is called when somebody wants the turn stopped. `handover`: see HANDOVER."""
        self._stop, self._handover = stop, handover
        self._turns = turns
        self._turn = turn
        self.progress = turn.progress
        self.page: Page | None = None  # the last that we showed
        self.retracted = turn.retracted  # the question was deleted
        self._reachable = True
        self._ends = turn.asked + turns.limits.lease - TICK  # not from now on: we may have stood still since

    def on_edit(self, progress: Progress, page: Page) -> None:
        """Something new is on screen; kept with the next renewal."""
        self.progress, self.page = progress, page

    async def on_post(self, progress: Progress, page: Page) -> None:
        """A new message is on screen; kept at once, or a takeover would post it again. Raises Stale."""
        self.on_edit(progress, page)
        if self._reachable:  # else it is kept with the next renewal that succeeds
            await self._renew(CHECKPOINT)

    async def check(self) -> None:
        """Before anything is shown. Raises Stale when another process holds the turn.

        Asks only when the lease may have run out unnoticed, as after a pause of this process. While Redis is out of
        reach what runs goes on: mostly it is so for all, and nobody can take the turn over.
        """
        if self._reachable and time.monotonic() >= self._ends:
            await self._renew(CHECKPOINT)

    async def ended(self) -> None:
        """Learn whether the question was deleted, once its answer was stopped. Raises Stale."""
        await self._renew()

    async def hold(self) -> None:
        """Renew until cancelled. Raises Stale when another process took the turn."""
        pause = self._turns.limits.lease / 3
        while True:
            await asyncio.sleep(pause if self._reachable else min(pause, RETRY))
            await self._renew()

    async def hand_back(self, surface: Surface) -> None:
        """Hand the turn back unfinished, for any process to go on with at once; if none does, people are told.

        Raises StoreError, PlatformError and TimeoutError.
        """
        try:
            if not await self._turns.release(self._turn, self.progress):
                return  # it had ended after all, or is somebody else's
            watched = self._handover
        except StoreError:
            if time.monotonic() >= self._ends and self._reachable:
                raise
            watched = 0.0  # without Redis nobody takes it
        until = time.monotonic() + watched
        async with asyncio.timeout(watched + PARTING):
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(LOOK, left))
                if await self._turns.taken(self._turn):
                    return
            if self.page and self.page.growing and self.progress.messages:
                page = replace(self.page, growing=False, foot=PAUSED, actions=())
                await surface.edit(self.progress.messages[-1], page)

    async def _renew(self, patience: float | None = None) -> None:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                renewed = await self._turns.renew(self._turn, self.progress)
        except Stale:
            raise
        except (StoreError, TimeoutError) as error:
            self._reachable = False
            log.warning("turn %s: the lease was not renewed: %s", self._turn.mention.id, error)
            return
        self._reachable, self._ends = True, asked + self._turns.limits.lease - TICK
        self.retracted = self.retracted or renewed.retract
        if renewed.stop:
            self._stop()
