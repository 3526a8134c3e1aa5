"""Answers to commands: shown to the one who gave it, to the room, or in the thread of a message."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.components import blocks
from bots.slack.outbound.surface import SlackSurface
from core.commands.responses import Response
from core.domain.errors import PlatformError, Rejected, SlowDown, Unreachable
from core.domain.page import Page

log = logging.getLogger(__name__)

# A response_url serves five times (docs.slack.dev/interactivity/handling-user-interaction).
_MOST = 5
# How often one message is tried, and the longest pause between, in seconds.
_TRIES = 4
_LONGEST_PAUSE = 30.0


async def by_url(web: Web, style: Capabilities, url: str, response: Response, thread: str = "") -> bool:
    """Answer a command or a press, in this thread, by its response_url; False if that did not work."""
    kind = "in_channel" if response.public else "ephemeral"
    try:
        for page in blocks.pages(response.text)[:_MOST]:
            await _send(web, style, url, kind, page, thread)
    except PlatformError as error:
        log.warning("a command's answer was not shown: %s: %s", type(error).__name__, error)
        return False
    return True


async def by_message(surface: SlackSurface, response: Response, extra: tuple[blocks.Json, ...] = ()) -> None:
    """Answer with messages on a surface, `extra` blocks below the last."""
    pages = blocks.pages(response.text)
    try:
        for index, page in enumerate(pages):
            below = extra if index == len(pages) - 1 else ()
            await patiently(partial(surface.post, page, below))
    except PlatformError as error:
        log.warning("a command's answer was not shown: %s: %s", type(error).__name__, error)


async def _send(web: Web, style: Capabilities, url: str, kind: str, page: Page, thread: str) -> None:
    where = {"thread_ts": thread} if thread else {}

    async def send(markdown: bool) -> None:
        shown = blocks.blocks(page, markdown=markdown)
        body: dict[str, Any] = {"response_type": kind, "replace_original": False, "blocks": shown, **where}
        await web.respond(url, {**body, "text": blocks.fallback(page)})

    try:
        await patiently(lambda: send(style.markdown))
    except Rejected:
        await send(False)


async def patiently(call: Callable[[], Awaitable[Any]]) -> None:
    """Try again what Slack put off or failed at; shown twice is better than not at all."""
    for attempt in range(1, _TRIES):
        try:
            await call()
            return
        except (SlowDown, Unreachable) as error:
            pause = error.retry_after if isinstance(error, SlowDown) else attempt
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))
    await call()
