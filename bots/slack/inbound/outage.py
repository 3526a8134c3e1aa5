"""Tells each channel once that the bot can't store questions during an outage."""

import logging
from collections.abc import Callable

from cachetools import TTLCache

from bots.slack.inbound.events import RawQuestion
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address
from core.domain.errors import PlatformError
from core.domain.options import Placement, Streaming
from core.inbound.dispatcher import AWAY

log = logging.getLogger(__name__)

# Time before we tell a channel again during the same outage.
REPEAT_SECONDS = 300.0
# Channels kept in memory.
_MAX_CHANNELS = 10_000


class Outage:
    """Remembers which channels were told. Nobody has to repeat a question: Slack resends it (after 0, 1 and 5 min)."""

    def __init__(self, surface: Callable[[Address], SlackSurface]) -> None:
        self._surface = surface
        self._told: TTLCache[str, None] = TTLCache(_MAX_CHANNELS, REPEAT_SECONDS)

    def over(self, channel: str) -> None:
        """End the outage of this channel: something could be stored."""
        self._told.pop(channel, None)

    async def tell(self, raw: RawQuestion) -> None:
        """Tell only the person who asked, unless we told somebody there recently; best effort."""
        place = raw.place
        if place.channel in self._told or raw.bot:
            return
        self._told[place.channel] = None
        address = Address(place, Placement.THREAD, raw.message, author=raw.user, streaming=Streaming.OFF)
        try:
            await self._surface(address).send_ephemeral(AWAY)
        except PlatformError as error:
            log.info("Slack: could not tell a person about the outage: %s", error)
