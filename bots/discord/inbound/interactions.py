"""Handles interactions: slash commands, suggestions, buttons, and the forms that people submit."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import discord
from cachetools import FIFOCache

from bots.discord.api.callbacks import Callback
from bots.discord.api.http import Answered, Http, TokenExpired
from bots.discord.api.names import NAME
from bots.discord.api.rest import Button, Rest
from bots.discord.components.buttons import pressed
from bots.discord.components.commands import invocation_of, is_private, model_of
from bots.discord.components.forms import dialog, submitted, to_open
from bots.discord.components.votes import answer_of, asks_why, reason, voted, why
from bots.discord.dialect.markdown import small
from bots.discord.inbound.channels import Places, place_of_button
from bots.discord.inbound.messages import in_words
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.people import author_of, names_of, rights_of
from bots.discord.inbound.suggestions import Suggestions
from bots.discord.outbound.responses import contents_of, file_of
from bots.discord.room.reader import Reader
from core.commands.registry import Invocation, find
from core.commands.responses import Response, RightsOf
from core.domain.conversation import Conversation, Place, ResponseToken, Rights
from core.domain.errors import PlatformError, Rejected, StoreError, Unreachable, UserError
from core.domain.question import Question
from core.domain.turn_id import Step, TurnId, step_of
from core.inbound.buttons import WHY_NOTED, ButtonPress
from core.inbound.dispatcher import AWAY, Dispatcher
from core.settings.parameters import Layer

log = logging.getLogger(__name__)

# The first answer is due within 3 s, and the token that edits it lives for 15 min (docs.discord.com, Receiving and
# Responding to Interactions). Both with a margin.
ANSWER_SECONDS = 2.0
TOKEN_SECONDS = 15 * 60 - 20.0
_SEEN = 1000
_COMMANDS = frozenset(
    {
        discord.InteractionType.application_command,
        discord.InteractionType.component,
        discord.InteractionType.modal_submit,
    }
)
# How many people that somebody names in a question are looked up, and for how long.
_LOOKED_UP, _LOOK_UP_SECONDS = 10, 3.0
_PERSON = re.compile(r"<@!?(\d{1,20})>")
_DONE = "Done."
TOO_LARGE = "Discord does not accept this file; it may be too large."
# What reading a payload raises if its parts are of other types than Discord's documentation says.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_UNREADABLE = "I can't read this command or form: it may come from another version of me. Please use the command again."
_LOST = "Discord does not tell me which channel this is. Please mention me instead."


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
    ) -> None:
        """`answer_seconds`: a command that takes longer is deferred."""
        self._http, self._rest, self._answer_seconds = http, Rest(http), answer_seconds
        self._dispatcher, self._places, self._ordering = dispatcher, places, ordering
        self._managers, self._reader = managers, reader
        self._suggestions = Suggestions(dispatcher, places, answer_seconds)
        self._seen: FIFOCache[int, None] = FIFOCache(_SEEN)

    async def handle(self, interaction: discord.Interaction) -> None:
        """Handle one interaction; ignore a second delivery."""
        if interaction.id in self._seen:
            return
        self._seen[interaction.id] = None
        data: Any = interaction.data if isinstance(interaction.data, dict) else {}
        callback = Callback(self._http, interaction)
        if interaction.type is discord.InteractionType.autocomplete:
            await self._suggestions.show(interaction, callback, data)
            return
        if interaction.type is discord.InteractionType.component and (found := pressed(data)):
            action, conversation = found
            await self._press(
                interaction,
                callback,
                conversation,
                lambda press: self._dispatcher.pressed(action, press, self._rights(interaction)),
            )
            return
        if await self._vote(interaction, callback, data):
            return
        if interaction.type not in _COMMANDS:
            return
        try:
            place = await self._place(interaction)
            invocation = self._invocation(interaction, data, place)
            model = model_of(data) if invocation and invocation.command.name == "ask" else ""
        except _MALFORMED as error:
            log.warning("could not read a command or a form: %s", type(error).__name__)
            await self._show(callback, Response(_UNREADABLE))
            return
        except UserError as error:
            await self._show(callback, Response(error.notice))
            return
        except PlatformError as error:
            log.warning("could not find out where a command was used, or by whom: %s", error)
            await self._show(callback, Response(_LOST))
            return
        if invocation is None:
            with suppress(PlatformError):
                await callback.acknowledge()
            return
        if invocation.command.name == "ask":
            prompt = invocation.argument("prompt")
            await self._ask(interaction, callback, place, prompt, model, private=is_private(data))
        else:
            await self._invoke(interaction, callback, invocation)

    async def _place(self, interaction: discord.Interaction) -> Place:
        """Where an interaction is. Raises PlatformError, also if the person's roles in the guild are not known."""
        if interaction.guild_id is not None and not isinstance(interaction.user, discord.Member):
            raise Unreachable("an interaction in a guild without a member")
        return await self._places.of_interaction(interaction)

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

    async def _ask(
        self,
        interaction: discord.Interaction,
        callback: Callback,
        place: Place,
        prompt: str,
        model: str,
        *,
        private: bool,
    ) -> None:
        """Defer, and store the question; the turn does the rest."""
        asked = interaction.created_at.timestamp()
        question = Question(
            id=TurnId(f"{NAME}/i/{interaction.id}"),
            place=place,
            author=author_of(interaction.user),
            text=prompt,
            at=asked,
            interaction=ResponseToken(str(callback.token), asked + TOKEN_SECONDS),
            private=private,
            model=model,
        )
        self._reader.heard(question, replies=False, reads=interaction.permissions.read_message_history or None)
        async with asyncio.TaskGroup() as group:
            deferring = group.create_task(_defer(callback, ephemeral=private))

            async def ask() -> None:
                good = await deferring
                asked = replace(question, text=await self._in_words(interaction, prompt))
                await self._dispatcher.ask(asked if good else replace(asked, interaction=None))

            async def say(sentence: str) -> None:
                if await deferring:
                    await self._rest.edit_response(callback.token, small(sentence), ephemeral=private)

            try:
                await self._ordering.store(int(place.thread or place.channel), ask, lambda: say(AWAY))
            except StoreError as error:
                log.error("could not store question %s: %s", question.id, error)
                with suppress(PlatformError):
                    await say(error.notice)

    async def _in_words(self, interaction: discord.Interaction, text: str) -> str:
        """The text with names in place of ids. Discord resolves none of them in an option that is a text."""
        guild, data = interaction.guild, dict(interaction.data or {})
        people = {str(each.id): each.display_name for each in (interaction.client.user, interaction.user) if each}
        people |= names_of(data.get("resolved"))
        missing = [each for each in dict.fromkeys(_PERSON.findall(text)) if each not in people][:_LOOKED_UP]

        async def look_up(person: str) -> None:
            member = await self._rest.member(str(interaction.guild_id), person)
            people.update(names_of({"users": {person: member.get("user")}, "members": {person: member}}))

        if interaction.guild_id is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_UP_SECONDS):
                    await asyncio.gather(*map(look_up, missing), return_exceptions=True)
        return in_words(text, guild, people)

    async def _invoke(self, interaction: discord.Interaction, callback: Callback, invocation: Invocation) -> None:
        """Run a command and show its response; defer if it takes long.

        Every process gets the event; one carries the command out, and the others show nothing.
        """
        event = TurnId(f"{NAME}/i/{interaction.id}")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self._dispatcher.commanded(invocation, self._rights(interaction), event))
            done, _ = await asyncio.wait({running}, timeout=self._answer_seconds)
            if not done:
                await _defer(callback, ephemeral=True)
        response = running.result()
        if response is None:
            return
        if done and await self._show(callback, response, invocation.scope):
            return
        await self._show_late(callback, response)  # perhaps it was another process that deferred

    async def _vote(self, interaction: discord.Interaction, callback: Callback, data: Any) -> bool:
        """Handle a thumb, the button that asks for a reason, or a reason; returns whether it was one of these."""
        submits = interaction.type is discord.InteractionType.modal_submit
        if not submits and interaction.type is not discord.InteractionType.component:
            return False
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
        """Handle a button under a reply: its response is for the person alone, its effect shows in the reply.

        `message`: the reply, if the button is not under it. Every process gets the event; the first to acknowledge it
        does the work.
        """
        try:
            await callback.acknowledge()
        except Answered:
            return
        except PlatformError as error:
            log.info("a button press may not have been acknowledged: %s", error)
        response: Response | None = Response(_LOST)
        with suppress(PlatformError):
            place = await self._pressed_in(interaction, conversation)
            message = message or (str(interaction.message.id) if interaction.message else "")
            # An acknowledgement that got lost leaves two processes in doubt which was the first.
            event = step_of(TurnId(f"{NAME}/i/{interaction.id}"), Step.COMMAND)
            press = ButtonPress(conversation, message, place, author_of(interaction.user), event)
            response = await work(press)
        if response:
            buttons = (asks_why(message, conversation),) if response.asks_why else ()
            try:
                await _follow_up(callback, await contents_of(response), response, buttons)
            except PlatformError as error:
                log.warning("could not show the response to a button: %s", error)

    async def _pressed_in(self, interaction: discord.Interaction, conversation: Conversation) -> Place:
        """Where a button was pressed. It names its conversation, which helps where Discord leaves the channel out."""
        if interaction.channel is None and (place := place_of_button(conversation, interaction.guild_id)):
            return place
        return await self._place(interaction)

    def _rights(self, interaction: discord.Interaction) -> RightsOf:
        async def rights() -> Rights:
            direct = interaction.guild_id is None
            return rights_of(interaction.user, interaction.permissions, self._managers, direct=direct)

        return rights

    async def _show(self, callback: Callback, response: Response, scope: Layer | None = None) -> bool:
        """Show a response, to the person alone unless it is public. Best effort: the command is already done.

        Returns False if another process acknowledged the command.
        """
        contents = await contents_of(response)
        alone = file_of(response) if len(contents) == 1 else None
        try:
            if response.form:
                await callback.open_form(dialog(response.form, scope))
                return True
            try:
                await callback.show(contents[0], ephemeral=not response.public, file=alone)
            except Answered:
                raise
            except Rejected as error:
                if not alone:
                    raise
                log.warning("Discord refused a file: %s", error)
                await callback.show(TOO_LARGE, ephemeral=True)
            await _follow_up(callback, contents[1:], response)
        except Answered:
            log.debug("another process acknowledged a command")
            return False
        except PlatformError as error:
            log.warning("could not show the response to a command: %s", error)
        return True

    async def _show_late(self, callback: Callback, response: Response) -> None:
        """Show the response of a deferred command.

        Deferring fixes who sees the response, before its content is known. So we defer for the person alone, and what
        everybody may see follows in a message of its own.
        """
        contents = await contents_of(response)
        # The deferred response is filled in without a file; the file comes with the messages that follow.
        alone = not response.public and (len(contents) > 1 or not response.file)
        first, others = (contents[0], contents[1:]) if alone else (_DONE, contents)
        try:
            await self._rest.edit_response(callback.token, first, ephemeral=True)
            await _follow_up(callback, others, response)
        except PlatformError as error:
            log.warning("could not show the response to a command: %s", error)


async def _follow_up(
    callback: Callback, contents: Sequence[str], response: Response, buttons: tuple[Button, ...] = ()
) -> None:
    """Send further messages; the last one has the file and the buttons."""
    for index, content in enumerate(contents):
        last = index == len(contents) - 1
        file = file_of(response) if last else None
        try:
            await callback.follow_up(content, ephemeral=not response.public, file=file, buttons=buttons if last else ())
        except Rejected as error:
            if not file:
                raise
            log.warning("Discord refused a file: %s", error)
            await callback.follow_up(TOO_LARGE, ephemeral=True)


async def _defer(callback: Callback, *, ephemeral: bool = False) -> bool:
    """Show that the bot is working on it. Returns False if that came too late, so that the token no longer works."""
    try:
        await callback.defer(ephemeral=ephemeral)
    except TokenExpired as error:
        log.info("a command was not deferred in time: %s", error)
        return False
    except Answered:
        pass  # another of our processes got the same event, and the store knows the question
    except PlatformError as error:
        log.warning("a command may not have been deferred: %s", error)
    return True
