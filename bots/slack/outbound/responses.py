"""Shows responses to commands: to the person who gave the command, to the room, or in the thread of a message."""

import logging
from functools import partial
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.workspace import Capabilities
from bots.slack.components import blocks
from bots.slack.dialect.markdown import to_mrkdwn
from bots.slack.outbound.surface import SlackSurface
from core.commands.responses import Response
from core.domain.errors import PlatformError, Rejected
from core.domain.page import Page
from core.domain.retry import patiently
from core.pauses import with_pauses

log = logging.getLogger(__name__)

# A response_url works five times (docs.slack.dev/interactivity/handling-user-interaction).
_MAX_RESPONSES = 5


async def by_url(
    web: Web,
    capabilities: Capabilities,
    url: str,
    response: Response,
    thread: str = "",
    extra: tuple[blocks.Json, ...] = (),
) -> bool:
    """Respond to a command or button press by its response_url, in this thread, with the `extra` blocks below the last
    message; return False if that fails."""
    kind = "in_channel" if response.public else "ephemeral"
    pages = (await with_pauses(blocks.pages(response.text)))[:_MAX_RESPONSES]
    try:
        for index, page in enumerate(pages):
            below = extra if index == len(pages) - 1 else ()
            await _send(web, capabilities, url, kind, page, thread, below)
    except PlatformError as error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)
        return False
    return True


async def by_message(surface: SlackSurface, response: Response, extra: tuple[blocks.Json, ...] = ()) -> None:
    """Respond with messages on a surface, with the `extra` blocks below the last one."""
    pages = await with_pauses(blocks.pages(response.text))
    try:
        for index, page in enumerate(pages):
            below = extra if index == len(pages) - 1 else ()
            await patiently(partial(surface.post, page, below))
    except PlatformError as error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)


async def privately(surface: SlackSurface, response: Response) -> None:
    """Respond with a message that only the person sees who gave the command."""
    try:
        await patiently(lambda: surface.send_ephemeral(to_mrkdwn(response.text)))
    except PlatformError as error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)


async def _send(
    web: Web,
    capabilities: Capabilities,
    url: str,
    kind: str,
    page: Page,
    thread: str,
    extra: tuple[blocks.Json, ...],
) -> None:
    where = {"thread_ts": thread} if thread else {}

    async def send(markdown: bool) -> None:
        shown = blocks.blocks(page) if markdown else await with_pauses(blocks.sections(page))
        body: dict[str, Any] = {"response_type": kind, "replace_original": False, "blocks": [*shown, *extra], **where}
        body |= {"unfurl_links": False, "unfurl_media": False}
        await web.respond(url, {**body, "text": blocks.fallback(page)})

    try:
        await patiently(lambda: send(capabilities.markdown.works()))
    except Rejected:
        await send(False)
