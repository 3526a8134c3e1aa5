"""Lease: the hold on a running turn. It is renewed until the turn ends, and carries how far the reply has come."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from core.awake import awake
from core.domain.errors import Stale, StoreError
from core.domain.page import Page
from core.domain.ports import Surface
from core.domain.progress import Progress
from core.reply.layout import PAUSED
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# How soon to try again after a failed renewal: other processes wait for it before they take the turn over.
RETRY_SECONDS = 1.0
# How long a reply waits until Redis knows its new message. Not longer, or the reply would stand still.
CHECKPOINT_TIMEOUT_SECONDS = 1.0
# After handing a turn back, how long to watch whether another process takes it.
HANDOVER_SECONDS = 1.5
# How often to check that meanwhile.
HANDOVER_POLL_SECONDS = 0.15
# How long the platform may take to show that the reply is paused: the process is about to exit.
PAUSED_TIMEOUT_SECONDS = 3.0
# The server counts whole milliseconds, so its lease may end this much earlier than ours.
CLOCK_TICK_SECONDS = 0.001


class Lease:
    """The lease of one turn. From it a successor knows which messages to go on in, and how much text they had."""

    def __init__(
        self,
        turns: Turns,
        turn: Turn,
        stop: Callable[[], object],
        silent: Callable[[], bool],
        *,
        handover_seconds: float = HANDOVER_SECONDS,
    ) -> None:
        """`stop` ends the answer when somebody asks for it. `silent`: whether Redis left somebody else in this process
        without an answer a moment ago. `handover_seconds`: see HANDOVER_SECONDS."""
        self._stop, self._silent, self._handover_seconds = stop, silent, handover_seconds
        self._turns = turns
        self._turn = turn
        self.progress = turn.progress
        self.page: Page | None = None  # the last page on screen
        self.retracted = turn.retracted  # the question was deleted
        self._reachable = True
        self._due = asyncio.Event()  # a renewal that can't wait until the usual pause is over
        # Counted from the claim, not from now: the process may have stood still since.
        self._ends = turn.asked + turns.limits.lease - CLOCK_TICK_SECONDS

    def on_edit(self, progress: Progress, page: Page) -> None:
        """Something new is on screen. The next renewal stores it."""
        self.progress, self.page = progress, page

    async def on_post(self, progress: Progress, page: Page) -> None:
        """A new message is on screen. Store it at once, or a takeover would post it again. Raises Stale.

        Nobody waits for a Redis that is known to be silent: the reply goes on while `hold` tries.
        """
        self.on_edit(progress, page)
        if self._reachable and not self._silent():
            await self._renew(CHECKPOINT_TIMEOUT_SECONDS)
            if self._reachable:
                return
        self._due.set()

    async def check(self) -> None:
        """Called before anything is shown. Raises Stale when another process holds the turn.

        Asks Redis only when the lease may have run out unnoticed, as after a pause of this process. While Redis is out
        of reach, running turns go on: usually no process can reach it then, so nobody can take the turn over.
        """
        if self._reachable and time.monotonic() >= self._ends:
            await self._renew(CHECKPOINT_TIMEOUT_SECONDS)

    async def refresh(self) -> None:
        """Learn whether the question was deleted, once its answer has been stopped. Raises Stale."""
        await self._renew()

    async def hold(self) -> None:
        """Renew until cancelled. Raises Stale when another process took the turn."""
        pause = self._turns.limits.lease / 3
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if self._reachable else min(pause, RETRY_SECONDS)):
                    await self._due.wait()
            self._due.clear()
            await self._renew()

    async def hand_back(self, surface: Surface) -> None:
        """Hand the unfinished turn back, so that any process can go on with it at once. If none does, show that it is
        paused.

        Raises StoreError, PlatformError and TimeoutError.
        """
        try:
            if not await self._turns.release(self._turn, self.progress):
                return  # it had ended after all, or another process holds it
            watch_seconds = self._handover_seconds
        except StoreError:
            if time.monotonic() >= self._ends and self._reachable:
                raise
            watch_seconds = 0.0  # without Redis nobody can take it
        until = time.monotonic() + watch_seconds
        async with asyncio.timeout(watch_seconds + PAUSED_TIMEOUT_SECONDS):
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(HANDOVER_POLL_SECONDS, left))
                if await self._turns.taken(self._turn):
                    return
            if self.page and self.page.growing and self.progress.messages:
                page = replace(self.page.bare, growing=False, foot=PAUSED)
                await surface.edit(self.progress.messages[-1], page)

    async def _renew(self, timeout_seconds: float | None = None) -> None:
        asked = time.monotonic()
        try:
            async with awake(timeout_seconds):
                renewed = await self._turns.renew(self._turn, self.progress)
        except Stale:
            raise
        except (StoreError, TimeoutError) as error:
            self._reachable = False
            log.warning("turn %s: could not renew the lease: %s", self._turn.question.id, error)
            return
        self._reachable, self._ends = True, asked + self._turns.limits.lease - CLOCK_TICK_SECONDS
        self.retracted = self.retracted or renewed.retract
        if renewed.lost:
            log.warning("turn %s: Redis lost the question; it is queued again", self._turn.question.id)
            try:
                await self._turns.restore(self._turn)
            except Stale:
                raise
            except StoreError:
                self._reachable = False  # the next renewal tries again
        if renewed.stop:
            self._stop()
