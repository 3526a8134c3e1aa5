"""Shares the file of a response privately with one person, where Slack allows it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of, lasting
from bots.slack.api.workspace import Capabilities
from bots.slack.outbound.upload import Upload
from core.commands.responses import Response
from core.domain.conversation import Place
from core.domain.errors import Forbidden, PlatformError
from core.domain.retry import patiently

log = logging.getLogger(__name__)

# Takes a response, the place of the command, and the id of the person who gave it; returns the response to show.
FileSharer = Callable[[Response, Place, str], Awaitable[Response]]

DIRECTLY = "I sent you the file in our direct messages."
NO_SCOPE = "The file is only for you, but I can't send you direct messages. The app needs the scope `im:write`."
NO_UPLOAD = "I can't send files. Whoever runs me can give the app the scope `files:write`, and install it again."
NOT_ALLOWED = "I couldn't send the file: Slack does not allow it (`{}`). Whoever administers this workspace may help."
NOT_SENT = "I couldn't send the file. Please try again later."


async def share_privately(
    web: Web, capabilities: Capabilities, response: Response, place: Place, person: str
) -> Response:
    """Share the file, if there is one, in the person's direct messages and never where others see it; the returned
    response says whether that worked."""
    if not response.files:
        return response
    channel, thread = place.channel, place.thread
    uploads = [Upload(web, each.name, each.content, each.description) for each in response.files]

    async def send() -> None:
        to, below = channel, thread
        if not place.direct:
            opened = await web.call(web.client.conversations_open(users=person))
            to, below = str(opened["channel"]["id"]), ""
        for upload in uploads:
            await upload.share(to, below)

    if not (place.direct or capabilities.granted("im:write")):
        return replace(response, text=NO_SCOPE, files=())
    try:
        if not capabilities.granted("files:write"):
            raise Forbidden("missing_scope: files:write")
        await patiently(send)
        note = "" if place.direct else DIRECTLY
    except PlatformError as error:
        log.warning("Slack: could not send a file: %s: %s", type(error).__name__, error)
        note = _reason(error)
    return replace(response, text="\n\n".join(filter(None, (response.text, note))), files=())


def _reason(error: PlatformError) -> str:
    """Why it was not sent, and who can help."""
    if "missing_scope" in str(error):
        return NO_UPLOAD if "files:write" in str(error) else NO_SCOPE
    return NOT_ALLOWED.format(code_of(error)) if lasting(error) else NOT_SENT
