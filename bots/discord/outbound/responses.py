"""What a command says, shown in the room: as a reply to the message that held the command."""

import asyncio
import logging
import secrets

import discord

from bots.discord.api.http import File
from bots.discord.api.names import direct
from bots.discord.api.rest import Rest, nonce_of
from bots.discord.components.forms import opener
from bots.discord.dialect.markdown import small
from bots.discord.outbound.channel_surface import content_of, fits
from core.commands.responses import Response
from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.domain.page import Page
from core.markdown.paginate import Pages, flow

log = logging.getLogger(__name__)

SENT = "I sent it to you in a direct message."
NOT_SENT = "I could not send you a direct message. Use the slash command instead, or take direct messages from here."
_ATTEMPTS = 4
_LONGEST_WAIT = 30.0  # seconds


def contents_of(response: Response) -> tuple[str, ...]:
    """What a command says, in messages that are within Discord's limit; at least one."""
    pages = flow(Pages(), response.text, lambda text: fits(Page(text)), final=True)
    texts = (*pages.closed, pages.open) if pages.open else pages.closed
    return tuple(content_of(Page(text)) for text in texts) or ("…",)


class Responses:
    """Shows responses to commands that came as messages."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def show(self, message: discord.Message, response: Response) -> None:
        """Best effort: the command itself is done, or refused, by now. A file goes to the person alone: it may hold
        what they asked in private."""
        try:
            if response.file is not None and not response.public and not direct(message):
                response = await self._alone(str(message.author.id), response)
            await self._show(str(message.channel.id), str(message.id), response)
        except PlatformError as error:
            log.warning("the response to a command was not shown: %s", error)

    async def say(self, channel: str, sentence: str, name: str, *, reply_to: str) -> None:
        """A sentence; one of the same name is said once, by whichever processes. Raises PlatformError."""
        await self._rest.post(channel, small(sentence), nonce=nonce_of(name), reply_to=reply_to)

    async def _alone(self, person: str, response: Response) -> Response:
        """Send it as a direct message; returns what is said of that in the channel."""
        try:
            await self._show(await self._rest.direct_channel(person), "", response)
        except PlatformError as error:
            log.info("a file could not be sent: %s", error)
            return Response(NOT_SENT)
        return Response(SENT)

    async def _show(self, channel: str, reply_to: str, response: Response) -> None:
        contents = contents_of(response)
        for index, content in enumerate(contents):
            last = index == len(contents) - 1
            await self._post(channel, content, reply_to if index == 0 else "", response if last else None)

    async def _post(self, channel: str, content: str, reply_to: str, response: Response | None) -> None:
        buttons = (opener(response.form),) if response and response.form else ()
        file = file_of(response) if response else None
        nonce = secrets.token_hex(8)  # the same for every attempt, so that none is shown twice
        for left in reversed(range(_ATTEMPTS)):
            try:
                await self._rest.post(channel, content, nonce=nonce, reply_to=reply_to, buttons=buttons, file=file)
            except (SlowDown, Unreachable) as error:
                if not left:
                    raise
                wait = error.retry_after if isinstance(error, SlowDown) else _ATTEMPTS - left
                await asyncio.sleep(min(wait, _LONGEST_WAIT))
            else:
                return


def file_of(response: Response) -> File | None:
    """The file that goes with a response."""
    return File(response.file.name, response.file.content) if response.file else None
