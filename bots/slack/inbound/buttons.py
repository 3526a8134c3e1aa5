"""Handles presses of the buttons under replies: acknowledges at once, and responds only to the person who pressed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.api.identity import Identity
from bots.slack.api.people import People
from bots.slack.components import buttons
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.outbound import responses
from core.commands.responses import Response
from core.domain.conversation import Conversation, Place
from core.domain.turn_id import TurnId
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher

UNKNOWN = "Sorry, this button no longer works."

Json = Mapping[str, Any]


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
        self, ack: AsyncAck, body: Json, handler: Callable[[Json], Awaitable[Response | None]]
    ) -> None:
        if not self._tasks.closing:
            await ack()
            self._tasks.start(self._answer(body, handler))

    async def _pressed(self, body: Json) -> Response | None:
        action, conversation = buttons.pressed(body["actions"][0])
        press = await self._press(body, conversation)
        return await self._dispatcher.pressed(action, press, lambda: self._people.rights(press.author.id, press.place))

    async def _rated(self, body: Json) -> Response | None:
        good, conversation = buttons.rated(body["actions"][0])
        return await self._dispatcher.rated(await self._press(body, conversation), good=good)

    async def _press(self, body: Json, conversation: Conversation) -> ButtonPress:
        channel = str(body["channel"]["id"])
        place = Place("slack", self._me.team, channel, direct=channel.startswith("D"))
        user = body["user"]
        teams = (str(user.get("team_id") or ""),)
        author = await self._people.author(self._me, str(user["id"]), str(user.get("name") or ""), teams)
        message, at = str(body["container"]["message_ts"]), str(body["actions"][0].get("action_ts") or "")
        name = TurnId(f"slack/{self._me.team}/{channel}/{message}/{user['id']}/{at}") if at else None
        return ButtonPress(conversation, message, place, author, name)

    async def _answer(self, body: Json, handler: Callable[[Json], Awaitable[Response | None]]) -> None:
        try:
            response = await handler(body)
        except ValueError:  # a button from another version or another app
            response = Response(UNKNOWN)
        if response:
            thread = str(body.get("message", {}).get("thread_ts") or "")
            await responses.by_url(self._web, self._capabilities, str(body["response_url"]), response, thread)
