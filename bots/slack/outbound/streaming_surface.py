"""The surface of a reply that Slack streams natively: it starts, extends and stops a message, never rewrites it.

Slack's own helper is not safe to use from two tasks, has no timer and does not split messages (slack_sdk 3.47); this
surface writes what the publisher shows. A reply streams where that is wanted, where edits can't promise its end, or
where many begin in one channel, which takes one post a second. The surface ends a stream before Slack would end it.
Where appending is not enough, or where Slack refused a piece or may have received it twice, it mends the reply: it
stops the stream as it is and edits the message.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.errors import Unclear, code_of, lasting
from bots.slack.api.workspace import Capabilities
from bots.slack.components import blocks
from bots.slack.dialect.markdown import appendable
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address
from core.domain.errors import Gone, Halted, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.page import Page
from core.domain.ports import Posted
from core.domain.rates import RateLimit

log = logging.getLogger(__name__)

# Tiers 2, 4 and 2 (docs.slack.dev/reference/methods: chat.startStream, chat.appendStream, chat.stopStream).
STARTS, APPENDS, STOPS, MINUTE_SECONDS = 20, 100, 20, 60.0
APPEND_LEAST_SECONDS = 0.5  # between two pieces of one reply
# Slack's limit for a streamed message is undocumented: 10,600 bytes were observed to pass (openclaw/openclaw#143882).
STREAM_BYTES = 9_000
# Slack ends a stream after five minutes (slackapi/python-slack-sdk#1859).
LIFETIME_SECONDS = 280.0
# If the rate limit delays a start for longer than this, the reply is edited instead of streamed.
_START_WAIT_SECONDS = 1.0
# In a channel's thread a reply streams if its first message would otherwise wait longer than this for other replies.
POST_WAIT_SECONDS = 1.5
# Refusals of a start that concern one place or person, like those that are Gone or Rejected; any other refusal may
# affect every reply, or every reply outside direct messages.
_PLACE_ERRORS = {
    "not_in_channel",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
    "user_not_found",
}
_CHANNEL_ERRORS = {"channel_type_not_supported", "missing_recipient_team_id", "missing_recipient_user_id"}
_STOPPED = "stopped_by_user"


class _Step(Enum):
    """The step that brings a message to the state of a page."""

    ADD = auto()  # append a piece
    END = auto()  # append the last piece, with the blocks below the text
    MEND = auto()  # stop the stream as it is and edit the message
    EDIT = auto()  # edit the message: it is not a stream, or no longer one


@dataclass
class _Stream:
    """A message that is being streamed: its text, and since when (monotonic seconds). `sound`: the text is certain, as
    no piece or response was lost."""

    text: str
    since: float
    sound: bool = True


class StreamingSurface(SlackSurface):
    """Streams in the thread under the question, for as long as Slack accepts pieces."""

    def __init__(
        self, web: Web, eyes: Eyes, capabilities: Capabilities, address: Address, *, instead: bool = False
    ) -> None:
        """`instead`: stream only where edits can't promise the end of a reply, or where a post would have to wait."""
        super().__init__(web, eyes, capabilities, address)
        self.by_status = self.append_only = not instead
        self._instead, self._start_next = instead, not instead
        self._late: bool | None = None  # whether the first message would have to wait for others of its channel
        self._edited_thread, self._thread = self._thread, address.place.thread or address.message
        self._streams: dict[str, _Stream] = {}
        self._try_streaming = True  # this reply
        self._explained = False
        team = f"slack/{address.place.workspace}"
        appends = RateLimit(f"{team}/chat.appendStream", APPENDS, MINUTE_SECONDS, least=APPEND_LEAST_SECONDS)
        stops = RateLimit(f"{team}/chat.stopStream", STOPS, MINUTE_SECONDS, spread=False, promised=True)
        self._start_limit = RateLimit(f"{team}/chat.startStream", STARTS, MINUTE_SECONDS, spread=False, end=stops)
        self._limits = {_Step.ADD: appends, _Step.END: stops, _Step.MEND: replace(stops, within=self._edit_limit)}

    def fits(self, page: Page) -> bool:
        return blocks.fits(page, STREAM_BYTES) if self._start_next or self._streams else super().fits(page)

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if message is None:
            if self._late is None:  # once, or the reply would change its mind as others come and go
                self._late = wait(self._post_limit) > POST_WAIT_SECONDS
            needed = not self._instead or self._late or math.isinf(wait(self._post_limit))
            start_wait = wait(self._start_limit)
            self._start_next = needed and start_wait <= _START_WAIT_SECONDS
            if self._streamed(page):
                return self._start_limit
            if needed and page.growing:
                self._explain(page, start_wait)
        step = _Step.EDIT if message is None else self._step(message, page)
        return self._limits.get(step) or super().rate_limit(message, page, wait)

    async def show(self, page: Page, extra: tuple[blocks.Json, ...]) -> str:
        if self._streamed(page):
            try:
                return await self._start(page)
            except Unclear as error:
                self._refused(error)
            except (SlowDown, Unreachable):
                raise
            except PlatformError as error:
                self._refused(error)
        return await super().show(page, extra)

    async def rewrite(self, message: str, page: Page) -> Posted:
        match self._step(message, page):
            case _Step.ADD:
                await self._add(message, self._streams[message], page)
            case _Step.END:
                await self._end(message, self._streams[message], page)
            case _Step.MEND:
                await self._mend(message, page)
            case _Step.EDIT:
                await super().rewrite(message, page)
        return Posted(message)

    async def delete(self, message: str) -> None:
        if message in self._streams:
            await self.end_stream(message)
            del self._streams[message]
        await super().delete(message)

    def _streamed(self, page: Page) -> bool:
        """Return whether a new message for this page should be a stream; a complete page is better posted at once."""
        wanted = self._start_next and self._try_streaming and page.growing and page.raw
        able = wanted and self._capabilities.streams(direct=self._address.place.direct)
        return bool(able and blocks.fits(page, STREAM_BYTES))

    def _explain(self, page: Page, start_wait: float) -> None:
        """Log, once, why a reply that should stream is edited."""
        if self._explained:
            return
        self._explained = True
        able = self._capabilities.streams(direct=self._address.place.direct)
        log.info(
            "Slack: a reply is edited instead of streamed: the next start is possible in %.1f s, streams %s, "
            "and the text has %d bytes",
            *(start_wait, "work" if able and self._try_streaming else "were refused", len(page.raw.encode())),
        )

    def _step(self, message: str, page: Page) -> _Step:
        stream = self._streams.get(message)
        if stream is None:
            return _Step.EDIT
        text = _text(page)
        # A stream can't retract text. Of a growing one that seems less certain than before, the rest is awaited.
        awaited = page.growing and stream.text.startswith(text)
        if not stream.sound or not (text.startswith(stream.text) or awaited):
            return _Step.MEND
        if not page.growing:
            return _Step.END
        return _Step.ADD if time.monotonic() - stream.since < LIFETIME_SECONDS else _Step.MEND

    async def _start(self, page: Page) -> str:
        text, since = _text(page), time.monotonic()
        answer = await self._web.call(
            self._web.client.chat_startStream(
                channel=self._channel,
                thread_ts=self._thread,
                markdown_text=text or None,
                recipient_team_id=self._address.place.workspace,
                recipient_user_id=self._address.author,
            )
        )
        message = str(answer["ts"])
        self._streams[message] = _Stream(text, since)
        (self._capabilities.native if self._address.place.direct else self._capabilities.native_in_channels).worked()
        await self._status.posted(self._thread)
        return message

    async def _add(self, message: str, stream: _Stream, page: Page) -> None:
        text = _text(page)
        more = text[len(stream.text) :]
        if not more.strip():  # Slack refuses an empty piece (no_text)
            return
        try:
            await self._call(self._web.client.chat_appendStream, message, markdown_text=more)
            stream.text = text
        except Unreachable:
            stream.sound = False  # the piece may have arrived: sending it again could duplicate it
            raise
        except (SlowDown, Halted):
            raise
        except PlatformError:
            await self._mend(message, page)

    async def _end(self, message: str, stream: _Stream, page: Page) -> None:
        more = _text(page)[len(stream.text) :]
        below = [*blocks.small_print(page), *self.below(page)]
        try:
            # Without a response the stop is sent again; if it had worked, Slack refuses the second, and we mend.
            await self._call(
                self._web.client.chat_stopStream,
                message,
                markdown_text=more if more.strip() else None,
                blocks=below or None,
            )
            del self._streams[message]
        except (SlowDown, Unreachable, Halted):
            raise
        except PlatformError:
            await self._mend(message, page)

    async def _mend(self, message: str, page: Page) -> None:
        self._streams[message].sound = False
        code = await self.end_stream(message)
        del self._streams[message]
        if code:
            await self._status.reset()
        if code == _STOPPED:
            raise Halted(message)
        await super().rewrite(message, page)

    async def _call(self, method: Any, message: str, **arguments: Any) -> None:
        """Make a call on an open stream. Raises PlatformError: Halted if a person ended it, so nothing may be added."""
        try:
            await self._web.call(method(channel=self._channel, ts=message, **arguments))
        except PlatformError as error:
            if code_of(error) == _STOPPED:
                del self._streams[message]
                await self._status.reset()
                raise Halted(message) from error
            if code_of(error) == "msg_too_long":
                self._try_streaming = False  # Slack's limit is not what we assumed
            log.info("Slack: a call on a stream failed, so the reply continues another way: %s", error)
            raise

    def _refused(self, error: PlatformError) -> None:
        """Handle a refused start: edit this reply instead, and all others too if the refusal would affect them."""
        log.warning("Slack: can't stream, editing replies instead: %s", error)
        self._try_streaming = False
        code = code_of(error)
        if isinstance(error, Gone | Rejected) or code in _PLACE_ERRORS:
            return
        if code in _CHANNEL_ERRORS and not self._address.place.direct:
            self._capabilities.native_in_channels.failed(self._key, sure=True)
        else:
            self._capabilities.native.failed(self._key, sure=lasting(error))
        if not self._known:
            self._thread = self._edited_thread


def _text(page: Page) -> str:
    """Return the part of the page's text that will not be retracted, in Slack's dialect."""
    return _translated(page.raw if page.growing else page.text, final=not page.growing)


_translated = lru_cache(maxsize=16)(appendable)  # each page is requested several times
