"""Handed: the file of a response, given to one person alone where Slack lets us."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.outbound.responses import patiently
from bots.slack.outbound.upload import Upload
from core.commands.responses import Response
from core.domain.conversation import Place
from core.domain.errors import PlatformError

log = logging.getLogger(__name__)

# A response, where the command was given, and the id of who gave it.
Hand = Callable[[Response, Place, str], Awaitable[Response]]

DIRECTLY = "You have the file in our direct messages."
NO_SCOPE = "I may not write to you directly, and the file is for you alone. The app needs the scope `im:write`."
NOT_SENT = "The file could not be sent."


async def handed(web: Web, style: Capabilities, response: Response, place: Place, person: str) -> Response:
    """Share the file, if there is one, in the person's direct messages, never where others see it; the response then
    says what came of it."""
    if response.file is None:
        return response
    channel, thread, note = place.channel, place.thread, ""
    upload = Upload(web, response.file.name, response.file.content)

    async def send() -> None:
        to, below = channel, thread
        if not place.direct:
            opened = await web.call(web.client.conversations_open(users=person))
            to, below = str(opened["channel"]["id"]), ""
        await upload.share(to, below)

    try:
        if not (place.direct or style.granted("im:write")):
            return replace(response, text=NO_SCOPE, file=None)
        await patiently(send)
        note = "" if place.direct else DIRECTLY
    except PlatformError as error:
        log.warning("a file was not sent: %s: %s", type(error).__name__, error)
        note = NOT_SENT
    return replace(response, text="\n\n".join(filter(None, (response.text, note))), file=None)
