"""Handles what people do under replies: buttons, votes, and the reasons that they give for votes."""

import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import discord

from bots.discord.api.callbacks import Callback
from bots.discord.api.http import Answered
from bots.discord.api.names import NAME
from bots.discord.api.rest import Rest
from bots.discord.components.buttons import pressed
from bots.discord.components.votes import answer_of, asks_why, reason, voted, why
from bots.discord.inbound.channels import Places, place_of_button
from bots.discord.inbound.people import author_of, rights_in
from bots.discord.outbound.interaction_responses import share, show_below
from core.commands.responses import Response
from core.domain.conversation import Conversation, Place
from core.domain.errors import PlatformError
from core.domain.turn_id import Step, TurnId, step_of
from core.inbound.buttons import WHY_NOTED, ButtonPress
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

NO_GUEST = "I am no member here, and whoever runs me does not let people bring me along."
LOST = "Discord does not tell me which channel this is. Please mention me instead."


class Presses:
    """Handles them for one client."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        rest: Rest,
        places: Places,
        managers: Collection[str],
        *,
        user_install: bool = False,
    ) -> None:
        """`user_install`: people may bring the app along."""
        self._dispatcher, self._rest, self._places, self._managers = dispatcher, rest, places, managers
        self._user_install = user_install

    async def handle(self, interaction: discord.Interaction, callback: Callback, data: Any) -> bool:
        """Handle a button under a reply, a thumb, the button that asks for a reason, or a reason. Returns whether it
        was one of these."""
        submits = interaction.type is discord.InteractionType.modal_submit
        if not submits and interaction.type is not discord.InteractionType.component:
            return False
        rights = rights_in(interaction, self._managers)
        if not submits and (found := pressed(data)):
            await self._press(
                interaction,
                callback,
                found.conversation,
                lambda press: self._dispatcher.pressed(found.action, replace(press, model=found.model), rights),
            )
            return True
        if not submits and (vote := voted(data)):
            good, conversation = vote
            await self._press(
                interaction, callback, conversation, lambda press: self._dispatcher.rated(press, good=good)
            )
            return True
        if (asked := answer_of(data)) is None:
            return False
        message, conversation = asked
        if submits:
            await self._press(
                interaction, callback, conversation, lambda press: self._explain(callback, press, reason(data)), message
            )
            return True
        try:
            await callback.open_form(why(data))
        except Answered:
            log.debug("another process opened a form")
        except PlatformError as error:
            log.warning("could not open a form: %s", error)
        return True

    async def _explain(self, callback: Callback, press: ButtonPress, text: str) -> Response | None:
        """Pass a reason on. If it is noted, the message with the button that asked for it says so instead."""
        if response := await self._dispatcher.explained(press, text):
            return response
        try:
            await self._rest.edit_response(callback.token, WHY_NOTED, ephemeral=True)
        except PlatformError as error:
            log.info("could not show that a reason was noted: %s", error)
        return None

    async def _press(
        self,
        interaction: discord.Interaction,
        callback: Callback,
        conversation: Conversation,
        work: Callable[[ButtonPress], Awaitable[Response | None]],
        message: str = "",
    ) -> None:
        """Handle a button under a reply: its response is for the person alone or shared, its effect shows in the reply.

        `message`: the reply, if the button is not under it. Every process gets the event; the first to acknowledge it
        does the work.
        """
        try:
            await callback.acknowledge()
        except Answered:
            return
        except PlatformError as error:
            log.info("a button press may not have been acknowledged: %s", error)
        response: Response | None = Response(LOST)
        with suppress(PlatformError):
            place = await self._pressed_in(interaction, conversation)
            message = message or (str(interaction.message.id) if interaction.message else "")
            # An acknowledgement that got lost leaves two processes in doubt which was the first.
            event = step_of(TurnId(f"{NAME}/i/{interaction.id}"), Step.COMMAND)
            press = ButtonPress(conversation, message, place, author_of(interaction.user), event)
            response = Response(NO_GUEST) if place.visiting and not self._user_install else await work(press)
            if response and response.public:
                if not await share(callback, response):
                    await self._dispatcher.not_shared(press)
                return
        if response:
            buttons = (asks_why(message, conversation),) if response.asks_why else ()
            await show_below(callback, response, buttons)

    async def _pressed_in(self, interaction: discord.Interaction, conversation: Conversation) -> Place:
        """Where a button was pressed. It names its conversation, which helps where Discord leaves the channel out."""
        if interaction.channel is None and (place := place_of_button(conversation, interaction.guild_id)):
            return place
        return await self._places.of_interaction(interaction)
