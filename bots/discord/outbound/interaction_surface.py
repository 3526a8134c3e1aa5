"""Surface of a reply to a slash command: the deferred response is filled in, followups go on.

The token of a command lives for 15 minutes (docs.discord.com, Receiving and Responding to Interactions). After that,
and when Discord drops it earlier, the same messages are edited as ordinary ones; where that can't be, the text is
posted anew, so that it is not lost.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from bots.discord.api.http import File, TokenExpired
from bots.discord.api.limits import LIMITS, Limits
from bots.discord.api.names import NAME, NO_GUILD
from bots.discord.api.rest import ORIGINAL, Button, Rest, Sent, Token
from bots.discord.components.buttons import buttons_of
from bots.discord.dialect.markdown import small
from bots.discord.outbound.channel_surface import ChannelSurface, content_of, fits
from bots.discord.outbound.reactions import Reactions
from core.domain.conversation import Address, Place
from core.domain.errors import Forbidden, Gone, Unreachable
from core.domain.page import Page
from core.domain.ports import QuestionStatus, Status, waiting
from core.domain.rates import RateLimit, RateLimitStatus

log = logging.getLogger(__name__)


class InteractionSurface:
    """The first page is the response itself. Works where the bot is no member, as long as the token lives."""

    def __init__(self, rest: Rest, address: Address, marks: Reactions, limits: Limits = LIMITS) -> None:
        self._rest, self._marks, self._limits = rest, marks, limits
        self._address = address
        self._conversation = address.conversation
        self.told: RateLimitStatus | None = None
        self.by_status = self.append_only = False
        self._token = Token.parse(address.interaction)
        self._expires = address.expires
        self._plain = ChannelSurface(rest, replace(address, interaction=""), marks, limits)
        self._dead = self._direct = False
        self._original = self._last = ""
        self._answered = False
        self._order = asyncio.Lock()
        self._elsewhere: set[str] = set()  # messages that the token never reached
        self._unclear: tuple[str, str] | None = None  # content and file of a followup that may have arrived
        scope = hashlib.sha256(address.interaction.encode()).hexdigest()[:16]
        # The token is known to the one process that answers with it.
        calls, seconds = limits.interaction.calls, limits.interaction.seconds
        self._calls = RateLimit(f"discord/interaction/{scope}", calls, seconds, shared=False)

    def fits(self, page: Page) -> bool:
        return fits(page)

    def pace(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if self._live() and message not in self._elsewhere:
            return self._calls
        return self._plain.pace(message, page, wait)

    async def post(self, page: Page) -> str:
        if self._live():
            try:
                return self._noted(await self._post(page))
            except TokenExpired as error:
                self._die(error)
            except Forbidden as error:
                log.info("no followup, going on elsewhere: %s", error)
        return await self._post_elsewhere(page)

    async def edit(self, message: str, page: Page) -> str | None:
        if message in self._elsewhere:
            await self._plain.edit(message, page)
            self.told = self._plain.told
            return None
        if self._live():
            try:
                known = ORIGINAL if message == self._original else message
                self._noted(await self._answer(page, known))
            except TokenExpired as error:
                self._die(error)
            else:
                return None
        if not self._address.private:  # what one person sees can't be edited without the token
            with suppress(Gone, Forbidden):
                await self._plain.edit(message, page)
                self.told = self._plain.told
                return None
        return await self._post_elsewhere(page)

    async def delete(self, message: str) -> None:
        if self._live() and message not in self._elsewhere:
            try:
                await self._rest.withdraw(self._token, message)
            except TokenExpired as error:
                self._die(error)
            except Gone:  # or it never was this token's
                pass
            else:
                return
        await self._aim_elsewhere()
        await self._plain.delete(message)

    async def attach(self, name: str, content: bytes) -> str:
        if self._live():
            try:
                return self._noted(await self._follow_up("", (), File(name, content)))
            except TokenExpired as error:
                self._die(error)
        await self._aim_elsewhere()
        return await self._plain.attach(name, content)

    async def status(self, sign: QuestionStatus) -> None:
        """That the bot is at it the deferred response shows already."""
        if sign.status is Status.QUEUED:
            async with self._order:
                if self._live() and not self._answered:
                    await self._rest.answer(self._token, small(waiting(sign.ahead)))

    async def whisper(self, sentence: str) -> None:
        """A followup for the person alone. A response that is still deferred must not stay so: there it is shown."""
        if self._live():
            try:
                await self._whisper(small(sentence))
            except TokenExpired as error:
                self._die(error)
            except Forbidden as error:
                log.info("no followup, it is said elsewhere: %s", error)
            else:
                return
        await self._aim_elsewhere()
        await self._plain.whisper(sentence)

    async def _whisper(self, content: str) -> None:
        async with self._order:
            if not self._answered and await self._rest.loading(self._token):
                if not self._address.private:  # deferred for everybody: it goes, and the person is told alone
                    await self._rest.withdraw(self._token, ORIGINAL)
                    self._answered = True
                    await self._rest.follow_up(self._token, content, ephemeral=True)
                    return
                self._original = (await self._rest.answer(self._token, content)).id
                self._answered = True
                return
        await self._rest.follow_up(self._token, content, ephemeral=True)

    async def _post(self, page: Page) -> Sent:
        if self._answered:
            return await self._follow_up(content_of(page), self._buttons(page))
        sent = await self._answer(page, ORIGINAL)
        self._original = sent.id
        return sent

    async def _answer(self, page: Page, message: str) -> Sent:
        async with self._order:  # a sign that is on its way must not land on the answer
            sent = await self._rest.answer(self._token, content_of(page), message, self._buttons(page))
            self._answered = True
        return sent

    async def _follow_up(self, content: str, buttons: tuple[Button, ...], file: File | None = None) -> Sent:
        """A further message. Webhooks know no nonce: after a try that may have arrived, it is looked for first."""
        if self._unclear and (arrived := await self._arrived(*self._unclear)):
            sent = Sent(arrived, "") if file else await self._rest.answer(self._token, content, arrived, buttons)
            self._unclear = None
            return sent
        try:
            sent = await self._rest.follow_up(self._token, content, buttons, ephemeral=self._address.private, file=file)
        except Unreachable:
            self._unclear = content, file.name if file else ""
            raise
        self._unclear = None
        return sent

    async def _arrived(self, content: str, file: str) -> str:
        """The id of the message that such a try left; "" for none, and where it can't be seen: there it may come twice,
        which is better than not at all."""
        place, application = self._address.place, self._token.application
        if self._address.private:
            return ""
        try:
            return await self._rest.find(place.thread or place.channel, application, content, file, after=self._last)
        except (Forbidden, Gone):
            return ""

    async def _post_elsewhere(self, page: Page) -> str:
        await self._aim_elsewhere()
        posted = await self._plain.post(page)
        self.told = self._plain.told
        self._elsewhere.add(posted)
        return posted

    async def _aim_elsewhere(self) -> None:
        """A private answer does not go into the channel: without its token it goes on as a direct message."""
        if self._address.private and not self._direct:
            channel = await self._rest.direct_channel(self._address.author)
            place = Place(NAME, NO_GUILD, channel, direct=True)
            address = replace(self._address, interaction="", message="", place=place)
            self._plain, self._direct = ChannelSurface(self._rest, address, self._marks, self._limits), True

    def _buttons(self, page: Page) -> tuple[Button, ...]:
        return buttons_of(page.actions, self._conversation)

    def _noted(self, sent: Sent) -> str:
        self.told = sent.told
        self._last = sent.id
        return sent.id

    def _live(self) -> bool:
        if not self._dead and time.time() >= self._expires:
            self._die("its time is over")
        return not self._dead

    def _die(self, why: object) -> None:
        log.info("a command's token is of no use, going on with ordinary messages: %s", why)
        self._dead = True
