"""Notices: shows our own sentences and question statuses beside the replies; what can't be shown ends up in the log."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from core.domain.errors import PlatformError
from core.domain.page import Page
from core.domain.ports import QuestionStatus, Status, Surface
from core.domain.retry import patiently

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 10
# How often to show again that the model is thinking, because platforms let it expire: Discord's typing indicator after
# 10 s (docs.discord.com, Trigger Typing Indicator), Slack's status after 2 min.
STATUS_REPEAT_SECONDS = 8.0


async def show_status(surface: Surface, status: QuestionStatus) -> None:
    """Show the status of a question, once."""
    try:
        await surface.status(status)
    except PlatformError:
        pass
    except Exception:
        log.exception("could not show a status")  # a defect of one surface must not end all other turns


async def show_thinking(surface: Surface, visible: asyncio.Event) -> None:
    """Show that the model is thinking until there is something to read."""
    since = time.monotonic()
    while not visible.is_set():
        with suppress(PlatformError):
            await surface.status(QuestionStatus(Status.THINKING, seconds=time.monotonic() - since))
        with suppress(TimeoutError):
            async with asyncio.timeout(STATUS_REPEAT_SECONDS):
                await visible.wait()


async def say(surface: Surface, notice: str) -> None:
    """Show a sentence to everybody; wait when the platform is busy."""
    await _best_effort(lambda: surface.post(Page("", foot=notice)))


async def send_ephemeral(surface: Surface, notice: str) -> None:
    """Show a sentence to the person who asked."""
    await _best_effort(lambda: surface.send_ephemeral(notice))


async def retract(surface: Surface, messages: tuple[str, ...]) -> None:
    """Delete messages, the last one first."""
    for message in reversed(messages):
        await _best_effort(lambda message=message: surface.delete(message))  # type: ignore[misc]


async def take_away(surface: Surface, messages: tuple[str, ...], notice: str) -> None:
    """Delete messages, the last one first. One that the platform does not let go says the notice instead."""
    for message in reversed(messages):
        try:
            await patiently(lambda message=message: surface.delete(message), MAX_ATTEMPTS)  # type: ignore[misc]
        except PlatformError as error:
            log.warning("could not delete a message: %s", error)
            page = Page("", foot=notice)
            await _best_effort(lambda message=message, page=page: surface.edit(message, page))  # type: ignore[misc]
        except Exception:
            log.exception("could not delete a message")


async def _best_effort(call: Callable[[], Awaitable[object]]) -> None:
    try:
        await patiently(call, MAX_ATTEMPTS)
    except PlatformError as error:
        log.warning("could not show a notice: %s", error)
    except Exception:
        log.exception("could not show a notice")
