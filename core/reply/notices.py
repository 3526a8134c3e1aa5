"""Notices: shows our own sentences and question statuses beside the replies; what can't be shown ends up in the log."""

import logging
from collections.abc import Awaitable, Callable

from core.domain.errors import PlatformError
from core.domain.page import Page
from core.domain.ports import QuestionStatus, Surface
from core.domain.retry import patiently

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 10


async def show_status(surface: Surface, status: QuestionStatus) -> None:
    """Show the status of a question, once."""
    try:
        await surface.status(status)
    except PlatformError:
        pass
    except Exception:
        log.exception("could not show a status")  # a defect of one surface must not end all other turns


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


async def _best_effort(call: Callable[[], Awaitable[object]]) -> None:
    try:
        await patiently(call, MAX_ATTEMPTS)
    except PlatformError as error:
        log.warning("could not show a notice: %s", error)
    except Exception:
        log.exception("could not show a notice")
