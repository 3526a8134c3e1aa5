"""Handed: the file of a response, given to one person alone where Slack lets us."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bots.slack.answers import patiently
from bots.slack.files import Upload
from bots.slack.surface import Style
from bots.slack.web import Web
from core.errors import PlatformError
from core.model import Place
from core.responses import Response

log = logging.getLogger(__name__)

# A response, where the command was given, and the id of who gave it.
Hand = Callable[[Response, Place, str], Awaitable[Response]]

DIRECTLY = "You have the file in our direct messages."
NOT_SENT = "The file could not be sent."


async def handed(web: Web, style: Style, response: Response, place: Place, person: str) -> Response:
    """Share the file, if there is one, in the person's direct messages, else where the command was given; the response
    then says what came of it."""
    if response.file is None:
        return response
    channel, thread, note = place.channel, place.thread, ""
    if not place.direct and style.granted("im:write"):
        try:
            opened = await web.call(web.client.conversations_open(users=person))
            channel, thread, note = str(opened["channel"]["id"]), "", DIRECTLY
        except PlatformError as error:
            log.info("a direct message can't be opened: %s", error)
    upload = Upload(web, response.file.name, response.file.content)
    try:
        await patiently(lambda: upload.share(channel, thread))
    except PlatformError as error:
        log.warning("a file was not sent: %s: %s", type(error).__name__, error)
        note = NOT_SENT
    return replace(response, text="\n\n".join(filter(None, (response.text, note))), file=None)
