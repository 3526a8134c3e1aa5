"""The surface of a reply that Slack streams natively: a message is started, added to and stopped, never rewritten.

Slack's own helper for that is not safe to use from two tasks, has no timer and splits nothing (slack_sdk 3.47); this
one writes what the painter shows. A stream ends before Slack would end it, and what can't be said by adding, or what a
refused call left behind, is mended by an edit of the stopped message.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bots.slack import blocks
from bots.slack.dialect import appendable
from bots.slack.signs import Eyes
from bots.slack.surface import SlackSurface, Style
from bots.slack.web import Web, code_of
from core.errors import Halted, PlatformError, SlowDown, Unreachable
from core.model import Address, Page
from core.pace import Pace

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
# Refusals that tell of this one message or moment; any other would meet every reply alike.
_PASSING = {"thread_not_found", "message_not_found", "channel_not_found", "is_archived", "user_not_found"}


@dataclass
class _Stream:
    """A message that is being streamed: what it says so far, and since when (monotonic seconds)."""

    text: str
    since: float


class NativeSurface(SlackSurface):
    """Streams for as long as Slack takes it. The first refusal of the method turns it off for good."""

    by_status = True

    def __init__(self, web: Web, eyes: Eyes, style: Style, address: Address) -> None:
        super().__init__(web, eyes, style, address)
        place = address.place
        self._root = place.thread or address.message  # a stream always stands in a thread
        self._streams: dict[str, _Stream] = {}
        self._wanted = True  # for this reply
        team = f"slack/{place.workspace}"
        self._starts = Pace(f"{team}/chat.startStream", STARTS, MINUTE, spread=False)
        self._appends = Pace(f"{team}/chat.appendStream", APPENDS, MINUTE, least=APPEND_LEAST)
        self._stops = Pace(f"{team}/chat.stopStream", STOPS, MINUTE, spread=False)

    def fits(self, page: Page) -> bool:
        return blocks.fits(page, STREAM_BYTES)

    def pace(self, message: str | None, page: Page, wait: Callable[[Pace], float]) -> Pace:
        if message in self._streams:
            return self._appends if page.growing else self._stops
        if message is None and self._streamed(page):
            if wait(self._starts) <= _PATIENCE:
                return self._starts
            self._wanted = False
        return super().pace(message, page, wait)

    async def post(self, page: Page, extra: tuple[blocks.Json, ...] = ()) -> str:
        if self._streamed(page):
            try:
                return await self._start(page)
            except (SlowDown, Unreachable):
                raise
            except PlatformError as error:
                self._wanted = False
                self._style.native = code_of(error) in _PASSING
                log.warning("no native stream, replies are edited instead: %s", error)
        return await super().post(page, extra)

    async def edit(self, message: str, page: Page) -> None:
        stream = self._streams.get(message)
        if stream is None:
            await super().edit(message, page)
        elif page.growing and time.monotonic() - stream.since < LIFETIME:
            await self._append(message, stream, page)
        else:
            await self._stop(message, stream, page)

    async def delete(self, message: str) -> None:
        if self._streams.pop(message, None):
            await self._call(self._web.client.chat_stopStream, message)
        await super().delete(message)

    def _streamed(self, page: Page) -> bool:
        """Whether a new message for this page is to be a stream; one that is complete is better posted at once."""
        return bool(self._wanted and self._style.native and self._root and page.growing and _text(page))

    async def _start(self, page: Page) -> str:
        where = self._address.place
        text = _text(page)
        answer = await self._web.call(
            self._web.client.chat_startStream(
                channel=self._channel,
                thread_ts=self._root,
                markdown_text=text,
                recipient_team_id=where.workspace,
                recipient_user_id=self._address.author,
            )
        )
        message = str(answer["ts"])
        self._streams[message] = _Stream(text, time.monotonic())
        await self._status.posted(self._root)
        return message

    async def _append(self, message: str, stream: _Stream, page: Page) -> None:
        text = _text(page)
        if not text.startswith(stream.text):  # the text was taken back: a stream can't do that
            await self._stop(message, stream, page)
        elif more := text[len(stream.text) :]:
            if await self._call(self._web.client.chat_appendStream, message, markdown_text=more):
                stream.text = text
            else:
                await super().edit(message, page)

    async def _stop(self, message: str, stream: _Stream, page: Page) -> None:
        """End the stream with the rest of the page, or by an edit where what it says is not the page's beginning."""
        text, more = _text(page), ""
        below = [*blocks.small_print(page), *self.below(page)]
        addable = text.startswith(stream.text) and not page.growing
        if addable:
            more = text[len(stream.text) :]
        ended = await self._call(
            self._web.client.chat_stopStream,
            message,
            markdown_text=more or None,
            blocks=below if addable and below else None,
        )
        self._streams.pop(message, None)
        if not (ended and addable):
            await super().edit(message, page)

    async def _call(self, method: Any, message: str, **arguments: Any) -> bool:
        """A call on an open stream; False when it is none any more. Raises PlatformError.

        Raises Halted when a person stopped it: nothing may be added then.
        """
        try:
            await self._web.call(method(channel=self._channel, ts=message, **arguments))
        except (SlowDown, Unreachable):
            raise
        except PlatformError as error:
            log.info("a stream ended early: %s", error)
            self._streams.pop(message, None)
            if code_of(error) == "stopped_by_user":
                raise Halted(message) from error
            if code_of(error) == "msg_too_long":
                await self._call(self._web.client.chat_stopStream, message)
            return False
        return True


def _text(page: Page) -> str:
    """The page's text as far as nothing of it will be taken back, in Slack's dialect."""
    return appendable(page.raw if page.growing else page.text, final=not page.growing)
