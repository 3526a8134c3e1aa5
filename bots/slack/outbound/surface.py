"""The surface of one reply in Slack: its messages are posted and edited here."""

import logging
from collections.abc import Callable
from typing import Any

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web, code_of, details_of
from bots.slack.components import blocks, buttons
from bots.slack.outbound import undeliverable as barred
from bots.slack.outbound.status import Eyes, ThreadStatus
from bots.slack.outbound.upload import Upload
from core.domain.conversation import Address
from core.domain.errors import Forbidden, Frozen, Gone, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.options import Placement
from core.domain.page import Action, Page
from core.domain.ports import QuestionStatus, Status, waiting
from core.domain.rates import RateLimit, RateLimitStatus

log = logging.getLogger(__name__)

# "1 per second per channel", "several hundred per minute" in a workspace, and Tier 3 "50+ per minute" for the whole
# workspace (docs.slack.dev/apis/web-api/rate-limits, docs.slack.dev/reference/methods/chat.update).
POSTS, POST_SECONDS = 1, 1.0
ALL_POSTS, ALL_POST_SECONDS = 300, 60.0
EDITS, EDIT_SECONDS = 50, 60.0
# Slack asks for no more than one edit of a message in a second (slackapi/bolt-js#2073).
EDIT_LEAST = 1.0
# The refusal to edit a message that still streams (docs.slack.dev/reference/methods/chat.update).
STREAMING = "streaming_state_conflict"
# What marks a message as part of a reply (docs.slack.dev/messaging/message-metadata).
_MARK = "nebula_reply"
# Before the id of a file, where a message's ts would stand.
_FILE = "file:"


class SlackSurface:
    """Implements core.domain.ports.Surface; message ids are `ts`."""

    told: RateLimitStatus | None = None  # Slack says nothing of its limits but Retry-After
    by_status = append_only = False

    def __init__(self, web: Web, eyes: Eyes, style: Capabilities, address: Address) -> None:
        self._web = web
        self._eyes = eyes
        self._style = style
        self._address = address
        place = address.place
        self._channel = place.channel
        # A slash command has no message to open a thread under.
        self._thread = place.thread or (address.message if address.placement is Placement.THREAD else "")
        self._status = ThreadStatus(eyes, place.channel, place.thread or address.message, address.message)
        self._whispered = False
        self._upload: Upload | None = None
        self._texts: dict[str, str] = {}  # the fallback text of each message as it was posted
        self._known: set[str] = set()  # the messages of this reply
        # The id of a channel does not tell whether it is a private one.
        history = ("im:history",) if place.direct else ("channels:history", "groups:history")
        self._readable = bool(address.turn) and style.granted(*history)
        # One may be there that we do not know of: its post was not answered, or another process died over it.
        self._lost, self._found = self._readable and address.adopted, ""
        team = f"slack/{place.workspace}"
        every = RateLimit(f"{team}/chat.postMessage", ALL_POSTS, ALL_POST_SECONDS, spread=False)
        self._posts = RateLimit(f"{team}/post/{place.channel}", POSTS, POST_SECONDS, spread=False, within=every)
        self._edits = RateLimit(f"{team}/chat.update", EDITS, EDIT_SECONDS, least=EDIT_LEAST)

    def fits(self, page: Page) -> bool:
        """Whether the page is within the limits of one message."""
        return blocks.fits(page)

    def pace(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        """The budget of a post or of an edit."""
        return self._posts if message is None else self._edits

    async def post(self, page: Page, extra: tuple[blocks.Json, ...] = ()) -> str:
        """Show a new message, with `extra` blocks below it; returns its ts. Raises PlatformError."""
        if self._lost:
            self._found, self._lost = await self._find(), False
        if message := self._found:
            await self.edit(message, page)
            self._found = ""
            return message
        try:
            message = await self.show(page, extra)
        except Unreachable:
            self._lost = self._readable
            raise
        except (Forbidden, Gone) as error:
            if not self._known:
                await barred.tell(self._web, self._address, error)
            raise
        self._known.add(message)
        return message

    async def show(self, page: Page, extra: tuple[blocks.Json, ...]) -> str:
        """Post a message; returns its ts. Raises PlatformError."""
        where = {"thread_ts": self._thread or None, "unfurl_links": False, "unfurl_media": False}
        mark = {"metadata": {"event_type": _MARK, "event_payload": {"turn": self._address.turn}}}
        text = blocks.fallback(page)
        answer = await self._send(
            self._web.client.chat_postMessage, page, text, extra, **where, **(mark if self._readable else {})
        )
        await self._status.posted(self._thread)
        message = str(answer["ts"])
        self._texts[message] = text
        return message

    async def edit(self, message: str, page: Page) -> None:
        """Replace the content of a message. Raises PlatformError."""
        self._known.add(message)
        text = blocks.fallback(page)
        if page.growing:
            # Slack writes "(edited)" beside a message whose text changes: that is left as it is until the end.
            text = self._texts.setdefault(message, text)
        # parse is `client` by default here, unlike in chat.postMessage: that would link names anew.
        where = {"ts": message, "parse": "none"}
        try:
            await self._send(self._web.client.chat_update, page, text, (), **where)
        except Frozen as error:
            if code_of(error) != STREAMING:
                raise
            await self.end_stream(message)
            await self._send(self._web.client.chat_update, page, text, (), **where)

    async def delete(self, message: str) -> None:
        """Take a message or a file away; one that is gone already is no error. Raises PlatformError."""
        if message.startswith(_FILE):
            await self._delete_file(message.removeprefix(_FILE))
            return
        self._web.removed.note(self._channel, message)
        try:
            await self._web.call(self._web.client.chat_delete(channel=self._channel, ts=message))
        except Gone:
            log.info("a message was gone already")
        except Forbidden as error:
            if code_of(error) != "cant_delete_message":
                raise
            await self.end_stream(message)
            await self._web.call(self._web.client.chat_delete(channel=self._channel, ts=message))

    async def _delete_file(self, file: str) -> None:
        try:
            await self._web.call(self._web.client.files_delete(file=file))
        except Forbidden as error:
            if code_of(error) not in ("file_not_found", "file_deleted"):
                raise
            log.info("a file was gone already")

    async def end_stream(self, message: str) -> str:
        """End a native stream, of a process that is gone perhaps, with what it says. Slack's code if it refuses: mostly
        there is no stream any more. Raises SlowDown, Unreachable."""
        try:
            await self._web.call(self._web.client.chat_stopStream(channel=self._channel, ts=message))
        except (SlowDown, Unreachable):
            raise
        except PlatformError as error:
            log.info("a stream had ended: %s", error)
            return code_of(error)
        return ""

    async def attach(self, name: str, content: bytes) -> str:
        """Show a file below the reply; it goes by its own id, as Slack tells no message. Raises PlatformError."""
        self._upload = self._upload or Upload(self._web, name, content)
        return _FILE + await self._upload.share(self._channel, self._thread)

    async def status(self, sign: QuestionStatus) -> None:
        """Eyes on a question that waits, a status line while it is thought about; never raises PlatformError."""
        match sign.status:
            case Status.QUEUED if self._address.message:
                await self._eyes.put(self._channel, self._address.message)
                others = "another question" if sign.ahead == 1 else f"{sign.ahead} other questions"
                await self._status.show(f"is answering {others} first…")
            case Status.QUEUED if not self._whispered:
                self._whispered = True
                await self._tell(waiting(sign.ahead))
            case Status.THINKING:
                await self._eyes.take(self._channel, self._address.message, adopted=self._address.adopted)
                await self._status.thinking(sign.seconds)
            case Status.NONE:
                await self._eyes.take(self._channel, self._address.message, adopted=self._address.adopted)
                await self._status.clear()

    def below(self, page: Page) -> list[blocks.Json]:
        """The buttons under a page."""
        found = buttons.row(page.actions, self._address.conversation)
        if Action.AGAIN in page.actions and page.text and self._style.thumbs:
            found.append(buttons.thumbs(self._address.conversation))
        return found

    async def _send(self, method: Any, page: Page, text: str, extra: tuple[blocks.Json, ...], **where: Any) -> Any:
        """One message; in mrkdwn, or without thumbs, if this server turns out not to know the better blocks."""
        common = {"channel": self._channel, "text": text, **where}
        shown = [*blocks.blocks(page, markdown=self._style.markdown), *self.below(page), *extra]
        try:
            return await self._web.call(method(blocks=shown, **common))
        except Rejected as error:
            if not code_of(error).startswith("invalid_blocks"):
                raise
            if "context_actions" in (details := details_of(error)):
                self._style.thumbs = False
                log.warning("this Slack does not know feedback buttons; replies are shown without")
            elif "markdown" in details and page.text:
                self._style.markdown = False
                log.warning("this Slack does not know markdown blocks; replies are shown in mrkdwn")
            elif not page.text:
                raise
            else:
                log.warning("Slack refuses a message as it is, it is shown in mrkdwn")
                shown = [
                    *blocks.blocks(page, markdown=False),
                    *buttons.row(page.actions, self._address.conversation),
                    *extra,
                ]
                return await self._web.call(method(blocks=shown, **common))
        return await self._send(method, page, text, extra, **where)

    async def _find(self) -> str:
        """A message of this reply that we do not know of, "" if there is none or it can't be found out.

        Raises Unreachable.
        """
        since = self._address.message or None
        if self._thread:
            call = self._web.client.conversations_replies(
                channel=self._channel, ts=self._thread, oldest=since, limit=100, include_all_metadata=True
            )
        else:
            call = self._web.client.conversations_history(
                channel=self._channel, oldest=since, limit=100, include_all_metadata=True
            )
        try:
            answer = await self._web.call(call)
            # In a direct message only we stream; elsewhere others may. A process that just began does not know itself.
            if not (self._address.place.direct or self._style.me):
                self._style.me = str((await self._web.call(self._web.client.auth_test()))["user_id"])
        except Unreachable:
            raise
        except PlatformError as error:
            log.info("it is not known whether a message is there: %s", error)
            return ""
        for each in answer["messages"]:
            mark = (each.get("metadata") or {}).get("event_payload") or {}
            streams = each.get("streaming_state") == "in_progress"  # a stream can't be marked
            streams = streams and (self._address.place.direct or each.get("user") == self._style.me)
            ours = streams or mark.get("turn") == self._address.turn
            if ours and each["ts"] not in self._known:
                return str(each["ts"])
        return ""

    async def whisper(self, sentence: str) -> None:
        """Tell the person who asked, alone, where they asked. Raises PlatformError."""
        thread = self._address.place.thread or None
        call = self._web.client.chat_postEphemeral(
            channel=self._channel, user=self._address.author, text=sentence, thread_ts=thread
        )
        await self._web.call(call)

    async def _tell(self, sentence: str) -> None:
        """The same; best effort."""
        try:
            await self.whisper(sentence)
        except PlatformError as error:
            log.info("nobody was told that a question waits: %s", error)
