"""Painter: shows the newest state of a reply on a surface, as often as the platform allows, and its end for certain."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from core import metrics
from core.domain.beat import Beat
from core.domain.errors import Forbidden, Frozen, Halted, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.page import Page
from core.domain.ports import Surface
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.rates import RateLimit
from core.ratelimit.limiter import Permit, RateLimiter
from core.reply.latest import Latest
from core.reply.layout import PLAIN, ReplyLayout, ReplyStyle
from core.reply.state import Phase, Reply

log = logging.getLogger(__name__)

# How long a final frame is tried before it is given up, in seconds; an interim frame is not tried twice.
FINAL_PATIENCE = 600.0
_BACKOFF = (0.5, 1, 2, 5, 10, 30)
# How long what has gathered of a quick stream may take to be read before a frame, in seconds: it is there already.
FRESH = 0.02
FILE_NAME = "answer.md"


class CheckpointListener(Protocol):
    """Who is told how far a reply has come."""

    def drawn(self, progress: Progress, page: Page) -> None:
        """Something new is on screen, this page last."""
        ...

    async def posted(self, progress: Progress, page: Page) -> None:
        """A new message is on screen."""
        ...

    async def check(self) -> None:
        """Something is about to be shown. Raises Stale when that is another process's affair by now."""
        ...


class ReplyPublisher:
    """Paints one reply. Knows which messages stand where; a frame that became old while waiting is never sent."""

    def __init__(
        self,
        cell: Latest[Reply],
        surface: Surface,
        pacer: RateLimiter,
        keeper: CheckpointListener,
        progress: Progress = NOTHING_SHOWN,
        beat: Beat | None = None,
        *,
        heading: str = "",
        look: ReplyStyle = PLAIN,
        halt: Callable[[], object] = lambda: None,
        keep: bool = False,
        platform: str = "",
    ) -> None:
        """`progress`: what was shown before, by another process or as an answer to be replaced; its messages are gone
        on with. With `keep` it stands until there is text to replace it; if none comes, what is to say is a message of
        its own. `keeper` is told of ours. `halt` ends the answer when a person wants that by the platform's own means.
        `platform`: for the metrics. `beat`: in which the model's stream is read.
        """
        self.messages = list(progress.messages)
        self.visible = asyncio.Event()  # something of ours is on screen
        # A new attempt begins at the first word: until it has come as far as the one before, that one stays.
        self._catching_up = progress.characters
        self._cell, self._beat = cell, beat or Beat()
        self._surface = surface
        self._pacer, self._line = pacer, pacer.line()
        self._keeper = keeper
        self._halt = halt
        self._keep = keep
        self._live = look.live
        self._frames = ReplyLayout(surface.fits, heading, look)
        self._shown: list[Page | None] = [None] * len(self.messages)
        self._laid_out = Reply()  # the state that was laid out last
        self._drawn = 0  # the page that was shown last, or was to be
        self._attached = False
        self._platform = platform
        self._newest: float | None = None  # when the newest text on screen had come

    async def paint(self) -> None:
        """Until the reply is over and its end is on screen.

        Raises Gone when the reply or its place was deleted, Forbidden when nothing may be shown there any more,
        Rejected when not even a sentence of ours is taken, and SlowDown or Unreachable when that went on for
        FINAL_PATIENCE.
        """
        try:
            await self._paint()
        finally:
            self._line.leave()

    async def _paint(self) -> None:
        failures, deadline = 0, None
        while True:
            reply = self._cell.value
            if reply.over and deadline is None:
                deadline, self._line.ending = time.monotonic() + FINAL_PATIENCE, True
            if self._keep and reply.over and not reply.text:
                self.messages, self._shown, self._keep = [], [], False
                if reply.phase is Phase.STOPPED:
                    return
            try:
                if (need := self._expected(reply)) is not None:
                    await self._draw(*need)
                elif not reply.over:
                    await self._news()
                elif self._frames.overflows(reply) and not self._attached:
                    await self._attach(reply)
                else:
                    await self._trim()
                    return
                failures = 0
            except SlowDown as slow:
                if _past(deadline):
                    raise
                log.info("slowed down for %.1f s", slow.retry_after)
            except Halted:
                log.info("a person ended a reply")
                self._halt()
                await self._cell.closed()
            except Frozen as error:
                # It can't grow in place here: the whole text comes in new messages, once it is complete.
                log.warning("a message can't be edited, its text is posted anew: %s", error)
                await self._cell.closed()
                await self._drop(self._drawn)
            except Forbidden as error:
                if not (self.messages and self._frames.end_at(len(self.messages))):
                    raise
                log.warning("a reply can't go on in its place: %s", error)
                self._halt()
            except Rejected as error:
                log.warning("a frame was refused: %s", error)
                if not reply.over:
                    await self._news()
                elif not self._frames.give_up(self._drawn):
                    raise  # even the sentence in its place is refused
            except Unreachable as error:
                if _past(deadline):
                    raise
                log.warning("a frame was lost: %s", error)
                pause = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
                failures += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await (asyncio.sleep(pause) if reply.over else self._cell.closed())

    def _pages(self, reply: Reply) -> tuple[Page, ...]:
        self._laid_out = reply
        return self._frames.pages(reply, time.monotonic())

    def _expected(self, reply: Reply) -> tuple[RateLimit, bool] | None:
        """What showing the reply needs next, None when nothing changed.

        While a text grows that is an edit of the page that grows: it is laid out once the budget allows a call, not
        before as well. If it needs another call by then, that is found when it is looked at again.
        """
        shown = self._shown[-1] if self._shown else None
        grows = reply.text and self._laid_out.text and reply is not self._laid_out and not reply.over
        waits = not self._live or len(reply.text) < self._catching_up or self._frames.overflows(reply)
        if grows and not waits and shown and shown.growing:
            return self._need(len(self._shown) - 1, shown)
        changed = self._changed(reply)
        return None if changed is None else self._need(changed, self._pages(reply)[changed])

    def _changed(self, reply: Reply) -> int | None:
        """The first page that is not on screen as it should be."""
        if not reply.over and (not self._live or len(reply.text) < self._catching_up):
            return None
        if self._keep and not reply.text:
            return None
        for index, page in enumerate(self._pages(reply)):
            if index >= len(self._shown) or self._shown[index] != page:
                return index
        return None

    async def _news(self) -> None:
        """Wait for a newer reply; a thinking model has a clock on screen, so look now and then also without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._cell.next()

    async def _draw(self, pace: RateLimit, urgent: bool) -> None:
        """Wait for the budget, then show what is newest by then."""
        permit = await self._permit(pace, urgent=urgent)
        if permit is None:
            return
        reply = await self._freshest()
        changed = self._changed(reply)
        page = None if changed is None else self._pages(reply)[changed]
        if changed is None or page is None or self._need(changed, page)[0].scope != pace.scope:
            permit.give_back()  # what had to be shown became another call
            return
        self._drawn = changed
        async with permit:
            await self._keeper.check()
            if new := changed >= len(self.messages):
                self.messages.append(await self._surface.post(page))
                self._shown.append(page)
            else:
                if moved := await self._surface.edit(self.messages[changed], page):
                    self.messages[changed], new = moved, True
                self._shown[changed] = page
            permit.learn(self._surface.told)
        self._aged(reply)
        if new:
            await self._keeper.posted(self._noted(reply), page)
        else:
            self._keeper.drawn(self._noted(reply), page)

    async def _freshest(self) -> Reply:
        """The newest reply, with what the model wrote until now."""
        if not self._cell.value.over and self._beat.now():
            with suppress(TimeoutError):
                async with asyncio.timeout(FRESH):
                    return await self._cell.newer()
        return self._cell.value

    def _need(self, index: int, page: Page) -> tuple[RateLimit, bool]:
        """The budget that the page's next frame draws on, and whether it goes before interim frames: new messages and
        those that will not change any more do."""
        message = self.messages[index] if index < len(self.messages) else None
        return self._surface.pace(message, page, self._pacer.wait), message is None or not page.growing

    def _aged(self, reply: Reply) -> None:
        """A frame landed: how old its newest text has become. Frames without new text tell nothing."""
        if self._platform and reply.text_until is not None and reply.text_until != self._newest:
            self._newest = reply.text_until
            metrics.FRAME_AGE_SECONDS.labels(self._platform).observe(time.monotonic() - reply.text_until)

    def _noted(self, reply: Reply) -> Progress:
        self._catching_up = 0
        self.visible.set()
        return Progress(tuple(self.messages), len(reply.text))

    async def _permit(self, pace: RateLimit, *, urgent: bool) -> Permit | None:
        """A call from the budget; None when the reply ended while it waited in line: its end may be another call."""
        if urgent or self._cell.value.over:
            return await self._line.permit(pace, final=True)
        try:
            async with self._cell.until_closed():
                return await self._line.permit(pace)
        except TimeoutError:
            return None

    async def _attach(self, reply: Reply) -> None:
        """The whole text as a file below its beginning; where that is not possible it takes as many messages as it
        takes."""
        await self._drop(len(self._pages(reply)))
        page = self._pages(reply)[-1]
        permit = await self._line.permit(self._surface.pace(None, page, self._pacer.wait), final=True)
        try:
            async with permit:
                await self._keeper.check()
                message = await self._surface.attach(FILE_NAME, reply.text.encode("utf-8", "replace"))
        except (Rejected, Forbidden) as error:
            log.warning("a file can't be attached, its text goes into messages: %s", error)
            self._frames.without_file()
            return
        self._attached = True
        if message:
            self.messages.append(message)
            self._shown.append(None)
            await self._keeper.posted(self._noted(reply), page)

    async def _trim(self) -> None:
        """Take away messages of an earlier attempt that the final text does not need."""
        if not self._attached:
            await self._drop(max(1, len(self._pages(self._cell.value))))

    async def _drop(self, keep: int) -> None:
        """Take the messages after the first `keep` away."""
        while len(self.messages) > keep:
            await self._delete(self.messages[-1])
            self.messages.pop()
            self._shown.pop()

    async def _delete(self, message: str) -> None:
        for pause in _BACKOFF:
            await self._keeper.check()
            try:
                await self._surface.delete(message)
                return
            except (SlowDown, Unreachable) as error:
                log.info("a superfluous message is taken away later: %s", error)
                await asyncio.sleep(error.retry_after if isinstance(error, SlowDown) else pause)
            except PlatformError as error:
                log.warning("a superfluous message stayed: %s", error)
                return
        log.warning("a superfluous message stayed")


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
