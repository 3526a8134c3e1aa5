"""Handles interactions: slash commands, suggestions, and forms; passes on menus, and what people do under replies."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import discord
from cachetools import FIFOCache

from bots.discord.api.callbacks import Callback
from bots.discord.api.http import Http
from bots.discord.api.names import NAME
from bots.discord.api.rest import Rest
from bots.discord.components.commands import (
    CHOICE_LENGTH,
    SUGGESTIONS,
    Suggested,
    files_in,
    invocation_of,
    is_portable,
    is_private,
    menu_of,
    model_of,
    shape_of,
    typed,
)
from bots.discord.components.forms import submitted, to_open
from bots.discord.components.menus import asked_about
from bots.discord.inbound.asking import Asking, at_hand
from bots.discord.inbound.channels import Places
from bots.discord.inbound.menus import Menus
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.people import author_of, rights_in
from bots.discord.inbound.presses import LOST, NO_GUEST, Presses
from bots.discord.outbound.interaction_responses import defer, show, show_late
from bots.discord.room.files import Brought, file_of
from bots.discord.room.reader import Reader
from core.commands.registry import Invocation, find
from core.commands.responses import Response
from core.domain.conversation import Place
from core.domain.errors import PlatformError, StoreError, UserError
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import TOO_FAST, Dispatcher
from core.inbound.menus import catch_up, picture

log = logging.getLogger(__name__)

# The first answer is due within 3 s (docs.discord.com, Receiving and Responding to Interactions); this has a margin.
ANSWER_SECONDS = 2.0
_SEEN = 1000
_COMMANDS = frozenset(
    {
        discord.InteractionType.application_command,
        discord.InteractionType.component,
        discord.InteractionType.modal_submit,
    }
)
# What reading a payload raises if its parts are of other types than Discord's documentation says.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_UNREADABLE = "I can't read this command or form: it may come from another version of me. Please use the command again."
NOT_FOR_GUESTS = "I am no member here: I can answer questions for you alone, and nothing else."


class Interactions:
    """Handles the interactions of one client. Each first answer meets Discord's deadline."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        http: Http,
        places: Places,
        ordering: ArrivalOrder,
        managers: Collection[str],
        reader: Reader,
        answer_seconds: float = ANSWER_SECONDS,
        *,
        user_install: bool = False,
    ) -> None:
        """`answer_seconds`: a command that takes longer is deferred. `user_install`: people may bring the app along."""
        self._http, self._rest, self._answer_seconds = http, Rest(http), answer_seconds
        self._dispatcher, self._places, self._managers = dispatcher, places, managers
        self._user_install = user_install
        self._asking = Asking(dispatcher, self._rest, ordering, reader)
        self._presses = Presses(dispatcher, self._rest, places, managers, user_install=user_install)
        self.menus = Menus(self._asking, reader)
        self._seen: FIFOCache[int, None] = FIFOCache(_SEEN)

    async def handle(self, interaction: discord.Interaction) -> None:
        """Handle one interaction; ignore a second delivery."""
        if interaction.id in self._seen:
            return
        self._seen[interaction.id] = None
        data: Any = interaction.data if isinstance(interaction.data, dict) else {}
        callback = Callback(self._http, interaction)
        if interaction.type is discord.InteractionType.autocomplete:
            await self._suggest(interaction, callback, data)
            return
        if await self._presses.handle(interaction, callback, data) or interaction.type not in _COMMANDS:
            return
        try:
            place = await self._places.of_interaction(interaction)
            work = self._work(interaction, callback, data, place)
        except _MALFORMED as error:
            log.warning("could not read a command or a form: %s", type(error).__name__)
            await show(callback, Response(_UNREADABLE))
            return
        except UserError as error:
            await show(callback, Response(error.notice))
            return
        except PlatformError as error:
            log.warning("could not find out where a command was used, or by whom: %s", error)
            await show(callback, Response(LOST))
            return
        await work

    def _work(
        self, interaction: discord.Interaction, callback: Callback, data: Any, place: Place
    ) -> Coroutine[Any, Any, None]:
        """What a command, a menu or a form asks for. Raises UserError for what is not offered here."""
        is_command = interaction.type is discord.InteractionType.application_command
        asked = asked_about(data) if interaction.type is discord.InteractionType.modal_submit else None
        if place.visiting and not self._user_install:
            raise UserError(NO_GUEST)
        if place.visiting and not (asked or (is_command and is_portable(data))):
            raise UserError(NOT_FOR_GUESTS)
        if asked:
            return self.menus.submitted(interaction, callback, place, asked)
        if is_command and (menu := menu_of(data)) is not None:
            return self.menus.used(interaction, callback, place, menu, data)
        invocation = self._invocation(interaction, data, place)
        if invocation is None:
            return _acknowledge(callback)
        match invocation.command.name:
            case "ask":
                prompt, model, private = invocation.argument("prompt"), model_of(data), is_private(data)
                brings = at_hand(Brought(files=tuple(map(file_of, files_in(data)))))
                return self._asking.ask(
                    interaction, callback, place, prompt, model=model, private=private, brings=brings
                )
            case "imagine":
                text, private = invocation.argument("text"), is_private(data)
                worded = partial(picture, shape=shape_of(data))
                return self._asking.ask(interaction, callback, place, text, private=private, worded=worded)
            case "catchup":
                return self._asking.ask(interaction, callback, place, "", private=True, worded=catch_up)
            case _:
                return self._invoke(interaction, callback, invocation)

    def _invocation(self, interaction: discord.Interaction, data: Any, place: Place) -> Invocation | None:
        """The command, however it was given; None for a button or form that belongs to something else."""
        author = author_of(interaction.user)
        match interaction.type:
            case discord.InteractionType.application_command:
                return invocation_of(data, place, author)
            case discord.InteractionType.component if wanted := to_open(data):
                return Invocation(find(wanted.name), place, author, wanted.given)
            case discord.InteractionType.modal_submit if sent := submitted(data):
                wanted, text = sent
                if not text.strip():  # Discord takes no form as the answer to a form
                    raise UserError("Write the prompt into the form.")
                return Invocation(find(wanted.name), place, author, (*wanted.given, text), wanted.scope)
            case _:
                return None

    async def _invoke(self, interaction: discord.Interaction, callback: Callback, invocation: Invocation) -> None:
        """Run a command and show its response; defer if it takes long.

        Every process gets the event; one carries the command out, and the others show nothing.
        """
        event, rights = TurnId(f"{NAME}/i/{interaction.id}"), rights_in(interaction, self._managers)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self._dispatcher.commanded(invocation, rights, event))
            done, _ = await asyncio.wait({running}, timeout=self._answer_seconds)
            if not done:
                await defer(callback, ephemeral=True)
        response = running.result()
        if response is None:
            return
        if done and await show(callback, response, invocation.scope):
            return
        if response.text == TOO_FAST:  # to this process: another one shows what came of it
            return
        await show_late(self._rest, callback, response)  # perhaps it was another process that deferred

    async def _suggest(self, interaction: discord.Interaction, callback: Callback, data: Any) -> None:
        """Suggest values for the option that somebody types into. Discord takes no late ones: none are shown then."""
        names: tuple[str, ...] = ()
        with suppress(TimeoutError, StoreError, PlatformError):
            async with asyncio.timeout(self._answer_seconds):
                match typed(data):
                    case Suggested.MODEL, text:
                        names = await self._dispatcher.models(text, str(interaction.user.id))
                    case Suggested.PRESET, text:
                        place = await self._places.of_interaction(interaction)
                        names = await self._dispatcher.presets(place, text, author_of(interaction.user))
        with suppress(PlatformError):
            await callback.suggest([name for name in names if len(name) <= CHOICE_LENGTH][:SUGGESTIONS])


async def _acknowledge(callback: Callback) -> None:
    with suppress(PlatformError):
        await callback.acknowledge()
