"""Shows responses to commands: to the person who gave the command, to the room, or in the thread of a message."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

from bots.slack.api.client import Web
from bots.slack.api.workspace import Capabilities
from bots.slack.components import blocks
from bots.slack.dialect.markdown import to_mrkdwn
from bots.slack.outbound.surface import SlackSurface
from core.commands.responses import Response
from core.domain.errors import PlatformError, Rejected, TooLong
from core.domain.page import Page
from core.domain.retry import patiently
from core.pauses import with_pauses
from core.reply.layout import NO_FILE
from core.text import one_line

log = logging.getLogger(__name__)

# A response_url works five times within half an hour (docs.slack.dev/interactivity/handling-user-interaction).
MAX_RESPONSES, RESPONSE_SECONDS = 5, 1_800.0
NOT_SHARED = "Slack did not let me show this here{}. You can copy it, or try again."
PARTLY_SHARED = "Slack did not let me show all of this here{}."


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
    _, error = await _show(web, capabilities, url, response, thread, extra)
    if error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)
    return error is None


async def share(web: Web, capabilities: Capabilities, url: str, response: Response, thread: str) -> bool:
    """Show everybody what a person shares, by the response_url of their press; if Slack refuses, they read why. Return
    False if nothing of it was shown."""
    shown, error = await _show(web, capabilities, url, response, thread)
    if error is None:
        return True
    log.warning("Slack: could not show what a person shares: %s: %s", type(error).__name__, error)
    why = f" (`{one_line(str(error), 50)}`)" if str(error) else ""
    sentence = PARTLY_SHARED if shown else NOT_SHARED
    await by_url(web, capabilities, url, Response(sentence.format(why)), thread)
    return shown > 0


async def by_message(surface: SlackSurface, response: Response, extra: tuple[blocks.Json, ...] = ()) -> bool:
    """Respond with messages on a surface, with the `extra` blocks below the last one; False if not all are shown."""
    pages = await with_pauses(blocks.pages(response.text))
    try:
        for index, page in enumerate(pages):
            below = extra if index == len(pages) - 1 else ()
            await patiently(partial(surface.post, page, below))
    except PlatformError as error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)
        return False
    return True


async def privately(surface: SlackSurface, response: Response) -> None:
    """Respond with a message that only the person sees who gave the command."""
    try:
        await patiently(lambda: surface.send_ephemeral(to_mrkdwn(response.text)))
    except PlatformError as error:
        log.warning("Slack: could not show a response to a command: %s: %s", type(error).__name__, error)


async def send(
    web: Web,
    capabilities: Capabilities,
    url: str,
    page: Page,
    thread: str = "",
    extra: tuple[blocks.Json, ...] = (),
    *,
    public: bool = False,
    instead: bool = False,
) -> None:
    """Show one page by a response_url. `instead`: in place of what this address showed first, where Slack does that.
    Raises PlatformError."""
    where = {"thread_ts": thread} if thread else {}

    async def attempt(markdown: bool) -> None:
        shown = blocks.blocks(page) if markdown else await with_pauses(blocks.sections(page))
        kind = "in_channel" if public else "ephemeral"
        body: dict[str, Any] = {"response_type": kind, "replace_original": instead, "blocks": [*shown, *extra], **where}
        body |= {"unfurl_links": False, "unfurl_media": False}
        await web.respond(url, {**body, "text": blocks.fallback(page)})

    able = capabilities.markdown
    markdown = bool(page.text.strip()) and able.works()
    try:
        await attempt(markdown)
    except TooLong:
        raise
    except Rejected:
        if not markdown:
            raise
        log.info("Slack refuses a response; showing it in mrkdwn")
        await attempt(False)
        # Only now the refusal says something about this Slack. It does not say why, as it does for other messages.
        if able.failed(url):
            log.warning("this Slack does not support markdown blocks; showing responses without them for a while")
    else:
        if markdown:
            able.worked()


async def _show(
    web: Web,
    capabilities: Capabilities,
    url: str,
    response: Response,
    thread: str,
    extra: tuple[blocks.Json, ...] = (),
) -> tuple[int, PlatformError | None]:
    """Show a response, as far as the uses of its address last; return how many messages were shown, and why not all."""
    pages = await with_pauses(blocks.pages(response.text))
    if len(pages) > MAX_RESPONSES:
        pages = (*pages[: MAX_RESPONSES - 1], replace(pages[MAX_RESPONSES - 1], foot=NO_FILE))
    for index, page in enumerate(pages):
        below = extra if index == len(pages) - 1 else ()
        try:
            await patiently(partial(send, web, capabilities, url, page, thread, below, public=response.public))
        except PlatformError as error:
            return index, error
    return len(pages), None
