"""Surface of a reply to a slash command: the deferred response is filled in, followups go on.

The token of a command lives for 15 minutes (docs.discord.com, Receiving and Responding to Interactions). After that,
and when Discord drops it earlier, the same messages are edited as ordinary ones; where that can't be, the text is
posted anew, so that it is not lost.
"""

import hashlib
import logging
import time
from contextlib import suppress
from dataclasses import replace

from bots.discord.http import TokenExpired
from bots.discord.marks import Marks
from bots.discord.rest import ORIGINAL, Rest, Token
from bots.discord.surface import ChannelSurface, content_of, fits
from core.errors import Forbidden, Gone
from core.model import Address, Page
from core.ports import Pace, Status

log = logging.getLogger(__name__)

# Observed per token, for followups and edits (github.com/discord/discord-api-docs, issue 2701).
CALLS, SECONDS = 5, 2.0


class ResponseSurface:
    """The first page is the response itself. Works where the bot is no member, as long as the token lives."""

    def __init__(self, rest: Rest, address: Address, marks: Marks) -> None:
        self._rest = rest
        self._token = Token.parse(address.interaction)
        self._expires = address.expires
        self._plain = ChannelSurface(rest, replace(address, interaction=""), marks)
        self._dead = False
        self._original = ""
        self._answered = False
        self._moved: dict[str, str] = {}  # what stands in a message of its own, by the id the painter knows
        scope = hashlib.sha256(address.interaction.encode()).hexdigest()[:16]
        self.post_pace = self.edit_pace = Pace(f"discord/interaction/{scope}", CALLS, SECONDS)

    def fits(self, page: Page) -> bool:
        return fits(page)

    async def post(self, page: Page) -> str:
        if not self._live():
            return await self._plain.post(page)
        try:
            if not self._answered:
                self._original = (await self._rest.answer(self._token, content_of(page))).id
                self._answered = True
                return self._original
            return (await self._rest.follow_up(self._token, content_of(page))).id
        except TokenExpired as error:
            self._die(error)
        except Forbidden as error:
            log.info("no followup, going on in the channel: %s", error)
        posted = await self._plain.post(page)
        self._moved[posted] = posted
        return posted

    async def edit(self, message: str, page: Page) -> None:
        self._answered = True
        if self._live() and message not in self._moved:
            try:
                known = ORIGINAL if message == self._original else message
                await self._rest.answer(self._token, content_of(page), known)
            except TokenExpired as error:
                self._die(error)
            else:
                return
        try:
            await self._plain.edit(self._moved.get(message, message), page)
        except (Gone, Forbidden):
            if message in self._moved:
                raise
            self._moved[message] = await self._plain.post(page)

    async def delete(self, message: str) -> None:
        if self._live() and message not in self._moved:
            with suppress(Gone):
                await self._rest.withdraw(self._token, message)
        else:
            await self._plain.delete(self._moved.get(message, message))

    async def status(self, status: Status) -> None:
        """The deferred response shows it already."""

    def _live(self) -> bool:
        if not self._dead and time.time() >= self._expires:
            self._die("its time is over")
        return not self._dead

    def _die(self, why: object) -> None:
        log.info("a command's token ran out, going on with ordinary messages: %s", why)
        self._dead = True
        self.post_pace, self.edit_pace = self._plain.post_pace, self._plain.edit_pace
