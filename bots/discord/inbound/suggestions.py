"""Suggestions: what Discord offers while somebody types a value into a slash command."""

import asyncio
from contextlib import suppress
from typing import Any

import discord

from bots.discord.api.callbacks import Callback
from bots.discord.components.commands import CHOICE_LENGTH, SUGGESTIONS, Suggested, typed
from bots.discord.inbound.channels import Places
from bots.discord.inbound.people import author_of
from core.domain.errors import PlatformError, StoreError
from core.inbound.dispatcher import Dispatcher


class Suggestions:
    """Suggests names of models and presets. Discord takes no late ones: what is not known in time is not shown."""

    def __init__(self, dispatcher: Dispatcher, places: Places, seconds: float) -> None:
        """`seconds`: in time."""
        self._dispatcher, self._places, self._seconds = dispatcher, places, seconds

    async def show(self, interaction: discord.Interaction, callback: Callback, data: Any) -> None:
        """Suggest values for the option that somebody types into."""
        names: tuple[str, ...] = ()
        with suppress(TimeoutError, StoreError, PlatformError):
            async with asyncio.timeout(self._seconds):
                names = await self._names(interaction, data)
        with suppress(PlatformError):
            await callback.suggest([name for name in names if len(name) <= CHOICE_LENGTH][:SUGGESTIONS])

    async def _names(self, interaction: discord.Interaction, data: Any) -> tuple[str, ...]:
        match typed(data):
            case Suggested.MODEL, text:
                return await self._dispatcher.models(text, str(interaction.user.id))
            case Suggested.PRESET, text:
                place = await self._places.of_interaction(interaction)
                return await self._dispatcher.presets(place, text, author_of(interaction.user))
            case _:
                return ()
