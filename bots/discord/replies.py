"""What a command says, shown in the room: as a reply to the message that held the command."""

import asyncio
import logging
import secrets

from bots.discord.forms import opener
from bots.discord.rest import Rest
from bots.discord.surface import content_of, fits
from core.errors import PlatformError, SlowDown, Unreachable
from core.model import Mention, Page
from core.pages import Pages, flow
from core.responses import Response

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_LONGEST_WAIT = 30.0  # seconds


def contents_of(response: Response) -> tuple[str, ...]:
    """What a command says, in messages that are within Discord's limit; at least one."""
    pages = flow(Pages(), response.text, lambda text: fits(Page(text)), final=True)
    texts = (*pages.closed, pages.open) if pages.open else pages.closed
    return tuple(content_of(Page(text)) for text in texts) or ("…",)


class Replies:
    """Shows responses to commands that came as messages."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def show(self, mention: Mention, response: Response) -> None:
        """Best effort: the command itself is done, or refused, by now."""
        channel = mention.place.thread or mention.place.channel
        contents = contents_of(response)
        try:
            for index, content in enumerate(contents):
                last = index == len(contents) - 1
                await self._post(channel, content, mention.message if index == 0 else "", response if last else None)
        except PlatformError as error:
            log.warning("the response to a command was not shown: %s", error)

    async def _post(self, channel: str, content: str, reply_to: str, response: Response | None) -> None:
        buttons = (opener(response.form),) if response and response.form else ()
        nonce = secrets.token_hex(8)  # the same for every attempt, so that none is shown twice
        for left in reversed(range(_ATTEMPTS)):
            try:
                await self._rest.post(channel, content, nonce=nonce, reply_to=reply_to, buttons=buttons)
            except (SlowDown, Unreachable) as error:
                if not left:
                    raise
                wait = error.retry_after if isinstance(error, SlowDown) else _ATTEMPTS - left
                await asyncio.sleep(min(wait, _LONGEST_WAIT))
            else:
                return
