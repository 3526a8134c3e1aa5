"""Takeover: conversations that a dead or stopped process left behind are found and gone on with."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from core import metrics
from core.domain.errors import StoreError
from core.settings.encryption import Unreadable
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# So long a conversation is left to others whose next question can't be opened without their key. Seconds.
CLOSED = 30.0


class Takeover:
    """One for a process; `platforms` are those whose turns it can run."""

    def __init__(self, turns: Turns, platforms: Iterable[str]) -> None:
        self._turns = turns
        self._beginnings = tuple(f"{name}/" for name in platforms)
        self._closed: dict[str, float] = {}  # conversations that we have no key for, and until when they are left alone
        self.behind = False  # some wait that this process has no room for
        self._free = asyncio.Event()
        self._closing = asyncio.Event()

    def hint(self, conversation: str = "") -> None:
        """Somebody handed a conversation back: look now. A hint may get lost."""
        self._free.set()

    def close(self) -> None:
        """Take nothing over any more; what is being claimed at this moment is handed back."""
        self._closing.set()
        self._free.set()

    async def run(self, wanted: Callable[[str], bool], serve: Callable[[Turn], object]) -> None:
        """Until closed: `serve` every turn that nobody holds, of conversations that are `wanted`."""
        pause = min(1.0, self._turns.limits.lease / 4)
        trouble = ""
        while not self._closing.is_set():
            self._free.clear()
            try:
                lapsed = await self._turns.lapsed(self._beginnings)
                if trouble:  # leases ran out with nobody able to renew them: their holders go first
                    trouble, lapsed = "", ()
                    await _wait(self._closing, self._turns.limits.lease / 2)
                self.behind = False
                for conversation in lapsed:
                    if self._closing.is_set() or time.monotonic() < self._closed.get(conversation, 0.0):
                        continue
                    if wanted(conversation):
                        await self._take(conversation, serve)
                    else:
                        self.behind = True
            except StoreError as error:
                if str(error) != trouble:  # once, not every second of an outage
                    log.warning("can't look for turns to take over: %s", error)
                trouble = str(error)
            if not self._closing.is_set():
                await _wait(self._free, pause)

    async def _take(self, conversation: str, serve: Callable[[Turn], object]) -> None:
        try:
            turn = await self._turns.claim(conversation)
        except Unreadable:
            self._closed[conversation] = time.monotonic() + CLOSED
            return
        self._closed.pop(conversation, None)
        if turn is None:
            return
        log.info("taking over %s, attempt %d", turn.mention.id, turn.attempt)
        if self._closing.is_set():
            await self._turns.release(turn)
        else:
            metrics.TAKEOVERS.inc()
            serve(turn)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
