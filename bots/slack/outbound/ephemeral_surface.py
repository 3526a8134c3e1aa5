"""The surface of a private answer: messages that only the person who asked can see, by the response_url of their
command or menu.

Such an address works five times within half an hour, also where the bot is no member, and Slack returns no ids for what
it shows (docs.slack.dev/interactivity/handling-user-interaction). So the surface shows at once that the model is
thinking, and then only what is complete, in place of that. Whether Slack replaces it or shows a further message, it
does not say (people report both); each of the two reads well. The messages have ids of our own, which name the turn;
the buttons below carry them. What the address does not show any more comes as a direct message, and never where others
see it.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from bots.slack.api.client import Web
from bots.slack.api.errors import Unclear
from bots.slack.api.workspace import Capabilities
from bots.slack.components import blocks, buttons
from bots.slack.outbound import responses
from bots.slack.outbound.private_file import DIRECTLY
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.surface import UNCLEAR_TRIES, SlackSurface
from core.domain.conversation import Address, Place, ResponseToken
from core.domain.errors import Forbidden, Gone, PlatformError
from core.domain.options import Placement, Streaming
from core.domain.page import Action, Page
from core.domain.ports import Posted, QuestionStatus, Status, waiting
from core.domain.rates import RateLimit

log = logging.getLogger(__name__)

THINKING = "I'm thinking about it. The answer comes here, and only you can see it."
# Messages beside the answer: that the question waits, that the model thinks, and where the rest of the answer is.
_BESIDE = 3
_KEEP = "keep"
_STAGES = {Status.QUEUED: 1, Status.THINKING: 2}


@dataclass(frozen=True, slots=True)
class ResponseAddress:
    """A response_url, and the thread in which its messages appear; "" for the channel itself. `replaces`: nothing that
    others see could be taken for what it showed first."""

    url: str = ""
    thread: str = ""
    replaces: bool = True

    def token(self, since: float = 0.0) -> ResponseToken:
        """The token of a question. `since`: when Slack gave us the address (epoch seconds), 0 for now."""
        expires = (since or time.time()) + responses.RESPONSE_SECONDS
        words = f"{self.url} {self.thread} {'' if self.replaces else _KEEP}"
        return ResponseToken(words, expires, responses.MAX_RESPONSES - _BESIDE, grows=False)

    @classmethod
    def read(cls, token: ResponseToken | None) -> "ResponseAddress":
        """The reverse of `token`."""
        url, thread, keep = (*token.token.split(" "), "", "", "")[:3] if token else ("", "", "")
        return cls(url, thread, keep != _KEEP)


class EphemeralSurface:
    """Implements core.domain.ports.Surface. Nothing grows here: that would use the address up."""

    by_status, append_only = True, False

    def __init__(self, web: Web, eyes: Eyes, capabilities: Capabilities, address: Address) -> None:
        self._web, self._eyes, self._capabilities, self._address = web, eyes, capabilities, address
        self.own_name: str = capabilities.name
        self._target = ResponseAddress.read(address.interaction)
        self._expires = address.interaction.expires if address.interaction else 0.0
        self._lost = not web.is_slack(self._target.url)
        self._stage = 0  # of what was shown before there is an answer
        self._newest = 0  # the number of the newest message
        self._texts: dict[str, str] = {}  # what this process showed
        self._unclear = 0  # refusals in a row whose code we do not know
        self._order = asyncio.Lock()
        # Posting to a person's id opens their direct message (docs.slack.dev/reference/methods/chat.postMessage).
        self._direct, self._opened = self._surface_in(address.author), False
        scope = hashlib.sha256(self._target.url.encode()).hexdigest()[:16]
        # Only the process that answers knows the address. Slack asks webhooks for at most one message a second.
        self._limit = RateLimit(f"slack/response/{scope}", 1, 1.0, spread=False, shared=False)

    def fits(self, page: Page) -> bool:
        return blocks.fits(page)

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if self._lives() and (message is None or self._number(message)):
            return self._limit
        return self._direct.rate_limit(message, page, wait)

    async def post(self, page: Page) -> Posted:
        async with self._order:  # a status that is on its way must not replace the answer
            self._stage = max(_STAGES.values())
            message = self._id(self._newest + 1)
            if await self._show(page, message, instead=not self._newest):
                return Posted(message)
        return await self._post_directly(page)

    async def edit(self, message: str, page: Page) -> Posted:
        number = self._number(message)
        if not number:
            await self._open()
            return await self._direct.edit(message, _unshared(page))
        known = page.text and self._texts.get(message) == page.text  # only the small print is new
        changed = replace(page, head="", text="") if known else page
        async with self._order:
            if await self._show(changed, message, instead=number == 1 and not known):
                self._texts[message] = page.text
                return Posted(message)
        return await self._post_directly(page)

    async def delete(self, message: str) -> None:
        if self._number(message):
            log.info("Slack: a message that only one person sees can't be deleted; it goes when they reload")
            return
        await self._open()
        await self._direct.delete(message)

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        """Send the file in the person's direct messages: where they asked, others would see it."""
        if not self._capabilities.granted("im:write"):
            raise Forbidden("missing_scope: im:write")
        await self._open()
        file = await self._direct.attach(name, content, description)
        if self._lives() and self._texts:
            with suppress(PlatformError):
                await self._send(Page("", foot=DIRECTLY))
        return file

    async def status(self, status: QuestionStatus) -> None:
        """Show once that the question waits, and once that the model thinks; not again what another process showed."""
        stage = _STAGES.get(status.status, 0)
        queued = status.status is Status.QUEUED
        page = Page("", foot=waiting(status.ahead)) if queued else Page("", foot=THINKING, actions=(Action.STOP,))
        async with self._order:
            if stage <= self._stage or self._address.adopted or not self._lives():
                return
            before, self._stage = self._stage, stage  # whether or not it succeeds: each attempt may count
            try:
                await self._send(page, self._id(0), instead=before > 0)
            except (Forbidden, Gone) as error:
                self._lose(error)

    async def send_ephemeral(self, sentence: str) -> None:
        page = Page("", foot=sentence)
        async with self._order:
            if await self._show(page):
                return
        await self._post_directly(page)

    async def _show(self, page: Page, message: str = "", *, instead: bool = False) -> bool:
        """Show a page while the address works; False if it does not. Raises PlatformError."""
        if not self._lives():
            return False
        try:
            await self._send(page, message, instead=instead)
        except (Forbidden, Gone) as error:
            self._lose(error)
            return False
        except Unclear as error:
            self._unclear += 1
            if self._unclear < UNCLEAR_TRIES:
                raise
            self._lose(error)
            return False
        self._unclear = 0
        if message:
            self._newest = max(self._newest, self._number(message))
            self._texts[message] = page.text
        return True

    async def _send(self, page: Page, message: str = "", *, instead: bool = False) -> None:
        below = buttons.row(page, self._address.conversation, message)
        target = self._target
        await responses.send(
            self._web,
            self._capabilities,
            target.url,
            page,
            target.thread,
            tuple(below),
            instead=instead and target.replaces,
        )

    async def _post_directly(self, page: Page) -> Posted:
        await self._open()
        return await self._direct.post(_unshared(page))

    async def _open(self) -> None:
        """Open the person's direct messages, if the app may; others are opened by posting there."""
        if self._opened or not self._capabilities.granted("im:write"):
            return
        opened = await self._web.call(self._web.client.conversations_open(users=self._address.author))
        self._direct, self._opened = self._surface_in(str(opened["channel"]["id"])), True

    def _surface_in(self, channel: str) -> SlackSurface:
        place = Place("slack", self._address.place.workspace, channel, direct=True)
        there = replace(self._address, place=place, placement=Placement.CHANNEL, message="", interaction=None)
        return SlackSurface(self._web, self._eyes, self._capabilities, replace(there, streaming=Streaming.OFF))

    def _id(self, number: int) -> str:
        """The id of a message: 0 for what comes before the answer."""
        return f"{self._address.turn}/{number}"

    def _number(self, message: str) -> int:
        """The number of a message that the address showed; 0 for any other."""
        turn, _, number = message.rpartition("/")
        return int(number) if turn == self._address.turn and number.isdecimal() else 0

    def _lives(self) -> bool:
        if not self._lost and time.time() >= self._expires:
            self._lose("its time is over")
        return not self._lost

    def _lose(self, why: object) -> None:
        log.info("Slack: a private answer goes on as a direct message, since its address does not work: %s", why)
        self._lost = True


def _unshared(page: Page) -> Page:
    """A page as a direct message: what is pressed there would be shared there."""
    return replace(page, actions=tuple(each for each in page.actions if each is not Action.SHARE))
