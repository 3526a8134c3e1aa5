"""Handles presses of the buttons under replies: acknowledges at once, and responds only to the person who pressed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.components import blocks, buttons, forms, votes
from bots.slack.inbound.collaborators import Collaborators
from bots.slack.inbound.payloads import Click, Json, Person, click, place, string, submission
from bots.slack.outbound import responses
from core.commands.responses import Response
from core.domain.conversation import Conversation, Place
from core.domain.page import Action
from core.domain.turn_id import TurnId
from core.inbound.buttons import ButtonPress

UNKNOWN = "Sorry, this button no longer works."
OLD_REASON = "Sorry, this form no longer works. Please press the thumb again."
SLOW = "This takes longer than usual. Please send the form once more in a moment."
NO_FORM = "Slack did not open the form. Please press the button again."

log = logging.getLogger(__name__)


class ButtonPresses:
    """Bolt listeners. While the process shuts down it does not acknowledge presses: people see that and try again."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._with = collaborators

    async def pressed(self, ack: AsyncAck, body: Json) -> None:
        """Handle a button that acts on the reply."""
        await self._with.acknowledged(ack, body, partial(self._answer, self._pressed))

    async def rated(self, ack: AsyncAck, body: Json) -> None:
        """Handle a thumb, up or down."""
        await self._with.acknowledged(ack, body, partial(self._answer, self._rated))

    async def asked_why(self, ack: AsyncAck, body: Json) -> None:
        """Handle the button that opens the form for a reason."""
        await self._with.acknowledged(ack, body, partial(self._answer, self._asked_why))

    async def explained(self, ack: AsyncAck, body: Json) -> None:
        """Handle a submitted reason: the form shows what is wrong with it, or closes."""
        if self._with.tasks.refuses(ack):
            return
        try:
            sent = submission(body)
            about = votes.Subject.read(sent.metadata)
            where = place(about.channel, self._with.me)
            self._check(about.conversation, where, sent.person)
        except ValueError as error:
            log.info("Slack: a form can't be read: %s", error)
            await ack(response_action="errors", errors=forms.errors(OLD_REASON))
            return
        press = ButtonPress(about.conversation, about.message, where, await self._with.author(sent.person))
        outcome = self._with.tasks.start(self._with.dispatcher.explained(press, forms.entered(sent.view)))
        done, _ = await asyncio.wait({outcome}, timeout=self._with.patience.form)
        response = outcome.result() if done else Response(SLOW)
        if response:
            await ack(response_action="errors", errors=forms.errors(response.text))
        else:
            await ack()

    async def _pressed(self, click: Click) -> Response | None:
        found = buttons.pressed(click.action)
        action, conversation = found.action, found.conversation
        press = replace(await self._press(click, conversation), model=found.model)
        if message := found.message:
            turn = TurnId(message.rpartition("/")[0])
            press = replace(press, message=message, turn=turn)
        rights = partial(self._with.people.rights, press.author.id, press.place)
        response = await self._with.dispatcher.pressed(action, press, rights)
        if not (action is Action.SHARE and response and response.public):
            return response and await self._with.share_file(response, press.place, press.author.id)
        # where the question was asked, wherever its answer appeared
        thread = conversation.scope.removeprefix(conversation.channel_scope).strip("/")
        if not await responses.share(self._with.web, self._with.capabilities, click.response_url, response, thread):
            await self._with.dispatcher.not_shared(press)
        return None

    async def _rated(self, click: Click) -> Response | None:
        good, conversation = buttons.rated(click.action)
        self._check(conversation, click.place, click.person)
        return await self._with.dispatcher.rated(await self._press(click, conversation), good=good)

    async def _asked_why(self, click: Click) -> Response | None:
        value = string(click.action.get("value"))
        about = votes.Subject.read(value)
        self._check(about.conversation, click.place, click.person)
        opened = await self._with.web.open_form(click.trigger, votes.modal(value))
        return None if opened else Response(NO_FORM)

    @staticmethod
    def _check(conversation: Conversation, where: Place, person: Person) -> None:
        """Raises ValueError for a conversation that is in another place. A private answer that goes on as a direct
        message keeps its own."""
        own = where.direct and conversation.owner == person.id
        if not (conversation.is_in(where.channel_scope) or own):
            raise ValueError("none of our buttons here names that conversation")

    async def _press(self, click: Click, conversation: Conversation) -> ButtonPress:
        person = click.person
        author = await self._with.author(person)
        name = TurnId(f"{click.place.channel_scope}/{click.message}/{person.id}/{click.at}") if click.at else None
        return ButtonPress(conversation, click.message, click.place, author, name)

    async def _answer(self, handler: Callable[[Click], Awaitable[Response | None]], body: Json) -> None:
        thread = ""
        below: tuple[blocks.Json, ...] = ()
        try:
            pressed = click(body, self._with.me)
            thread = pressed.thread
            response = await handler(pressed)
            if response and response.asks_why:
                conversation = buttons.rated(pressed.action)[1]
                below = (votes.button(votes.Subject(pressed.message, conversation, pressed.place.channel)),)
        except ValueError as error:  # a button from another version or another app
            log.info("Slack: a press can't be read: %s", error)
            response = Response(UNKNOWN)
        if response:
            await self._with.tell(string(body.get("response_url")), response, thread, below)
