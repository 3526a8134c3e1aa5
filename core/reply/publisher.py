"""ReplyPublisher: shows the newest state of one reply as often as the platform allows, and makes sure its end is shown.

A model writes a hundred tokens a second; a platform accepts about one edit a second. So the two must not wait for
each other. One task, the writer, reads the model's stream and puts each new state of the reply into a cell with one
slot (`Latest`). Setting the cell never waits: what nobody has read in time is replaced. The other task, the
publisher, takes from the cell whatever is newest when the platform allows a call, and never sends anything older.

Each round of its loop is the same. Look at the newest state. If the screen already shows it, wait for news, at
most a second, because the clock of a thinking model ticks without news. Otherwise find the first page that is not on
screen as it should be, and with it the rate limit that the call counts against. Wait for a permit. Then look again:
time has passed, the newest state may be another one and may need another call. If so, give the permit back and start
over. Otherwise post or edit the page, and tell the `CheckpointListener` how far the reply has come, so that another
process could go on in the same messages.

While a page grows, the publisher doesn't even lay the text out before it has its permit. And when the model is quick,
the writer does not read each token by itself: it reads in beats (`Beat`), since each read costs time and only the
last state of a beat would be shown. So with the permit in hand the publisher first has what gathered since the last
beat read at once, and shows that.

Interim frames are cheap. One that fails is not tried again; the next one holds everything that it held. The end is
different: it has to land. When the last state is in the cell, waits for interim permits end at once, the reply goes to
the front of the queue, and what fails is tried again with growing pauses for up to FINAL_FRAME_TIMEOUT_SECONDS. If the
text takes more messages than allowed, the whole of it follows as a file, or a sentence where no file may be attached;
a picture is such a file too.
Last, messages of an earlier attempt that the text does not need are deleted.

What a platform can refuse, and what then happens:

- SlowDown: the rate limiter has learnt of it; the next permit simply comes later.
- Unreachable: a pause, and the call again. The end of the reply cuts the pause of an interim frame short.
- TooLong: the page and those after it are cut smaller.
- Rejected: an interim frame is skipped, since more text may make it acceptable. In the last state what was accepted of
  the page stays, with a sentence, or the sentence takes its place; if even that is refused, the reply is given up.
- Frozen: the message can't be edited any more. The publisher waits for the whole text, deletes that message and those
  after it, and posts their text again.
- Halted: a person ended the reply by the platform's own means. The model is stopped, and the end is shown.
- Forbidden: nothing more may be posted. The reply ends with the messages that it has, and the model is stopped; if it
  has none, the reply is given up.
- Gone: somebody deleted the reply or its channel. Nobody reads it any more, so this ends the publisher.

Where ends are few, a page is shown while it grows only if a call for its end is promised (`core.ratelimit.plan`).
Otherwise the publisher asks again each second, and posts the page once it is complete. A surface may have more than one
way to grow; it is asked for the next one when a way can't promise.

A reply may start in the middle, with messages on screen already. After a takeover the publisher goes on in them, and
leaves the old text until the new one is as long: nobody sees an answer shrink. When a question is answered again, the
old answer stays until there is a first word to replace it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from core import metrics
from core.domain.chat import Beat
from core.domain.errors import Forbidden, Frozen, Halted, PlatformError, Rejected, SlowDown, TooLong, Unreachable
from core.domain.page import Page, ReplyFile
from core.domain.ports import Surface
from core.domain.progress import NOTHING_SHOWN, Progress
from core.domain.rates import RateLimit
from core.domain.retry import retried
from core.pauses import pause
from core.ratelimit.bucket import Permit
from core.ratelimit.limiter import RateLimiter
from core.reply.latest import Latest
from core.reply.layout import PLAIN, ReplyLayout, ReplyStyle
from core.reply.state import Phase, Reply

log = logging.getLogger(__name__)

# How long to keep trying a final frame before it is given up; an interim frame is not tried twice.
FINAL_FRAME_TIMEOUT_SECONDS = 600.0
_BACKOFF_SECONDS = (0.5, 1, 2, 5, 10, 30)
# How long to wait before a frame for the text of a quick stream that has gathered: it only has to be read.
FRESH_TEXT_TIMEOUT_SECONDS = 0.02


class CheckpointListener(Protocol):
    """Hears how far a reply has come."""

    def on_edit(self, progress: Progress, page: Page) -> None:
        """A message changed on screen; `page` is what it shows now."""
        ...

    async def on_post(self, progress: Progress, page: Page) -> None:
        """A new message is on screen."""
        ...

    async def check(self) -> None:
        """Called before anything is shown. Raises Stale when another process has taken the reply over."""
        ...


class ReplyPublisher:
    """Shows one reply. Knows which page each message shows; never sends a frame that grew old while it waited."""

    def __init__(
        self,
        cell: Latest[Reply],
        surface: Surface,
        limiter: RateLimiter,
        listener: CheckpointListener,
        progress: Progress = NOTHING_SHOWN,
        beat: Beat | None = None,
        *,
        heading: str = "",
        style: ReplyStyle = PLAIN,
        halt: Callable[[], object] = lambda: None,
        keep: bool = False,
        platform: str = "",
    ) -> None:
        """`progress` is what is on screen already, left by another process or as an answer to be replaced; its messages
        are used again. With `keep`, that answer stays until there is text to replace it; if none comes, our notice is a
        message of its own. `listener` hears of what we show. `halt` ends the answer when a person wants that by the
        platform's own means. `platform` labels the metrics. `beat` is the one in which the model's stream is read.
        """
        self.messages = list(progress.messages)
        self.visible = asyncio.Event()  # set once something of ours is on screen
        # A new attempt begins with the first word: until it is as long as the one before, that one stays.
        self._catching_up = progress.characters
        self._cell, self._beat = cell, beat or Beat()
        self._surface = surface
        self._limiter, self._ticket = limiter, limiter.ticket()
        self._listener = listener
        self._halt = halt
        self._keep = keep
        self._live = style.live
        self._layout = ReplyLayout(surface.fits, heading, style)
        self._shown: list[Page | None] = [None] * len(self.messages)
        self._laid_out = Reply()  # the last state that was laid out
        self._current = 0  # index of the page that was shown last, or that failed
        self._attached = False
        self._unpromised: set[str] = set()  # limits of first frames whose end could not be promised
        self._whole = False  # nothing of the page at hand is shown before it is complete
        self._platform = platform
        self._newest: float | None = None  # when the newest text on screen came from the model

    async def publish(self) -> None:
        """Run until the reply is over and its end is on screen.

        Raises Gone when the reply or its place was deleted, Forbidden when nothing may be shown there any more,
        Rejected when not even our own sentence is accepted, and SlowDown or Unreachable when these last longer than
        FINAL_FRAME_TIMEOUT_SECONDS.
        """
        try:
            await self._publish()
        finally:
            self._ticket.leave()

    async def _publish(self) -> None:
        failures, deadline = 0, None
        while True:
            reply = self._cell.value
            await self._ticket.renew()
            if reply.over and deadline is None:
                deadline, self._ticket.ending = time.monotonic() + FINAL_FRAME_TIMEOUT_SECONDS, True
            if self._keep and reply.over and reply.empty:
                self.messages, self._shown, self._keep = [], [], False
                if reply.phase is Phase.STOPPED:
                    return
            try:
                if (need := await self._expected(reply)) is not None:
                    await self._show(*need)
                elif not reply.over:
                    await self._wait_for_news()
                elif not self._attached and (file := self._layout.file(reply)):
                    await self._attach(reply, file)
                else:
                    await self._trim()
                    return
                failures = 0
            except SlowDown as slow:
                if _past(deadline):
                    raise
                log.info("the platform asked for a pause of %.1f s", slow.retry_after)
            except Halted:
                log.info("a person stopped a reply with the platform's own button")
                self._halt()
                await self._cell.closed()
            except Frozen as error:
                # The text can't grow in this message: once it is complete, all of it comes in new messages.
                log.warning("a message can't be edited any more; its text will be posted again: %s", error)
                await self._cell.closed()
                await self._drop(self._current)
            except Forbidden as error:
                if not (self.messages and self._layout.end_at(len(self.messages))):
                    raise
                log.warning("no further message may be posted; the reply ends here: %s", error)
                self._halt()
            except TooLong as error:
                log.warning("the platform refused a frame as too long: %s", error)
                page = self._pages(self._cell.value)[self._current]
                if not self._layout.shrink(self._current, page) and not self._refuse(reply):
                    raise
            except Rejected as error:
                log.warning("the platform refused the content of a frame: %s", error)
                if not reply.over:
                    await self._wait_for_news()
                elif not self._refuse(reply):
                    raise  # the platform refuses even our sentence in its place
            except Unreachable as error:
                if _past(deadline):
                    raise
                log.warning("could not show a frame: %s", error)
                pause = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await (asyncio.sleep(pause) if reply.over else self._cell.closed())

    def _pages(self, reply: Reply) -> tuple[Page, ...]:
        self._laid_out = reply
        return self._layout.pages(reply, time.monotonic())

    def _refuse(self, reply: Reply) -> bool:
        """Show what was accepted of a page and that the rest was refused; False if not even that is accepted."""
        accepted = self._shown[self._current] if self._current < len(self._shown) else None
        return self._layout.give_up(self._current, accepted)

    async def _expected(self, reply: Reply) -> tuple[RateLimit, bool] | None:
        """The limit and urgency of the call that showing the reply needs next; None when nothing changed.

        For a growing text that is an edit of the growing page, which is laid out only once the call is allowed. If it
        then turns out to need another call, the second look finds that.
        """
        shown = self._shown[-1] if self._shown else None
        grows = reply.text and self._laid_out.text and reply is not self._laid_out and not reply.over
        waits = not self._live or len(reply.text) < self._catching_up or self._layout.overflows(reply)
        if grows and not waits and shown and shown.growing:
            limit, urgent = self._need(len(self._shown) - 1, shown)
            if limit.owed is None or self._ticket.owes(limit.owed):
                return limit, urgent
        changed = await self._changed(reply)
        if changed is None:
            return None
        page = self._pages(reply)[changed]
        self._whole = page.growing and not await self._promised(changed, page)
        return None if self._whole else self._need(changed, page)

    async def _promised(self, index: int, page: Page) -> bool:
        """Whether a page may be shown while it grows. What is on screen owes its end in any case; for a new message the
        surface's ways are tried in turn, first those in which it would also have interim frames."""
        owed = self._need(index, page)[0].owed
        if owed is None or self._ticket.owes(owed):
            return True
        if index < len(self.messages):
            return await self._ticket.promise(owed, certain=True)
        for lively in (True, False):
            self._unpromised.clear()
            while (limit := self._need(index, page)[0]).scope not in self._unpromised:
                if limit.owed is None or await self._ticket.promise(limit.owed, lively=lively):
                    return True
                self._unpromised.add(limit.scope)
        return False

    def _wait(self, limit: RateLimit) -> float:
        """Seconds that a call under this limit has to wait; infinite only if it can't promise the end."""
        return math.inf if limit.scope in self._unpromised else self._limiter.wait(limit)

    async def _changed(self, reply: Reply) -> int | None:
        """Index of the first page that is not on screen as it should be. Other tasks run while it is laid out."""
        if not reply.over and (not self._live or len(reply.text) < self._catching_up):
            return None
        if self._keep and reply.empty:
            return None
        while not self._layout.advance(reply, time.monotonic()):
            await pause()
        for index, page in enumerate(self._pages(reply)):
            if index >= len(self._shown) or self._shown[index] != page:
                return index
        return None

    async def _wait_for_news(self) -> None:
        """Wait for a newer reply, for a second at most: the clock of a thinking model moves without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await (self._cell.closed() if self._whole else self._cell.next())

    async def _show(self, limit: RateLimit, urgent: bool) -> None:
        """Wait for a permit, then show what is newest by then."""
        permit = await self._permit(limit, urgent=urgent)
        if permit is None:
            return
        try:
            reply = await self._freshest()
            changed = await self._changed(reply)
        except BaseException:  # cancelled: nobody else would give the call back
            permit.give_back()
            raise
        page = None if changed is None else self._pages(reply)[changed]
        if changed is None or page is None or self._need(changed, page)[0].scope != limit.scope:
            permit.give_back()  # what there is to show now needs another call
            return
        self._current = changed
        if not page.growing:
            permit.ends(self._ticket)
        async with permit:
            await self._listener.check()
            if new := changed >= len(self.messages):
                posted = await self._surface.post(page)
                self.messages.append(posted.id)
                self._shown.append(page)
            else:
                posted = await self._surface.edit(self.messages[changed], page)
                new = posted.id != self.messages[changed]
                self.messages[changed], self._shown[changed] = posted.id, page
            permit.learn(posted.rate_limit)
        self._observe_age(reply)
        if new:
            await self._listener.on_post(self._report(reply), page)
        else:
            self._listener.on_edit(self._report(reply), page)

    async def _freshest(self) -> Reply:
        """The newest reply, with all that the model has written until now."""
        if not self._cell.value.over and self._beat.now():
            with suppress(TimeoutError):
                async with asyncio.timeout(FRESH_TEXT_TIMEOUT_SECONDS):
                    return await self._cell.newer()
        return self._cell.value

    def _need(self, index: int, page: Page) -> tuple[RateLimit, bool]:
        """The limit that the page's next frame counts against, and whether it goes before interim frames: new messages
        do, pages that will not change any more, and calls that are kept for ends alone."""
        message = self.messages[index] if index < len(self.messages) else None
        limit = self._surface.rate_limit(message, page, self._wait)
        return limit, message is None or not page.growing or (limit.promised and not limit.spread)

    def _observe_age(self, reply: Reply) -> None:
        """Measure how old the newest text of a frame is when it lands. A frame without new text says nothing."""
        if self._platform and reply.text_until is not None and reply.text_until != self._newest:
            self._newest = reply.text_until
            metrics.FRAME_AGE_SECONDS.labels(self._platform).observe(time.monotonic() - reply.text_until)

    def _report(self, reply: Reply) -> Progress:
        self._catching_up = 0
        self.visible.set()
        return Progress(tuple(self.messages), len(reply.text))

    async def _permit(self, limit: RateLimit, *, urgent: bool) -> Permit | None:
        """A permit for a call; None when the reply ended in the meantime, since its end may need another call."""
        if self._cell.value.over:
            return await self._ticket.permit(limit, final=True)
        try:
            async with self._cell.until_closed():
                return await self._ticket.permit(limit, final=urgent)
        except TimeoutError:
            return None

    async def _attach(self, reply: Reply, file: ReplyFile) -> None:
        """Show a file below the reply. Where none can be attached, the reply ends there."""
        await self._drop(len(self._pages(reply)))
        page = self._pages(reply)[-1]
        permit = await self._ticket.permit(self._need(len(self.messages), page)[0], final=True)
        try:
            async with permit:
                await self._listener.check()
                message = await self._surface.attach(file.name, file.content, file.description)
        except (Rejected, Forbidden) as error:
            log.warning("could not attach the file; the reply ends with its last message: %s", error)
            self._layout.without_file()
            return
        self._attached = True
        if message:
            self.messages.append(message)
            self._shown.append(None)
            await self._listener.on_post(self._report(reply), page)

    async def _trim(self) -> None:
        """Delete messages of an earlier attempt that the final text does not need."""
        if not self._attached:
            await self._drop(max(1, len(self._pages(self._cell.value))))

    async def _drop(self, keep: int) -> None:
        """Delete the messages after the first `keep`."""
        while len(self.messages) > keep:
            await self._delete(self.messages[-1])
            self.messages.pop()
            self._shown.pop()

    async def _delete(self, message: str) -> None:
        async def delete() -> None:
            await self._listener.check()
            await self._surface.delete(message)

        def failed(error: Exception, attempt: int) -> None:
            log.info("could not delete a superfluous message yet: %s", error)

        try:
            await retried(delete, _BACKOFF_SECONDS, failed=failed)
        except PlatformError as error:
            log.warning("could not delete a superfluous message: %s", error)


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
