"""The surface of one reply in Slack: posts, edits and deletes its messages."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.errors import Unclear, code_of, details_of
from bots.slack.api.workspace import Capabilities, Feature
from bots.slack.components import blocks, buttons
from bots.slack.outbound import undeliverable
from bots.slack.outbound.status import Eyes, ThreadStatus
from bots.slack.outbound.upload import Upload
from core.domain.conversation import Address
from core.domain.errors import Forbidden, Frozen, Gone, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.ports import Posted, QuestionStatus, Status, waiting
from core.domain.rates import RateLimit
from core.pauses import with_pauses

log = logging.getLogger(__name__)

# "1 per second per channel", "several hundred per minute" in a workspace, and Tier 3 "50+ per minute" for the whole
# workspace (docs.slack.dev/apis/web-api/rate-limits, docs.slack.dev/reference/methods/chat.update).
POSTS, POST_WINDOW_SECONDS = 1, 1.0
ALL_POSTS, ALL_POSTS_WINDOW_SECONDS = 300, 60.0
EDITS, EDIT_WINDOW_SECONDS = 50, 60.0
# Slack asks for at most one edit of a message per second (slackapi/bolt-js#2073).
EDIT_LEAST_SECONDS = 1.0
# Slack's error code for an edit of a message that is still streaming (docs.slack.dev/reference/methods/chat.update).
STILL_STREAMING = "streaming_state_conflict"
# What Slack says in the details of invalid_blocks when it does not know a type of block.
_UNSUPPORTED = "unsupported type: {}"
# Refusals in a row with a code that we do not know, after which we believe that it will not pass.
UNCLEAR_TRIES = 5
# Marks a message as part of a reply (docs.slack.dev/messaging/message-metadata).
_MARK = "nebula_reply"
_ANSWER = re.compile(r"slack/[^/]+/[^/]+/([0-9]{1,12}[.][0-9]{1,9})(?:[#.+][^/]*)?")  # the name of its turn
_SMALL_PRINT_BLOCKS = frozenset({"context", "actions", "context_actions"})
# Small print in a channel, where replies grow side by side: what a message belongs to. The first is the longer one.
_REPLIES, _CONTINUES = "In reply to <{}|this question>", "Continues <{}|this message>"
_ANY = "1700000000.000000"  # a ts; all have this length
# Prefix of a file's id where otherwise a message's ts is used.
_FILE_PREFIX = "file:"


class SlackSurface:
    """Implements core.domain.ports.Surface; message ids are `ts`. Slack reports nothing about its limits except
    Retry-After."""

    by_status = append_only = False

    def __init__(self, web: Web, eyes: Eyes, capabilities: Capabilities, address: Address) -> None:
        self._web = web
        self._eyes = eyes
        self._capabilities = capabilities
        self.own_name: str = capabilities.name
        self._address = address
        place = address.place
        self._channel = place.channel
        # A slash command has no message under which a thread could start.
        self._thread = place.thread or (address.message if address.placement is Placement.THREAD else "")
        self._status = ThreadStatus(eyes, place.channel, place.thread or address.message, address.message)
        self._queue_told = False
        self._upload: Upload | None = None
        self._texts: dict[str, str] = {}  # the fallback text with which each message was posted
        self._known: set[str] = set()  # the messages of this reply
        self._pages: list[str] = []  # those that were not deleted, in their order
        self._key = object()  # stands for this reply
        self._unclear = 0  # refusals in a row whose code we do not know
        # A channel's id does not show whether the channel is private.
        history = ("im:history",) if place.direct else ("channels:history", "groups:history")
        self._readable = bool(address.turn) and capabilities.granted(*history)
        # A message of this reply may exist already: its post timed out, or its process crashed after posting.
        self._unconfirmed, self._found = self._readable and address.adopted, ""
        team = f"slack/{place.workspace}"
        workspace_limit = RateLimit(f"{team}/chat.postMessage", ALL_POSTS, ALL_POSTS_WINDOW_SECONDS, spread=False)
        self._edit_limit = RateLimit(
            f"{team}/chat.update", EDITS, EDIT_WINDOW_SECONDS, least=EDIT_LEAST_SECONDS, promised=True
        )
        self._post_limit = RateLimit(
            f"{team}/post/{place.channel}",
            POSTS,
            POST_WINDOW_SECONDS,
            spread=False,
            within=workspace_limit,
            end=self._edit_limit,
        )

    def fits(self, page: Page) -> bool:
        """Return whether the page fits the limits of one message."""
        return blocks.fits(page, blocks.MARKDOWN_BYTES - len(self._link_to(_REPLIES, _ANY)))

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        """Return the rate limit for a post or an edit."""
        return self._post_limit if message is None else self._edit_limit

    async def post(self, page: Page, extra: tuple[blocks.Json, ...] = ()) -> Posted:
        """Show a new message, with `extra` blocks below it. Raises PlatformError."""
        if self._unconfirmed:
            self._found, self._unconfirmed = await self._find(), False
        if message := self._found:
            posted = await self.edit(message, page)
            self._found = ""
            return posted
        try:
            with self._clearing():
                message = await self.show(page, extra)
        except Unclear:
            raise
        except Unreachable:
            self._unconfirmed = self._readable
            raise
        except (Forbidden, Gone) as error:
            if not self._known:
                await undeliverable.tell(self._web, self._address, error)
            raise
        self._note(message)
        return Posted(message)

    async def show(self, page: Page, extra: tuple[blocks.Json, ...]) -> str:
        """Post a message and return its ts. Raises PlatformError."""
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

    async def edit(self, message: str, page: Page) -> Posted:
        """Replace the content of a message. Raises PlatformError."""
        with self._clearing():
            return await self.rewrite(message, page)

    @contextmanager
    def _clearing(self) -> Iterator[None]:
        """Take a refusal with a code that we do not know for one that may pass, but not for ever."""
        try:
            yield
        except Unclear as error:
            self._unclear += 1
            if self._unclear < UNCLEAR_TRIES:
                raise
            raise Forbidden(str(error)) from error.__cause__
        else:
            self._unclear = 0

    async def rewrite(self, message: str, page: Page) -> Posted:
        """Do so, once."""
        self._note(message)
        text = blocks.fallback(page)
        if page.growing:
            # Slack shows "(edited)" beside a message whose text changes, so keep the text unchanged until the end.
            text = self._texts.setdefault(message, text)
        # Here parse defaults to `client`, unlike in chat.postMessage; that would turn names into links again.
        where = {"ts": message, "parse": "none"}
        try:
            await self._send(self._web.client.chat_update, page, text, (), **where)
        except Frozen as error:
            if code_of(error) != STILL_STREAMING:
                raise
            await self.end_stream(message)
            await self._send(self._web.client.chat_update, page, text, (), **where)
        return Posted(message)

    async def delete(self, message: str) -> None:
        """Delete a message or file; if it is already gone, do nothing. Raises PlatformError."""
        if message.startswith(_FILE_PREFIX):
            await self._delete_file(message.removeprefix(_FILE_PREFIX))
            return
        self._web.own_deletions.note(self._channel, message)
        if message in self._pages:
            self._pages.remove(message)
        try:
            await self._web.call(self._web.client.chat_delete(channel=self._channel, ts=message))
        except Gone:
            log.info("Slack: a message was already deleted")
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
            log.info("Slack: a file was already deleted")

    async def end_stream(self, message: str) -> str:
        """Stop a native stream as it is, perhaps one of a process that has exited. If Slack refuses, usually because
        the stream has ended, return its error code. Raises SlowDown, Unreachable."""
        try:
            await self._web.call(self._web.client.chat_stopStream(channel=self._channel, ts=message))
        except (SlowDown, Unreachable):
            raise
        except PlatformError as error:
            log.info("Slack: could not stop a stream: %s", error)
            return code_of(error)
        return ""

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        """Show a file below the reply and return the file's id, as Slack reports no message. Raises PlatformError."""
        self._upload = self._upload or Upload(self._web, name, content, description)
        return _FILE_PREFIX + await self._upload.share(self._channel, self._thread)

    async def status(self, question_status: QuestionStatus) -> None:
        """Put eyes on a waiting question, and a status line on one being answered; never raises PlatformError."""
        match question_status.status:
            case Status.QUEUED if self._address.message:
                await self._eyes.put(self._channel, self._address.message)
                others = (
                    "another question" if question_status.ahead == 1 else f"{question_status.ahead} other questions"
                )
                await self._status.show(f"is answering {others} first…")
            case Status.QUEUED if not self._queue_told:
                self._queue_told = True
                await self._tell(waiting(question_status.ahead))
            case Status.THINKING:
                if await self._status.thinking(question_status.seconds):
                    await self._eyes.take(self._channel, self._address.message, adopted=self._address.adopted)
            case Status.NONE:
                await self._eyes.take(self._channel, self._address.message, adopted=self._address.adopted)
                await self._status.clear()

    def below(self, page: Page, *, thumbs: bool | None = None) -> list[blocks.Json]:
        """Return the buttons under a page, `thumbs` included where they work."""
        found = buttons.row(page, self._address.conversation)
        if self._has_thumbs(page) if thumbs is None else thumbs:
            found.append(buttons.thumbs(self._address.conversation))
        return found

    def _has_thumbs(self, page: Page) -> bool:
        return page.thumbs and self._capabilities.thumbs.works()

    def _note(self, message: str) -> None:
        """Note that this message shows a page; a new one shows the page after all others."""
        self._known.add(message)
        if message not in self._pages:
            self._pages.append(message)

    def _link(self, message: str) -> str:
        """Return the small print that links a message, "" for a new one, to the page before it or to the question."""
        before = self._pages[: self._pages.index(message)] if message else self._pages
        if before:
            return self._link_to(_CONTINUES, before[-1])
        return self._link_to(_REPLIES, self._address.message)

    def _link_to(self, words: str, message: str) -> str:
        """Return it, "" in a thread or direct message, and where there is no message: a command's question has none."""
        address = self._capabilities.permalink(self._channel, message) if message else ""
        return words.format(address) if address and not (self._thread or self._address.place.direct) else ""

    async def _send(self, method: Any, page: Page, text: str, extra: tuple[blocks.Json, ...], **where: Any) -> Any:
        """Send one message; where Slack refuses its newer blocks, with older ones. Only when it accepts those, the
        refusal says something about this Slack (`Feature`)."""
        able = self._capabilities
        common = {"channel": self._channel, "text": text, **where}
        markdown, thumbs = bool(page.text) and able.markdown.works(), self._has_thumbs(page)
        doubts: list[tuple[Feature, bool]] = []
        link = self._link(where.get("ts", ""))
        while True:
            text_blocks = blocks.blocks(page, link) if markdown else await with_pauses(blocks.sections(page, link))
            shown = [*text_blocks, *self.below(page, thumbs=thumbs), *extra]
            try:
                answer = await self._web.call(method(blocks=shown, **common))
                break
            except Rejected as error:
                if not (markdown or thumbs) or not code_of(error).startswith("invalid_blocks"):
                    raise
                details = details_of(error)
                if thumbs and ("context_actions" in details or not markdown):
                    doubts.append((able.thumbs, _UNSUPPORTED.format("context_actions") in details))
                    thumbs = False
                else:
                    log.info("Slack refuses a message; showing it in mrkdwn")
                    doubts.append((able.markdown, _UNSUPPORTED.format("markdown") in details))
                    markdown, thumbs = False, thumbs and "markdown" in details
        for feature, used in ((able.markdown, markdown), (able.thumbs, thumbs)):
            if used:
                feature.worked()
        for feature, sure in doubts:
            if feature.failed(self._key, sure=sure):
                missing = "markdown blocks" if feature is able.markdown else "feedback buttons"
                log.warning("this Slack does not support %s; showing replies without them for a while", missing)
        return answer

    async def _find(self) -> str:
        """Find a message of this reply that we do not know yet; return "" if there is none or we can't find out.

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
            # In a direct message only we stream; elsewhere others may. A new process does not know its own id yet.
            if not (self._address.place.direct or self._capabilities.me):
                self._capabilities.me = str((await self._web.call(self._web.client.auth_test()))["user_id"])
        except Unreachable:
            raise
        except PlatformError as error:
            log.info("Slack: can't find out whether a message was posted: %s", error)
            return ""
        for each in answer["messages"]:
            mark = (each.get("metadata") or {}).get("event_payload") or {}
            streams = each.get("streaming_state") == "in_progress"  # a stream carries no metadata
            streams = streams and (self._address.place.direct or each.get("user") == self._capabilities.me)
            ours = streams or mark.get("turn") == self._address.turn
            if ours and each["ts"] not in self._known:
                return str(each["ts"])
        return ""

    async def send_ephemeral(self, sentence: str) -> None:
        """Tell only the person who asked, in the place where they asked. Raises PlatformError."""
        thread = self._address.place.thread or None
        call = self._web.client.chat_postEphemeral(
            channel=self._channel, user=self._address.author, text=sentence, thread_ts=thread
        )
        await self._web.call(call)

    async def _tell(self, sentence: str) -> None:
        """Do the same, best effort."""
        try:
            await self.send_ephemeral(sentence)
        except PlatformError as error:
            log.info("Slack: could not tell a person that their question is waiting: %s", error)


def answered_question(message: Mapping[str, Any]) -> str | None:
    """Return the ts of the question that a message of ours answers, None for a message that is not part of a reply; ""
    if the reply is only a notice, or the question has no message."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != _MARK:
        return None
    payload, shown = metadata.get("event_payload"), message.get("blocks")
    kinds = {each.get("type") for each in shown if isinstance(each, dict)} if isinstance(shown, list) else set()
    turn = payload.get("turn") if isinstance(payload, dict) else None
    found = _ANSWER.fullmatch(turn) if isinstance(turn, str) and kinds - _SMALL_PRINT_BLOCKS else None
    return found[1] if found else ""
