"""Outage: the one sentence that a channel gets while questions can't be stored."""

import logging
import math
import time
from collections.abc import Callable

from bots.slack.inbound.events import Heard
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address
from core.domain.errors import PlatformError
from core.domain.options import Placement, Streaming
from core.inbound.dispatcher import AWAY

log = logging.getLogger(__name__)

# Seconds before a channel is told again in the same outage.
AGAIN = 300.0


class Outage:
    """Who was told. Slack delivers the question again (at once, after a minute, after five): nobody need repeat it."""

    def __init__(self, surface: Callable[[Address], SlackSurface]) -> None:
        self._surface = surface
        self._told: dict[str, float] = {}

    def over(self, channel: str) -> None:
        """Something could be stored: the next outage is a new one."""
        self._told.pop(channel, None)

    async def tell(self, question: Heard) -> None:
        """Tell the person who asked, alone, unless somebody there was told lately; best effort."""
        place, now = question.place, time.monotonic()
        if now - self._told.get(place.channel, -math.inf) < AGAIN:
            return
        self._told[place.channel] = now
        address = Address(place, Placement.THREAD, question.message, author=question.user, streaming=Streaming.OFF)
        try:
            await self._surface(address).whisper(AWAY)
        except PlatformError as error:
            log.info("nobody was told of an outage: %s", error)
