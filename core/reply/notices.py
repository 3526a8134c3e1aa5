"""Notices: sentences and signs of ours on a surface, beside the replies; what can't be shown ends in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.domain.page import Page
from core.domain.ports import QuestionStatus, Surface

log = logging.getLogger(__name__)

ATTEMPTS = 10


async def sign(surface: Surface, shown: QuestionStatus) -> None:
    """Show what becomes of a question, once."""
    try:
        await surface.status(shown)
    except PlatformError:
        pass
    except Exception:
        log.exception("a sign was not shown")  # a defect of a surface must not end every other turn


async def say(surface: Surface, notice: str) -> None:
    """Show a sentence to everybody, waiting for its place when the platform is busy."""
    await _patiently(lambda: surface.post(Page("", foot=notice)))


async def whisper(surface: Surface, notice: str) -> None:
    """Show a sentence to the person who asked."""
    await _patiently(lambda: surface.whisper(notice))


async def retract(surface: Surface, messages: tuple[str, ...]) -> None:
    """Take messages away, the last first."""
    for message in reversed(messages):
        await _patiently(lambda message=message: surface.delete(message))  # type: ignore[misc]


async def _patiently(call: Callable[[], Awaitable[object]]) -> None:
    try:
        for attempt in range(1, ATTEMPTS):
            try:
                await call()
                return
            except (SlowDown, Unreachable) as error:
                await asyncio.sleep(min(30.0, error.retry_after if isinstance(error, SlowDown) else attempt))
        await call()
    except PlatformError as error:
        log.warning("a notice was not shown: %s", error)
    except Exception:
        log.exception("a notice was not shown")
