"""Interactions: slash commands, their suggestions, the button that opens a form, and forms that were sent."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bots.discord.arrivals import Arrivals
from bots.discord.commands import CHOICE_LENGTH, SUGGESTIONS, invocation_of, typed
from bots.discord.forms import dialog, submitted, to_open
from bots.discord.people import author_of, rights_of
from bots.discord.places import Places
from bots.discord.questions import NAME
from bots.discord.replies import contents_of
from bots.discord.rest import Rest, Token
from core.commands import Invocation, find
from core.errors import PlatformError, StoreError, UserError
from core.front import Front
from core.handlers import Response
from core.model import Mention, Place, Rights

log = logging.getLogger(__name__)

# Docs.discord.com, Receiving and Responding to Interactions: the first answer is due within 3 s, and the token that
# edits it lives for 15 min. Seconds, with a margin.
ANSWER_SECONDS = 2.0
TOKEN_SECONDS = 15 * 60 - 20.0
_CALL_SECONDS = 10.0
_SEEN = 1000
_TOO_LATE = 10062
_TROUBLE = (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)


class Interactions:
    """Everything here answers within Discord's time, first and foremost."""

    def __init__(self, front: Front, rest: Rest, places: Places, arrivals: Arrivals, managers: Collection[str]) -> None:
        self._front, self._rest, self._places, self._arrivals = front, rest, places, arrivals
        self._managers = managers
        self._seen: dict[int, None] = {}

    async def take(self, interaction: discord.Interaction) -> None:
        """Handle one; a second delivery of the same is dropped."""
        if interaction.id in self._seen:
            return
        self._seen[interaction.id] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        data: Any = interaction.data or {}
        if interaction.type is discord.InteractionType.autocomplete:
            await self._suggest(interaction, typed(data))
            return
        place = await self._places.of_interaction(interaction)
        if place is None:
            await _show(
                interaction, Response("Discord does not say in which channel we are. Please mention me instead.")
            )
            return
        try:
            invocation = self._invocation(interaction, data, place)
        except UserError as error:
            await _show(interaction, Response(error.notice))
            return
        if invocation is None:
            return
        if invocation.command.name == "ask":
            await self._ask(interaction, place, invocation.argument("prompt"))
        else:
            await self._invoke(interaction, invocation)

    def _invocation(self, interaction: discord.Interaction, data: Any, place: Place) -> Invocation | None:
        """The command that was given, whichever way; None for a button or form of something else."""
        author = author_of(interaction.user)
        match interaction.type:
            case discord.InteractionType.application_command:
                return invocation_of(data, place, author)
            case discord.InteractionType.component if command := to_open(data):
                return Invocation(find(command), place, author)
            case discord.InteractionType.modal_submit if sent := submitted(data):
                return Invocation(find(sent[0]), place, author, (sent[1],))
            case _:
                return None

    async def _ask(self, interaction: discord.Interaction, place: Place, prompt: str) -> None:
        """Defer, and store the question; what follows is the turn's."""
        token = Token(str(interaction.application_id), interaction.token)
        asked = interaction.created_at.timestamp()
        mention = Mention(
            id=f"{NAME}/i/{interaction.id}",
            place=place,
            author=author_of(interaction.user),
            text=prompt,
            at=asked,
            interaction=str(token),
            expires=asked + TOKEN_SECONDS,
        )
        async with asyncio.TaskGroup() as group:
            deferring = group.create_task(_defer(interaction))
            async with self._arrivals.in_turn(int(place.thread or place.channel)):
                if not await deferring:
                    mention = replace(mention, interaction="", expires=0.0)
                try:
                    await self._arrivals.store(lambda: self._front.ask(mention))
                except StoreError as error:
                    log.error("question %s could not be stored: %s", mention.id, error)
                    with suppress(PlatformError):
                        await self._rest.answer(token, error.notice)

    async def _invoke(self, interaction: discord.Interaction, invocation: Invocation) -> None:
        """Run a command, and show what it says; deferred when it takes long."""

        async def rights() -> Rights:
            direct = interaction.guild_id is None
            return rights_of(interaction.user, interaction.permissions, self._managers, direct=direct)

        async with asyncio.TaskGroup() as group:
            running = group.create_task(self._front.invoked(invocation, rights))
            done, _ = await asyncio.wait({running}, timeout=ANSWER_SECONDS)
            if not done:
                await _defer(interaction, ephemeral=not invocation.command.changes)
        await _show(interaction, running.result())

    async def _suggest(self, interaction: discord.Interaction, text: str | None) -> None:
        names: tuple[str, ...] = ()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                names = await self._front.models(text) if text is not None else ()
        short = [name for name in names if len(name) <= CHOICE_LENGTH][:SUGGESTIONS]
        with suppress(*_TROUBLE):
            await interaction.response.autocomplete([app_commands.Choice(name=name, value=name) for name in short])


async def _defer(interaction: discord.Interaction, *, ephemeral: bool = False) -> bool:
    """Show that the bot is at it. False when that came too late and the interaction's token is of no use."""
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            await interaction.response.defer(ephemeral=ephemeral, thinking=True)
    except discord.HTTPException as error:
        # Acknowledged already: another process of ours got the same event, and the store knows the question.
        log.info("a command was not deferred: HTTP %d, code %d", error.status, error.code)
        return error.code != _TOO_LATE
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("a command was not deferred: %s", type(error).__name__)
    return True


async def _show(interaction: discord.Interaction, response: Response) -> None:
    """Show what a command says, to the person alone unless it is public. Best effort: the command is done by now."""
    first, *others = contents_of(response)
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            if interaction.response.is_done():
                await interaction.edit_original_response(content=first)
            elif response.form:
                await interaction.response.send_modal(dialog(response.form))
                return
            else:
                await interaction.response.send_message(first, ephemeral=not response.public, suppress_embeds=True)
            for content in others:
                await interaction.followup.send(content, ephemeral=not response.public, suppress_embeds=True)
    except _TROUBLE as error:
        code = error.code if isinstance(error, discord.HTTPException) else 0
        log.warning("the response to a command was not shown: %s, code %d", type(error).__name__, code)
