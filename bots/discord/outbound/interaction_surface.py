"""Shows a reply to a slash command: fills in the deferred response and adds followups.

A command's token lives for 15 minutes (docs.discord.com, Receiving and Responding to Interactions). After that, or
if Discord drops it earlier, the surface edits the same messages as ordinary ones. Where that is not possible, it
posts the text again, so that nothing is lost; where the bot is no member, the reply ends there.
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
from bots.discord.api.rest import ORIGINAL, Component, Rest, Sent, Token
from bots.discord.components.votes import buttons_below
from bots.discord.dialect.markdown import small
from bots.discord.outbound.channel_surface import ChannelSurface, content_of, fits
from bots.discord.outbound.reactions import Reactions
from core.domain.conversation import Address, Place
from core.domain.errors import Forbidden, Gone, Unreachable
from core.domain.page import Action, Page
from core.domain.ports import Posted, QuestionStatus, Status, waiting
from core.domain.rates import RateLimit

log = logging.getLogger(__name__)


class InteractionSurface:
    """The first page is the response itself. While the token lives, this works even where the bot is no member."""

    def __init__(self, rest: Rest, address: Address, reactions: Reactions, limits: Limits = LIMITS) -> None:
        self._rest, self._reactions, self._limits = rest, reactions, limits
        self._address = address
        self._conversation = address.conversation
        self.by_status = self.append_only = False
        self.own_name = ""
        token, self._expires = (command.token, command.expires) if (command := address.interaction) else ("", 0.0)
        self._left = command.messages if command else None  # how many followups the token is good for; None: any number
        self._token = Token.parse(token)
        self._channel_surface = ChannelSurface(rest, replace(address, interaction=None), reactions, limits)
        self._token_lost = self._direct = False
        self._original = self._last = ""
        self._answered = False
        self._order = asyncio.Lock()
        self._elsewhere: set[str] = set()  # messages that were posted without the token
        self._unclear: tuple[str, str] | None = None  # content and file of a followup that may have arrived
        scope = hashlib.sha256(token.encode()).hexdigest()[:16]
        # Only the process that answers with the token knows it.
        calls, seconds, least = limits.interaction.calls, limits.interaction.seconds, limits.interaction_seconds
        self._calls = RateLimit(f"discord/interaction/{scope}", calls, seconds, least=least, shared=False)

    def fits(self, page: Page) -> bool:
        return fits(page)

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        if self._live() and message not in self._elsewhere:
            return self._calls
        return self._channel_surface.rate_limit(message, page, wait)

    async def post(self, page: Page) -> Posted:
        if self._live():
            try:
                return self._posted(await self._post(page))
            except TokenExpired as error:
                self._lose_token(error)
            except Forbidden as error:
                if self._address.place.visiting:
                    raise  # the bot is no member there, and nobody expects the rest in another place
                log.info("could not send a followup, continuing with ordinary messages: %s", error)
        return await self._post_elsewhere(page)

    async def edit(self, message: str, page: Page) -> Posted:
        if message in self._elsewhere:
            return await self._channel_surface.edit(message, self._unshared(page))
        if self._live():
            try:
                known = ORIGINAL if message == self._original else message
                return self._posted(await self._answer(page, known))
            except TokenExpired as error:
                self._lose_token(error)
        if not self._address.private:  # a message that only one person sees can't be edited without the token
            with suppress(Gone, Forbidden):
                return await self._channel_surface.edit(message, page)
        return await self._post_elsewhere(page)

    async def delete(self, message: str) -> None:
        if self._live() and message not in self._elsewhere:
            try:
                await self._rest.delete_response(self._token, message)
            except TokenExpired as error:
                self._lose_token(error)
            except Gone:  # or it never belonged to this token
                pass
            else:
                return
        await self._aim_elsewhere()
        await self._channel_surface.delete(message)

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        if self._live():
            try:
                return self._posted(await self._follow_up("", (), (File(name, content, description),))).id
            except TokenExpired as error:
                self._lose_token(error)
        await self._aim_elsewhere()
        return await self._channel_surface.attach(name, content, description)

    async def status(self, status: QuestionStatus) -> None:
        """Show the place in the queue. The deferred response already shows that the bot is working."""
        if status.status is Status.QUEUED:
            async with self._order:
                if self._live() and not self._answered:
                    await self._edit(small(waiting(status.ahead)))

    async def send_ephemeral(self, sentence: str) -> None:
        """Send a followup to the person alone. A response must not stay deferred: it shows the sentence or goes."""
        if self._live():
            try:
                await self._send_ephemeral(small(sentence))
            except TokenExpired as error:
                self._lose_token(error)
            except Forbidden as error:
                log.info("could not send a followup, sending the sentence without the token: %s", error)
            else:
                return
        await self._aim_elsewhere()
        await self._channel_surface.send_ephemeral(sentence)

    async def _send_ephemeral(self, content: str) -> None:
        async with self._order:
            if not self._answered and await self._rest.is_deferred(self._token):
                if not self._address.private:  # everybody sees it: delete it, and tell the person alone
                    await self._rest.delete_response(self._token, ORIGINAL)
                    self._answered = True
                    await self._rest.follow_up(self._token, content, ephemeral=True)
                    return
                self._original = (await self._edit(content)).id
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
        async with self._order:  # a status that is on its way must not overwrite the answer
            sent = await self._edit(content_of(page), message, self._buttons(page))
            self._answered = True
        return sent

    async def _edit(self, content: str, message: str = ORIGINAL, buttons: tuple[Component, ...] = ()) -> Sent:
        private = self._address.private
        return await self._rest.edit_response(self._token, content, message, buttons, ephemeral=private)

    async def _follow_up(self, content: str, buttons: tuple[Component, ...], files: tuple[File, ...] = ()) -> Sent:
        """Send a further message. Webhooks have no nonce: we first look for an attempt that may have arrived."""
        if self._unclear and (arrived := await self._arrived(*self._unclear)):
            sent = Sent(arrived, "") if files else await self._edit(content, arrived, buttons)
            self._unclear = None
            return sent
        if self._left is not None:
            if self._left <= 0:
                raise Forbidden("the interaction has no followups left")
            self._left -= 1
        try:
            sent = await self._rest.follow_up(
                self._token, content, buttons, ephemeral=self._address.private, files=files
            )
        except Unreachable:
            self._unclear = content, files[0].name if files else ""
            raise
        self._unclear = None
        return sent

    async def _arrived(self, content: str, file: str) -> str:
        """The id of the message that such an attempt left; "" if there is none.

        Also "" where the bot can't look: the message may then appear twice, which is better than not at all.
        """
        place, application = self._address.place, self._token.application
        if self._address.private:
            return ""
        try:
            return await self._rest.find_response(
                place.thread or place.channel, application, content, file, after=self._last
            )
        except (Forbidden, Gone):
            return ""

    async def _post_elsewhere(self, page: Page) -> Posted:
        await self._aim_elsewhere()
        posted = await self._channel_surface.post(self._unshared(page))
        self._elsewhere.add(posted.id)
        return posted

    def _unshared(self, page: Page) -> Page:
        """A page as it continues elsewhere: in a direct message there is nobody to share it with."""
        left = (each for each in page.actions if each is not Action.SHARE)
        return replace(page, actions=tuple(left)) if self._direct else page

    async def _aim_elsewhere(self) -> None:
        """Keep a private answer out of the channel: without its token it continues as a direct message.

        Raises Forbidden where the bot is no member: nobody expects the rest in another place, and Discord takes no
        direct message to somebody who shares no guild with the bot.
        """
        if self._address.place.visiting:
            raise Forbidden("the bot is no member there, and the token no longer works")
        if self._address.private and not self._direct:
            channel = await self._rest.direct_channel(self._address.author)
            place = Place(NAME, NO_GUILD, channel, direct=True)
            address = replace(self._address, interaction=None, message="", place=place)
            self._channel_surface = ChannelSurface(self._rest, address, self._reactions, self._limits)
            self._direct = True

    def _buttons(self, page: Page) -> tuple[Component, ...]:
        return buttons_below(page, self._conversation)

    def _posted(self, sent: Sent) -> Posted:
        self._last = sent.id
        self._channel_surface.note(sent.id)  # if the token is lost, the next page refers to this one
        return Posted(sent.id, sent.rate_limit)

    def _live(self) -> bool:
        if not self._token_lost and time.time() >= self._expires:
            self._lose_token("its time is over")
        return not self._token_lost

    def _lose_token(self, why: object) -> None:
        log.info("a command's token no longer works, continuing with ordinary messages: %s", why)
        self._token_lost = True
