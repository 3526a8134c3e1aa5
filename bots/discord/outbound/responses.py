"""Shows the response to a command that came as a message: as a reply to that message."""

import logging
import secrets
from functools import partial

import discord

from bots.discord.api.http import File
from bots.discord.api.names import direct
from bots.discord.api.rest import Rest, nonce_of
from bots.discord.components.forms import opener
from bots.discord.dialect.markdown import small
from bots.discord.outbound.channel_surface import content_of, fits
from core.commands.responses import Response
from core.domain.errors import PlatformError
from core.domain.page import Page
from core.domain.retry import patiently
from core.markdown.paginate import split
from core.pauses import with_pauses

log = logging.getLogger(__name__)

SENT = "I sent it to you in a direct message."
NOT_SENT = (
    "I couldn't send you a direct message. Use the slash command instead, or allow direct messages from this server."
)


async def contents_of(response: Response) -> tuple[str, ...]:
    """A response as messages within Discord's limit; at least one."""
    texts = await with_pauses(split(response.text, lambda text: fits(Page(text))))
    return tuple(content_of(Page(text)) for text in texts) or ("…",)


class Responses:
    """Shows responses to commands that came as messages."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def show(self, message: discord.Message, response: Response) -> None:
        """Show a response as well as possible: the command itself is already done or refused.

        A file goes to the person alone, because it may hold what they asked in private.
        """
        try:
            if response.files and not response.public and not direct(message):
                response = await self._alone(str(message.author.id), response)
            await self._show(str(message.channel.id), str(message.id), response)
        except PlatformError as error:
            log.warning("could not show the response to a command: %s", error)

    async def say(self, channel: str, sentence: str, name: str, *, reply_to: str) -> None:
        """Post a sentence; under the same name it appears once, whichever processes post it. Raises PlatformError."""
        await self._rest.post(channel, small(sentence), nonce=nonce_of(name), reply_to=reply_to)

    async def announce(self, channel: str, response: Response, name: str) -> None:
        """Post a text of ours that answers nobody, once under this name. Raises PlatformError."""
        for number, content in enumerate(await contents_of(response)):
            post = partial(self._rest.post, channel, content, nonce=nonce_of(f"{name}/{number}"))
            await patiently(post)

    async def _alone(self, person: str, response: Response) -> Response:
        """Send the response as a direct message; return what to say about that in the channel."""
        try:
            await self._show(await self._rest.direct_channel(person), "", response)
        except PlatformError as error:
            log.info("could not send a file: %s", error)
            return Response(NOT_SENT)
        return Response(SENT)

    async def _show(self, channel: str, reply_to: str, response: Response) -> None:
        contents = await contents_of(response)
        for index, content in enumerate(contents):
            last = index == len(contents) - 1
            await self._post(channel, content, reply_to if index == 0 else "", response if last else None)

    async def _post(self, channel: str, content: str, reply_to: str, response: Response | None) -> None:
        buttons = (opener(response.form),) if response and response.form else ()
        files = files_of(response) if response else ()
        nonce = secrets.token_hex(8)  # the same for every attempt, so that the message appears once
        await patiently(
            lambda: self._rest.post(channel, content, nonce=nonce, reply_to=reply_to, buttons=buttons, files=files)
        )


def files_of(response: Response) -> tuple[File, ...]:
    """The files that belong to a response."""
    return tuple(File(each.name, each.content, each.description) for each in response.files)
