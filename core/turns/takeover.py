"""Takeover: finds lanes that a dead or stopped process left behind, or that wait for one with room, and goes on."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from cachetools import TTLCache

from core import metrics
from core.domain.conversation import Lane
from core.domain.errors import StoreError
from core.settings.encryption import Unreadable
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# When to try a lane again whose next question this process can't read; processes that can go first.
UNREADABLE_RETRY_SECONDS = 30.0
_MAX_UNREADABLE = 10_000  # lanes kept in memory
_AT_MOST = 100  # lanes looked at in one round


class Takeover:
    """One per process. `platforms` are those whose turns this process can run."""

    def __init__(self, turns: Turns, platforms: Iterable[str]) -> None:
        self._turns = turns
        self._platforms = tuple(platforms)
        # Lanes whose next question can't be read here, or whose keys are damaged, until they are tried again.
        self._unreadable: TTLCache[Lane, None] = TTLCache(_MAX_UNREADABLE, UNREADABLE_RETRY_SECONDS)
        self.backlog = False  # some lanes wait, but this process has no room for them
        self._free = asyncio.Event()
        self._closing = asyncio.Event()

    def hint(self, lane: Lane | None = None) -> None:
        """Look now: somebody handed a lane back or stopped its turn, or there is room again. A hint may get lost."""
        if lane:
            self._unreadable.pop(lane, None)
        self._free.set()

    def close(self) -> None:
        """Take over nothing more. A turn that is being claimed at this moment is handed back."""
        self._closing.set()
        self._free.set()

    async def run(self, wanted: Callable[[Lane], bool], serve: Callable[[Turn], object]) -> None:
        """Until closed, `serve` every turn that nobody holds in lanes that are `wanted`."""
        pause = min(1.0, self._turns.limits.lease / 4)
        trouble = ""
        while not self._closing.is_set():
            self._free.clear()
            try:
                # What is passed over below must not fill the answer.
                at_most = _AT_MOST + len(self._unreadable)
                prefixes = tuple(f"{name}/" for name in self._platforms if self._turns.spaces.is_settled(name))
                lapsed = await self._turns.lapsed(prefixes, at_most) if prefixes else ()
                if trouble:  # leases ran out while nobody could renew them: let their holders go first
                    trouble, lapsed = "", ()
                    await _wait(self._closing, self._turns.limits.lease / 2)
                self.backlog = False
                for lane in lapsed:
                    if self._closing.is_set() or lane in self._unreadable:
                        continue
                    if wanted(lane):
                        await self._take(lane, serve)
                    else:
                        self.backlog = True
            except StoreError as error:
                if str(error) != trouble:  # log it once, not every second of an outage
                    log.warning("could not look for turns to take over: %s", error)
                trouble = str(error)
            if not self._closing.is_set():
                await _wait(self._free, pause)

    async def _take(self, lane: Lane, serve: Callable[[Turn], object]) -> None:
        try:
            turn = await self._turns.claim(lane)
        except Unreadable:
            self._unreadable[lane] = None
            return
        except StoreError:
            self._unreadable[lane] = None  # if its keys are damaged, it must not keep us from the others
            raise
        except Exception:
            log.exception("can't take over %s", lane)
            self._unreadable[lane] = None
            return
        self._unreadable.pop(lane, None)
        if turn is None:
            return
        log.info("taking over %s, attempt %d", turn.question.id, turn.attempt)
        if self._closing.is_set():
            await self._turns.release(turn)
        else:
            metrics.TAKEOVERS.inc()
            serve(turn)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
