"""Presses: the buttons under replies, acknowledged at once; what they say is for the person who pressed alone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.api.identity import Identity
from bots.slack.api.people import People
from bots.slack.components import buttons
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.outbound import responses as answers
from core.commands.responses import Response
from core.domain.conversation import Place
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher

UNKNOWN = "I do not know this button any more."

Json = Mapping[str, Any]


class ButtonPresses:
    """Bolt listeners. At the end of the process a press is not acknowledged: the person sees that, and tries again."""

    def __init__(
        self, front: Dispatcher, me: Identity, web: Web, style: Capabilities, people: People, work: TaskSupervisor
    ) -> None:
        self._front, self._me, self._web, self._style = front, me, web, style
        self._people, self._work = people, work

    async def pressed(self, ack: AsyncAck, body: Json) -> None:
        """A button that does something with the reply."""
        await self._served(ack, body, self._pressed)

    async def rated(self, ack: AsyncAck, body: Json) -> None:
        """A thumb, up or down."""
        await self._served(ack, body, self._rated)

    async def _served(self, ack: AsyncAck, body: Json, work: Callable[[Json], Awaitable[Response | None]]) -> None:
        if not self._work.closing:
            await ack()
            self._work.start(self._done(body, work))

    async def _pressed(self, body: Json) -> Response | None:
        action, conversation = buttons.pressed(body["actions"][0])
        press = await self._press(body, conversation)
        return await self._front.pressed(action, press, lambda: self._people.rights(press.author.id, press.place))

    async def _rated(self, body: Json) -> Response | None:
        good, conversation = buttons.rated(body["actions"][0])
        return await self._front.rated(await self._press(body, conversation), good=good)

    async def _press(self, body: Json, conversation: str) -> ButtonPress:
        channel = str(body["channel"]["id"])
        place = Place("slack", self._me.team, channel, direct=channel.startswith("D"))
        user = body["user"]
        teams = (str(user.get("team_id") or ""),)
        author = await self._people.author(self._me, str(user["id"]), str(user.get("name") or ""), teams)
        message, at = str(body["container"]["message_ts"]), str(body["actions"][0].get("action_ts") or "")
        name = f"slack/{self._me.team}/{channel}/{message}/{user['id']}/{at}" if at else ""
        return ButtonPress(conversation, message, place, author, name)

    async def _done(self, body: Json, work: Callable[[Json], Awaitable[Response | None]]) -> None:
        try:
            response = await work(body)
        except ValueError:  # a button of another version's, or another app's making
            response = Response(UNKNOWN)
        if response:
            thread = str(body.get("message", {}).get("thread_ts") or "")
            await answers.by_url(self._web, self._style, str(body["response_url"]), response, thread)
