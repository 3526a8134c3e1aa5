"""Takeover: finds conversations that a dead or stopped process left behind, and goes on with them."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from cachetools import TTLCache

from core import metrics
from core.domain.conversation import Conversation
from core.domain.errors import StoreError
from core.settings.encryption import Unreadable
from core.store.turns import Turn, Turns

log = logging.getLogger(__name__)

# When to try a conversation again whose next question this process can't read; processes that can go first.
UNREADABLE_RETRY_SECONDS = 30.0
_MAX_UNREADABLE = 10_000  # conversations kept in memory
_AT_MOST = 100  # conversations looked at in one round


class Takeover:
    """One per process. `platforms` are those whose turns this process can run."""

    def __init__(self, turns: Turns, platforms: Iterable[str]) -> None:
        self._turns = turns
        self._platforms = tuple(platforms)
        # Conversations whose next question can't be read here, or whose keys are damaged, until they are tried again.
        self._unreadable: TTLCache[Conversation, None] = TTLCache(_MAX_UNREADABLE, UNREADABLE_RETRY_SECONDS)
        self.backlog = False  # some conversations wait, but this process has no room for them
        self._free = asyncio.Event()
        self._closing = asyncio.Event()

    def hint(self, conversation: Conversation | None = None) -> None:
        """Look now: somebody handed a conversation back or stopped it, or there is room again. A hint may get lost."""
        if conversation:
            self._unreadable.pop(conversation, None)
        self._free.set()

    def close(self) -> None:
        """Take over nothing more. A turn that is being claimed at this moment is handed back."""
        self._closing.set()
        self._free.set()

    async def run(self, wanted: Callable[[Conversation], bool], serve: Callable[[Turn], object]) -> None:
        """Until closed, `serve` every turn that nobody holds in conversations that are `wanted`."""
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
                for conversation in lapsed:
                    if self._closing.is_set() or conversation in self._unreadable:
                        continue
                    if wanted(conversation):
                        await self._take(conversation, serve)
                    else:
                        self.backlog = True
            except StoreError as error:
                if str(error) != trouble:  # log it once, not every second of an outage
                    log.warning("could not look for turns to take over: %s", error)
                trouble = str(error)
            if not self._closing.is_set():
                await _wait(self._free, pause)

    async def _take(self, conversation: Conversation, serve: Callable[[Turn], object]) -> None:
        try:
            turn = await self._turns.claim(conversation)
        except Unreadable:
            self._unreadable[conversation] = None
            return
        except StoreError:
            self._unreadable[conversation] = None  # if its keys are damaged, it must not keep us from the others
            raise
        except Exception:
            log.exception("can't take over %s", conversation)
            self._unreadable[conversation] = None
            return
        self._unreadable.pop(conversation, None)
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
