"""Shows a reply as ordinary messages: in a channel, a thread or a direct message."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from bots.discord.api.http import File, NotPermitted, ReplyRefused, ThreadArchived, ThreadExists
from bots.discord.api.limits import LIMITS, Limits, Window
from bots.discord.api.rest import Component, Rest, Sent, nonce_of
from bots.discord.components.votes import buttons_below
from bots.discord.dialect.markdown import LIMIT, quoted, small, to_discord
from bots.discord.outbound.reactions import NUMBERS, Reactions
from bots.discord.outbound.titles import first_name
from core.domain.conversation import Address
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, SlowDown, Unreachable
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.ports import Posted, QuestionStatus, Status
from core.domain.rates import RateLimit, RateLimitStatus

log = logging.getLogger(__name__)

UNDELIVERABLE = "I may not write in {channel}, so I can't answer you there. Please ask somebody who manages the server."
_EPOCH = 1_420_070_400.0  # epoch seconds at which the time in Discord's ids starts (docs.discord.com, Snowflakes)
# A thread that can't be opened for longer than this, or after so many attempts, is not waited for.
THREAD_SECONDS, THREAD_TRIES = 5.0, 3


def content_of(page: Page) -> str:
    """A page as Discord shows it, including small print."""
    head = quoted(page.head) if page.head else ""  # it may hold what people wrote
    text = to_discord(page.text) if page.text else ""
    foot = small(page.foot) if page.foot else ""
    # Discord refuses a message that contains only white space.
    return "\n".join(part for part in (head, text, foot) if part.strip()) or "…"


def fits(page: Page) -> bool:
    """Whether a page is within Discord's limit, which counts code points."""
    return len(content_of(page)) <= LIMIT


def age(message: str) -> float:
    """Seconds since a message was written, read from its id."""
    return time.time() - ((int(message) >> 22) / 1000 + _EPOCH) if message.isdigit() else 0.0


def _limit(scope: str, window: Window, *, spread: bool = True, within: RateLimit | None = None) -> RateLimit:
    return RateLimit(f"discord/{scope}", window.calls, window.seconds, spread=spread, within=within)


class ChannelSurface:
    """Posts the first page as a reply to the question, in a thread under it if that is wanted and allowed.

    Each further page is a reply to the page before it, because other replies may grow between the two. In a thread that
    was opened for this reply nothing else stands between its pages, and in a direct message one person's replies come
    one after the other: there such a line above each page would only take room.
    """

    def __init__(self, rest: Rest, address: Address, reactions: Reactions, limits: Limits = LIMITS) -> None:
        self._rest, self._reactions, self._adopted, self._limits = rest, reactions, address.adopted, limits
        place = address.place
        self._conversation = address.conversation
        self.by_status = self.append_only = False
        self.own_name = ""
        self._home = place.thread or place.channel  # where the question is
        self._question = address.message
        self._author, self._direct, self._undeliverable_told = address.author, place.direct, False
        # A thread has the id of the message that it hangs on, so we can name the reply's thread before it exists.
        opens = address.placement is Placement.THREAD and not (place.thread or place.direct)
        self._unopened = bool(opens and address.message)
        self._unopened_tries = 0
        self._aim(address.message if self._unopened else self._home)
        self._known: set[str] = set()  # the reply's messages that went through this surface
        self._may_refer = True
        self._seed = address.turn or secrets.token_hex(8)
        self._place = ""  # the number on the question
        self._found = ""  # a post that had arrived earlier, with outdated content

    def _aim(self, channel: str) -> None:
        self._channel, limits = channel, self._limits
        every = limits.all_calls
        self._posts = _limit(f"post/{channel}", limits.post, spread=False, within=every)
        self._edits = _limit(f"edit/{channel}", limits.edit, within=every)
        self._old_edits = _limit(f"old-edit/{channel}", limits.old_edit, within=self._edits)

    def note(self, message: str) -> None:
        """Count a message among those of the reply; the next one refers to the newest."""
        self._known.add(message)

    def fits(self, page: Page) -> bool:
        return fits(page)

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if message is None:
            return self._posts
        return self._old_edits if age(message) > self._limits.old_age_seconds else self._edits

    async def post(self, page: Page) -> Posted:
        if self._unopened and not self._known:
            await self._open_thread()
        content, buttons = content_of(page), buttons_below(page, self._conversation)
        rate_limit = None
        if not self._found:
            try:
                sent = await self._send(content, buttons)
            except NotPermitted:
                if not self._known:  # otherwise the posted part says that no more can follow
                    await self._tell_undeliverable()
                raise
            rate_limit = sent.rate_limit
            if sent.content.strip() == content.strip():
                self.note(sent.id)
                return Posted(sent.id, rate_limit)
            # An attempt that seemed to fail, or that a process made before it crashed, had arrived after all.
            self._found = sent.id
        await self._edit(self._channel, self._found, content, buttons)
        found, self._found = self._found, ""
        self.note(found)
        return Posted(found, rate_limit)

    async def edit(self, message: str, page: Page) -> Posted:
        content, buttons = content_of(page), buttons_below(page, self._conversation)
        try:
            rate_limit = await self._edit(self._channel, message, content, buttons)
        except NotPermitted:
            await self._tell_undeliverable()
            raise
        except Gone:
            if not self._unopened or self._known:
                raise
            # Another process posted this reply, and could not open a thread: the message is in the channel.
            rate_limit = await self._edit(self._home, message, content, buttons)
            self._aim(self._home)
        self.note(message)
        return Posted(message, rate_limit if age(message) <= self._limits.old_age_seconds else None)

    async def delete(self, message: str) -> None:
        # A new surface does not know whether the thread could be opened, or was opened for this message.
        for channel in dict.fromkeys((self._channel, self._home)):
            try:
                await self._rest.delete(channel, message)
            except Gone:
                continue
            except ThreadArchived:
                await self._rest.unarchive(channel)
                with suppress(Gone):
                    await self._rest.delete(channel, message)
            return

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        sent = await self._send("", (), (File(name, content, description),))
        self.note(sent.id)
        return sent.id

    async def status(self, status: QuestionStatus) -> None:
        match status.status:
            case Status.QUEUED if self._question:
                self._reactions.add(self._home, self._question)
                self._number(NUMBERS[min(status.ahead, len(NUMBERS)) - 1])
            case Status.THINKING:
                self._reactions.remove(self._home, self._question)  # its turn has begun
                self._number("")
                await self._rest.type(self._channel if self._known else self._home)
            case Status.NONE:
                self._reactions.remove(self._home, self._question, adopted=self._adopted)
                self._number("")
                if self._adopted and self._question:
                    self._reactions.remove_numbers(self._home, self._question)
            case _:
                pass

    async def send_ephemeral(self, sentence: str) -> None:
        """Send a direct message, or else a reply: in a channel Discord can't show a message to one person alone."""
        if self._author and not self._direct:
            try:
                channel = await self._rest.direct_channel(self._author)
                await self._rest.post(channel, small(f"In <#{self._home}>: {sentence}"), nonce=secrets.token_hex(8))
            except PlatformError as error:
                log.info("could not send a direct message, replying in the channel: %s", error)
            else:
                return
        try:
            await self._rest.post(self._home, small(sentence), nonce=secrets.token_hex(8), reply_to=self._question)
        except ReplyRefused:
            await self._rest.post(self._home, small(sentence), nonce=secrets.token_hex(8))

    async def _tell_undeliverable(self) -> None:
        """Tell the person once, if possible, why they see no answer."""
        if self._undeliverable_told or self._direct or not self._author:
            return
        self._undeliverable_told = True
        content = small(UNDELIVERABLE.format(channel=f"<#{self._home}>"))
        with suppress(PlatformError):
            channel = await self._rest.direct_channel(self._author)
            await self._rest.post(channel, content, nonce=nonce_of(f"{self._seed}/barred"))

    def _number(self, emoji: str) -> None:
        """Show the current queue position instead of the previous one."""
        if self._place and self._place != emoji:
            self._reactions.remove(self._home, self._question, self._place)
        if emoji and emoji != self._place:
            self._reactions.add(self._home, self._question, emoji)
        self._place = emoji

    async def _edit(
        self, channel: str, message: str, content: str, buttons: Sequence[Component]
    ) -> RateLimitStatus | None:
        try:
            return await self._rest.edit(channel, message, content, buttons)
        except ThreadArchived:
            await self._rest.unarchive(channel)
            return await self._rest.edit(channel, message, content, buttons)

    async def _send(self, content: str, buttons: Sequence[Component], files: Sequence[File] = ()) -> Sent:
        # One nonce per page of an answer, whichever process posts it, so that Discord keeps a single message.
        nonce = nonce_of(f"{self._channel}/{self._seed}/{len(self._known)}")
        reply_to = self._page_before() if self._may_refer else ""
        try:
            return await self._rest.post(
                self._channel, content, nonce=nonce, reply_to=reply_to, buttons=buttons, files=files
            )
        except ReplyRefused:
            self._may_refer = False  # the reply's next pages would be refused as well
            return await self._rest.post(self._channel, content, nonce=nonce, buttons=buttons, files=files)

    def _page_before(self) -> str:
        """The message that the next one refers to: the page before it or, for the first, the question; "" for none."""
        if self._channel != self._home:
            return ""
        if not self._known:
            return self._question
        return "" if self._direct else max(self._known, key=int)  # ids grow with time

    async def _open_thread(self) -> None:
        """Open the thread; fall back to the channel where that is not allowed, or not possible soon."""
        try:
            name = await first_name(self._rest, self._home, self._question)
            self._aim(await self._rest.start_thread(self._home, self._question, name))
        except ThreadExists:
            pass
        except (SlowDown, Unreachable) as error:
            self._unopened_tries += 1
            soon = not isinstance(error, SlowDown) or error.retry_after <= THREAD_SECONDS
            if soon and self._unopened_tries < THREAD_TRIES:
                raise
            self._stay(error)
        except (Forbidden, Gone, Rejected) as error:
            self._stay(error)
        self._unopened = False

    def _stay(self, why: PlatformError) -> None:
        log.info("could not open a thread under a question, replying in the channel: %s", why)
        self._aim(self._home)
