"""The surface of a reply that Slack streams natively: a message is started, added to and stopped, never rewritten.

Slack's own helper for that is not safe to use from two tasks, has no timer and splits nothing (slack_sdk 3.47); this
one writes what the painter shows. A stream ends before Slack would end it. What can't be said by adding, or what Slack
did not take or may have taken twice, is mended: the stream is stopped as it is, and its message edited.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web, code_of
from bots.slack.components import blocks
from bots.slack.dialect.markdown import appendable
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address
from core.domain.errors import Gone, Halted, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.page import Page
from core.domain.rates import RateLimit

log = logging.getLogger(__name__)

# Tiers 2, 4 and 2 (docs.slack.dev/reference/methods: chat.startStream, chat.appendStream, chat.stopStream).
STARTS, APPENDS, STOPS, MINUTE = 20, 100, 20, 60.0
APPEND_LEAST = 0.5  # seconds between two pieces of one reply
# Slack's cap on a streamed message is not documented: 10,600 bytes were seen to pass (openclaw/openclaw#143882).
STREAM_BYTES = 9_000
# Slack ends a stream after five minutes (slackapi/python-slack-sdk#1859). Seconds.
LIFETIME = 280.0
# A start that would have to wait longer than this is done without: the reply is edited instead. Seconds.
_PATIENCE = 1.0
# Refusals of a start that tell of one place or person, as those do that are Gone or Rejected; any other would meet
# every reply alike, or every one outside of direct messages.
_OF_THIS_PLACE = {
    "not_in_channel",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
    "user_not_found",
}
_OF_CHANNELS = {"channel_type_not_supported", "missing_recipient_team_id", "missing_recipient_user_id"}
_STOPPED = "stopped_by_user"


class _Step(Enum):
    """What brings a message to the state of a page."""

    ADD = auto()  # a piece more
    END = auto()  # the last piece, with what stands below the text
    MEND = auto()  # end the stream as it is and edit the message
    EDIT = auto()  # it is no stream, or not any more


@dataclass
class _Stream:
    """A message that is being streamed: what it says, and since when (monotonic seconds). `sound`: that is certain, no
    piece got lost on the way there or back."""

    text: str
    since: float
    sound: bool = True


class StreamingSurface(SlackSurface):
    """Streams for as long as Slack takes it, in the thread under the question."""

    by_status = append_only = True

    def __init__(self, web: Web, eyes: Eyes, style: Capabilities, address: Address) -> None:
        super().__init__(web, eyes, style, address)
        self._beside, self._thread = self._thread, address.place.thread or address.message
        self._streams: dict[str, _Stream] = {}
        self._wanted = True  # for this reply
        team = f"slack/{address.place.workspace}"
        self._starts = RateLimit(f"{team}/chat.startStream", STARTS, MINUTE, spread=False)
        appends = RateLimit(f"{team}/chat.appendStream", APPENDS, MINUTE, least=APPEND_LEAST)
        stops = RateLimit(f"{team}/chat.stopStream", STOPS, MINUTE, spread=False)
        self._paces = {_Step.ADD: appends, _Step.END: stops, _Step.MEND: replace(stops, within=self._edits)}

    def fits(self, page: Page) -> bool:
        return blocks.fits(page, STREAM_BYTES)

    def pace(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if message is None and self._streamed(page):
            if wait(self._starts) <= _PATIENCE:
                return self._starts
            self._wanted = False
        step = _Step.EDIT if message is None else self._step(message, page)
        return self._paces.get(step) or super().pace(message, page, wait)

    async def show(self, page: Page, extra: tuple[blocks.Json, ...]) -> str:
        if self._streamed(page):
            try:
                return await self._start(page)
            except (SlowDown, Unreachable):
                raise
            except PlatformError as error:
                self._refused(error)
        return await super().show(page, extra)

    async def edit(self, message: str, page: Page) -> None:
        match self._step(message, page):
            case _Step.ADD:
                await self._add(message, self._streams[message], page)
            case _Step.END:
                await self._end(message, self._streams[message], page)
            case _Step.MEND:
                await self._mend(message, page)
            case _Step.EDIT:
                await super().edit(message, page)

    async def delete(self, message: str) -> None:
        if message in self._streams:
            await self.end_stream(message)
            del self._streams[message]
        await super().delete(message)

    def _streamed(self, page: Page) -> bool:
        """Whether a new message for this page is to be a stream; one that is complete is better posted at once."""
        wanted = self._wanted and self._style.streams(direct=self._address.place.direct)
        return bool(wanted and page.growing and page.raw)

    def _step(self, message: str, page: Page) -> _Step:
        stream = self._streams.get(message)
        if stream is None:
            return _Step.EDIT
        if not stream.sound or not _text(page).startswith(stream.text):  # a stream can't take text back
            return _Step.MEND
        if not page.growing:
            return _Step.END
        return _Step.ADD if time.monotonic() - stream.since < LIFETIME else _Step.MEND

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
        await self._status.posted(self._thread)
        return message

    async def _add(self, message: str, stream: _Stream, page: Page) -> None:
        text = _text(page)
        more = text[len(stream.text) :]
        if not more.strip():  # a piece that says nothing is refused (no_text)
            return
        try:
            await self._call(self._web.client.chat_appendStream, message, markdown_text=more)
            stream.text = text
        except Unreachable:
            stream.sound = False  # the piece may be there: sent again it would be there twice
            raise
        except (SlowDown, Halted):
            raise
        except PlatformError:
            await self._mend(message, page)

    async def _end(self, message: str, stream: _Stream, page: Page) -> None:
        more = _text(page)[len(stream.text) :]
        below = [*blocks.small_print(page), *self.below(page)]
        try:
            # Not answered it is sent again: if it was done before, it is refused then, and mended.
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
        await super().edit(message, page)

    async def _call(self, method: Any, message: str, **arguments: Any) -> None:
        """A call on an open stream. Raises PlatformError: Halted when a person ended it, nothing may be added then."""
        try:
            await self._web.call(method(channel=self._channel, ts=message, **arguments))
        except PlatformError as error:
            if code_of(error) == _STOPPED:
                del self._streams[message]
                await self._status.reset()
                raise Halted(message) from error
            if code_of(error) == "msg_too_long":
                self._wanted = False  # Slack's cap is not what we take it for
            log.info("a stream went on otherwise: %s", error)
            raise

    def _refused(self, error: PlatformError) -> None:
        """A start was refused: this reply is edited, and all others are if it would be no different for them."""
        log.warning("no native stream, replies are edited instead: %s", error)
        self._wanted = False
        code = code_of(error)
        if isinstance(error, Gone | Rejected) or code in _OF_THIS_PLACE:
            return
        if code in _OF_CHANNELS and not self._address.place.direct:
            self._style.native_in_channels = False
        else:
            self._style.native = False
        if not self._known:
            self._thread = self._beside


def _text(page: Page) -> str:
    """The page's text as far as nothing of it will be taken back, in Slack's dialect."""
    return _translated(page.raw if page.growing else page.text, final=not page.growing)


_translated = lru_cache(maxsize=16)(appendable)  # each page is asked about several times
