"""Handles the menus of a message, and the form in which people ask about it.

What they chose comes with the menu, and not with the form. Until they submit that, it is kept here in memory, for each
process that serves their shard gets both events. It is never stored before a question is.
"""

import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

import discord
from cachetools import TTLCache

from bots.discord.api.callbacks import Callback
from bots.discord.api.http import Answered
from bots.discord.components.commands import target_of
from bots.discord.components.menus import AskedAbout, asks_about
from bots.discord.inbound.asking import Asking, at_hand
from bots.discord.outbound.interaction_responses import show
from bots.discord.room.files import Brought, files_of
from bots.discord.room.reader import Reader
from bots.discord.room.said import GuildView, chosen, thread_of
from core.commands.responses import Response
from core.domain.conversation import Place
from core.domain.errors import PlatformError
from core.domain.surroundings import Role, Said
from core.inbound.menus import ASK, SUMMARISE, summary

log = logging.getLogger(__name__)

# How many messages are kept while people write about them, and for how long. A form can be submitted as long as it is
# open; what nobody submitted in this time is read anew.
KEPT, KEPT_SECONDS = 1_000, 3600.0
UNKNOWN = "I no longer have this menu. Please reload Discord, and use one that it offers then."


@dataclass(frozen=True, slots=True)
class _Kept:
    """What somebody chose, and where."""

    brought: Brought
    person: int
    place: Place


class Menus:
    """Handles them for one client."""

    def __init__(self, asking: Asking, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._asking, self._reader = asking, reader
        self._kept: TTLCache[int, _Kept] = TTLCache(KEPT, KEPT_SECONDS, clock)  # by the interaction that opened a form

    def used(
        self, interaction: discord.Interaction, callback: Callback, place: Place, name: str, data: Any
    ) -> Coroutine[Any, Any, None]:
        """What to do for somebody who used a menu. Raises AttributeError, KeyError, TypeError or ValueError if the data
        lack the message."""
        message = target_of(data)
        said = chosen(message, _view(interaction))
        brought = Brought((said,), files_of(message))
        if name == ASK:
            self._kept[interaction.id] = _Kept(brought, interaction.user.id, place)
            return _open(callback, interaction.id, said)
        if name != SUMMARISE:
            return _say(callback, UNKNOWN)
        at, brings = replace(place, thread=place.thread or thread_of(message)), at_hand(brought)
        return self._asking.ask(interaction, callback, at, "", private=True, worded=summary, brings=brings)

    async def submitted(
        self, interaction: discord.Interaction, callback: Callback, place: Place, asked: AskedAbout
    ) -> None:
        """Somebody asked about a message with the form."""

        async def brings() -> Brought:
            return await self._chosen(interaction, place, asked)

        await self._asking.ask(interaction, callback, place, asked.text, private=True, brings=brings)

    def deleted(self, messages: Iterable[int]) -> None:
        """Messages were deleted: nobody asks about their words any more."""
        gone = {str(each) for each in messages}
        for key in [key for key, kept in self._kept.items() if kept.brought.about[0].id in gone]:
            self._kept.pop(key, None)

    async def _chosen(self, interaction: discord.Interaction, place: Place, asked: AskedAbout) -> Brought:
        """The message with its files; without a text if it is not known here, and can't be read.

        Who submits a form may have made its ids up. What somebody else chose is not theirs, and a message is read only
        where they are, if they may read there.
        """
        kept = self._kept.get(asked.opened)
        chosen_by = (asked.message, interaction.user.id, place)
        if kept and (kept.brought.about[0].id, kept.person, kept.place) == chosen_by:
            return kept.brought
        found = None
        if not place.visiting and (place.direct or interaction.permissions.read_message_history):
            channel = place.thread or place.channel
            found = await self._reader.message(channel, asked.message, _view(interaction))
        return found or Brought((Said(asked.message, "", Role.PERSON, 0.0, ""),))


async def _say(callback: Callback, sentence: str) -> None:
    await show(callback, Response(sentence))


async def _open(callback: Callback, opened: int, said: Said) -> None:
    try:
        await callback.open_form(asks_about(opened, said))
    except Answered:
        log.debug("another process opened a form")
    except PlatformError as error:
        log.warning("could not open a form: %s", error)


def _view(interaction: discord.Interaction) -> GuildView:
    """What is known of the place without asking."""
    me = interaction.client.user
    return GuildView.of(str(me.id) if me else "", interaction.guild)
