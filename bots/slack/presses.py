"""Presses: the buttons under replies, acknowledged at once; what they say is for the person who pressed alone."""

from collections.abc import Awaitable, Mapping
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack import answers, buttons
from bots.slack.events import Identity
from bots.slack.people import People
from bots.slack.surface import Style
from bots.slack.web import Web
from bots.slack.work import Work
from core.controls import Press
from core.front import Front
from core.handlers import Response
from core.model import Author, Place, Rights

Json = Mapping[str, Any]


class Presses:
    """Bolt listeners."""

    def __init__(self, front: Front, me: Identity, web: Web, style: Style, people: People, work: Work) -> None:
        self._front, self._me, self._web, self._style = front, me, web, style
        self._people, self._work = people, work

    async def pressed(self, ack: AsyncAck, body: Json) -> None:
        """A button that does something with the reply."""
        await ack()
        action, conversation = buttons.pressed(body["actions"][0])
        press = self._press(body, conversation)

        async def rights() -> Rights:
            return await self._people.rights(press.author.id, press.place)

        self._work.start(self._done(body, self._front.pressed(action, press, rights)))

    async def rated(self, ack: AsyncAck, body: Json) -> None:
        """A thumb, up or down."""
        await ack()
        good, conversation = buttons.rated(body["actions"][0])
        press = self._press(body, conversation)
        self._work.start(self._done(body, self._front.rated(press, good=good)))

    def _press(self, body: Json, conversation: str) -> Press:
        channel = str(body["channel"]["id"])
        place = Place("slack", self._me.team, channel, direct=channel.startswith("D"))
        user = body["user"]
        author = Author(str(user["id"]), str(user.get("name") or user["id"]))
        return Press(conversation, str(body["container"]["message_ts"]), place, author)

    async def _done(self, body: Json, work: Awaitable[Response | None]) -> None:
        if response := await work:
            await answers.by_url(self._web, self._style, str(body["response_url"]), response)
