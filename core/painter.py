"""Painter: shows the newest state of a reply on a surface, as often as the platform allows, and its end for certain."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Protocol

from core.errors import Frozen, PlatformError, Rejected, SlowDown, Unreachable
from core.frames import Frames
from core.latest import Latest
from core.model import NOTHING_SHOWN, Page, Progress
from core.pace import Pacer
from core.ports import Pace, Surface
from core.reply import Reply

log = logging.getLogger(__name__)

# How long a final frame is tried before it is given up, in seconds; an interim frame is not tried twice.
FINAL_PATIENCE = 600.0
_BACKOFF = (0.5, 1, 2, 5, 10, 30)


class Keeper(Protocol):
    """Who is told how far a reply has come."""

    def drawn(self, progress: Progress) -> None:
        """Something new is on screen."""
        ...

    async def posted(self, progress: Progress) -> None:
        """A new message is on screen."""
        ...


class Painter:
    """Paints one reply. Knows which messages stand where; a frame that became old while waiting is never sent."""

    def __init__(
        self,
        cell: Latest[Reply],
        surface: Surface,
        pacer: Pacer,
        keeper: Keeper,
        progress: Progress = NOTHING_SHOWN,
        *,
        heading: str = "",
    ) -> None:
        """`progress`: what an earlier process showed; its messages are gone on with. `keeper` is told of ours."""
        self.messages = list(progress.messages)
        self.visible = asyncio.Event()  # something of ours is on screen
        # A new attempt begins at the first word: until it has come as far as the one before, that one stays.
        self._catching_up = progress.characters
        self._cell = cell
        self._surface = surface
        self._pacer = pacer
        self._keeper = keeper
        self._frames = Frames(surface.fits, heading)
        self._shown: list[Page | None] = [None] * len(self.messages)

    async def paint(self) -> None:
        """Until the reply is over and its end is on screen.

        Raises Gone when the reply or its place was deleted, Forbidden when the bot may not write there, Rejected when
        not even a sentence of ours is taken, and SlowDown or Unreachable when that went on for FINAL_PATIENCE.
        """
        failures, deadline = 0, None
        while True:
            reply = self._cell.value
            if reply.over and deadline is None:
                deadline = time.monotonic() + FINAL_PATIENCE
            index = self._changed(reply)
            if index is None:
                if reply.over:
                    await self._trim()
                    return
                await self._news()
                continue
            try:
                await self._draw(index)
                failures = 0
            except SlowDown as slow:
                if _past(deadline):
                    raise
                log.info("slowed down for %.1f s", slow.retry_after)
            except Frozen as error:
                # It can't grow in place here: the whole text comes in new messages, once it is complete.
                log.warning("a message can't be edited, its text is posted anew: %s", error)
                await self._end(after=Reply())
                await self._drop(index)
            except Rejected as error:
                log.warning("a frame was refused: %s", error)
                if not reply.over:
                    await self._news()
                elif not self._frames.give_up(index):
                    raise  # even the sentence in its place is refused
            except Unreachable as error:
                if _past(deadline):
                    raise
                log.warning("a frame was lost: %s", error)
                pause = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
                failures += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._end(after=reply)

    def _changed(self, reply: Reply) -> int | None:
        """The first page that is not on screen as it should be."""
        if len(reply.text) < self._catching_up and not reply.over:
            return None
        for index, page in enumerate(self._frames.pages(reply, time.monotonic())):
            if index >= len(self._shown) or self._shown[index] != page:
                return index
        return None

    async def _news(self) -> None:
        """Wait for a newer reply; while the model thinks aloud its clock goes on, so look again now and then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._cell.next()

    async def _draw(self, index: int) -> None:
        """Wait for the budget, then show what is newest by then."""
        new = index >= len(self.messages)
        pace = self._surface.post_pace if new else self._surface.edit_pace
        await self._permit(pace)
        changed = self._changed(self._cell.value)
        if changed is None or (changed >= len(self.messages)) != new:
            return  # what had to be shown became another call; it needs another permit
        reply = self._cell.value
        page = self._frames.pages(reply, time.monotonic())[changed]
        try:
            if new:
                self.messages.append(await self._surface.post(page))
                self._shown.append(page)
                await self._keeper.posted(self._noted(reply))
            else:
                await self._surface.edit(self.messages[changed], page)
                self._shown[changed] = page
                self._keeper.drawn(self._noted(reply))
        except SlowDown as slow:
            self._pacer.hold(pace, slow.retry_after)
            raise

    def _noted(self, reply: Reply) -> Progress:
        self._catching_up = 0
        self.visible.set()
        return Progress(tuple(self.messages), len(reply.text))

    async def _permit(self, pace: Pace) -> None:
        """A call from the budget; a reply that ends while it waits in line goes on as one that has ended."""
        before = self._cell.value
        if not before.over:
            async with asyncio.TaskGroup() as group:
                waits = group.create_task(self._pacer.permit(pace))
                ends = group.create_task(self._end(after=before))
                await asyncio.wait({waits, ends}, return_when=asyncio.FIRST_COMPLETED)
                granted = waits.done()
                waits.cancel()
                ends.cancel()
            if granted:
                return
        await self._pacer.permit(pace, final=True)

    async def _end(self, after: Reply) -> None:
        """Wait for the end of the reply, if it came after this state."""
        while after.over or not self._cell.value.over:
            await self._cell.next()

    async def _trim(self) -> None:
        """Take away messages of an earlier attempt that the final text does not need."""
        await self._drop(max(1, len(self._frames.pages(self._cell.value, time.monotonic()))))

    async def _drop(self, keep: int) -> None:
        """Take the messages after the first `keep` away."""
        while len(self.messages) > keep:
            try:
                await self._surface.delete(self.messages[-1])
            except PlatformError as error:
                log.warning("a superfluous message stayed: %s", error)
            self.messages.pop()
            self._shown.pop()


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
