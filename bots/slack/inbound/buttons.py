"""Handles presses of the buttons under replies: acknowledges at once, and responds only to the person who pressed."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.client import Web
from bots.slack.api.people import People
from bots.slack.api.workspace import Capabilities, Identity
from bots.slack.components import buttons
from bots.slack.inbound.payloads import Click, Json, click, string
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.outbound import responses
from core.commands.responses import Response
from core.domain.conversation import Conversation
from core.domain.turn_id import TurnId
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher

UNKNOWN = "Sorry, this button no longer works."

log = logging.getLogger(__name__)


class ButtonPresses:
    """Bolt listeners. While the process shuts down it does not acknowledge presses: people see that and try again."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Identity,
        web: Web,
        capabilities: Capabilities,
        people: People,
        tasks: TaskSupervisor,
    ) -> None:
        self._dispatcher, self._me, self._web, self._capabilities = dispatcher, me, web, capabilities
        self._people, self._tasks = people, tasks

    async def pressed(self, ack: AsyncAck, body: Json) -> None:
        """Handle a button that acts on the reply."""
        await self._acknowledge(ack, body, self._pressed)

    async def rated(self, ack: AsyncAck, body: Json) -> None:
        """Handle a thumb, up or down."""
        await self._acknowledge(ack, body, self._rated)

    async def _acknowledge(
        self, ack: AsyncAck, body: Json, handler: Callable[[Click], Awaitable[Response | None]]
    ) -> None:
        if not self._tasks.closing:
            await ack()
            self._tasks.start(self._answer(body, handler))

    async def _pressed(self, click: Click) -> Response | None:
        action, conversation = buttons.pressed(click.action)
        press = await self._press(click, conversation)
        rights = partial(self._people.rights, press.author.id, press.place)
        return await self._dispatcher.pressed(action, press, rights)

    async def _rated(self, click: Click) -> Response | None:
        good, conversation = buttons.rated(click.action)
        if not conversation.is_in(click.place.channel_scope):
            raise ValueError("none of our buttons here names that conversation")
        return await self._dispatcher.rated(await self._press(click, conversation), good=good)

    async def _press(self, click: Click, conversation: Conversation) -> ButtonPress:
        person = click.person
        author = await self._people.author(person.id, person.name, person.teams)
        name = TurnId(f"{click.place.channel_scope}/{click.message}/{person.id}/{click.at}") if click.at else None
        return ButtonPress(conversation, click.message, click.place, author, name)

    async def _answer(self, body: Json, handler: Callable[[Click], Awaitable[Response | None]]) -> None:
        thread = ""
        try:
            pressed = click(body, self._me)
            thread = pressed.thread
            response = await handler(pressed)
        except ValueError as error:  # a button from another version or another app
            log.info("Slack: a press can't be read: %s", error)
            response = Response(UNKNOWN)
        if response:
            await responses.by_url(self._web, self._capabilities, string(body.get("response_url")), response, thread)
