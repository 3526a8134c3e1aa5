"""The surface of one reply in Slack: its messages are posted and edited here."""

import logging
from typing import Any

from bots.slack import blocks
from bots.slack.signs import Eyes, ThreadStatus
from bots.slack.web import Web, code_of, details_of
from core.errors import Gone, PlatformError, Rejected
from core.model import Address, Page, Placement
from core.ports import Pace, Status

log = logging.getLogger(__name__)

# "1 per second per channel" and Tier 3 "50+ per minute" for the whole workspace
# (docs.slack.dev/apis/web-api/rate-limits, docs.slack.dev/reference/methods/chat.update).
POSTS, POST_SECONDS = 1, 1.0
EDITS, EDIT_SECONDS = 50, 60.0

WAITING = "Your question waits for its turn."


class Style:
    """What this Slack understands; servers without markdown blocks are found out by their refusal."""

    def __init__(self) -> None:
        self.markdown = True


class SlackSurface:
    """Implements core.ports.Surface; message ids are `ts`."""

    def __init__(self, web: Web, eyes: Eyes, style: Style, address: Address) -> None:
        self._web = web
        self._eyes = eyes
        self._style = style
        self._address = address
        place = address.place
        self._channel = place.channel
        # A slash command has no message to open a thread under.
        self._thread = place.thread or (address.message if address.placement is Placement.THREAD else "")
        self._status = ThreadStatus(eyes, place.channel, place.thread or address.message, address.message)
        self.post_pace = Pace(f"slack/{place.workspace}/post/{place.channel}", POSTS, POST_SECONDS)
        self.edit_pace = Pace(f"slack/{place.workspace}/chat.update", EDITS, EDIT_SECONDS)

    def fits(self, page: Page) -> bool:
        """Whether the page is within the limits of one message."""
        return blocks.fits(page)

    async def post(self, page: Page, extra: tuple[blocks.Json, ...] = ()) -> str:
        """Show a new message, with `extra` blocks below it; returns its ts. Raises PlatformError."""
        where = {"thread_ts": self._thread or None, "unfurl_links": False, "unfurl_media": False}
        answer = await self._send(self._web.client.chat_postMessage, page, extra, **where)
        await self._status.posted(self._thread)
        return str(answer["ts"])

    async def edit(self, message: str, page: Page) -> None:
        """Replace the content of a message. Raises PlatformError."""
        # parse is `client` by default here, unlike in chat.postMessage: that would link names anew.
        await self._send(self._web.client.chat_update, page, (), ts=message, parse="none")

    async def delete(self, message: str) -> None:
        """Take a message away; one that is gone already is no error. Raises PlatformError."""
        try:
            await self._web.call(self._web.client.chat_delete(channel=self._channel, ts=message))
        except Gone:
            log.info("a message was gone already")

    async def status(self, status: Status) -> None:
        """Eyes on a question that waits, a status line while it is thought about; never raises PlatformError."""
        match status:
            case Status.QUEUED if self._address.message:
                await self._eyes.put(self._channel, self._address.message)
            case Status.QUEUED:
                await self._whisper(WAITING)
            case Status.THINKING:
                await self._status.thinking()
            case Status.NONE:
                await self._eyes.take(self._channel, self._address.message, adopted=self._address.adopted)
                await self._status.clear()

    async def _send(self, method: Any, page: Page, extra: tuple[blocks.Json, ...], **where: Any) -> Any:
        """One message, in mrkdwn if this server does not know markdown blocks."""
        common = {"channel": self._channel, "text": blocks.fallback(page), **where}
        shown = [*blocks.blocks(page, markdown=self._style.markdown), *extra]
        try:
            return await self._web.call(method(blocks=shown, **common))
        except Rejected as error:
            if not (self._style.markdown and page.text and code_of(error).startswith("invalid_blocks")):
                raise
            if "markdown" in details_of(error):
                self._style.markdown = False
                log.warning("this Slack does not know markdown blocks; replies are shown in mrkdwn")
        return await self._web.call(method(blocks=[*blocks.blocks(page, markdown=False), *extra], **common))

    async def _whisper(self, sentence: str) -> None:
        """Tell the person who asked, alone."""
        call = self._web.client.chat_postEphemeral(channel=self._channel, user=self._address.author, text=sentence)
        try:
            await self._web.call(call)
        except PlatformError as error:
            log.info("nobody was told that a question waits: %s", error)
