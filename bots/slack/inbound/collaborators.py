"""What the handlers of commands, presses and menus share: whom they ask, and how they answer a person."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.client import Web
from bots.slack.api.people import People
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import Capabilities, Identity, Patience
from bots.slack.components import blocks
from bots.slack.inbound.payloads import Json, Person, string
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import responses
from bots.slack.outbound.ephemeral_surface import ResponseAddress
from bots.slack.outbound.private_file import FileSharer
from core.commands.responses import Response
from core.domain.conversation import Author
from core.domain.errors import NebulaBotError, StoreError
from core.domain.question import Question
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Those of one workspace. `form_key`: proves that a form, or the button that opens one, is ours."""

    dispatcher: Dispatcher
    me: Identity
    web: Web
    capabilities: Capabilities
    people: People
    incoming_text: IncomingText
    tasks: TaskSupervisor
    share_file: FileSharer
    patience: Patience
    form_key: bytes

    async def acknowledged(self, ack: AsyncAck, body: Json, work: Callable[[Json], Awaitable[None]]) -> None:
        """Acknowledge a command, press or choice at once, and do what it asks for in a task; whoever waits for that
        reads if it fails."""
        if not self.tasks.refuses(ack):
            await ack()
            self.tasks.start(self._done(body, work))

    async def _done(self, body: Json, work: Callable[[Json], Awaitable[None]]) -> None:
        try:
            await work(body)
        except Exception:
            log.exception("Slack: could not serve a request")
            await self.tell(string(body.get("response_url")), Response(NebulaBotError.notice))

    async def author(self, person: Person) -> Author:
        """Return the person behind a payload, with the name that others see."""
        return await self.people.author(person.id, person.name, person.teams)

    async def tell(self, url: str, response: Response, thread: str = "", below: tuple[blocks.Json, ...] = ()) -> bool:
        """Respond by a response_url, see `responses.by_url`."""
        return await responses.by_url(self.web, self.capabilities, url, response, thread, below)

    async def ask(self, question: Question) -> str:
        """Ask a question; return the sentence that says why that is impossible, "" if it was accepted."""
        try:
            await self.dispatcher.ask(question)
        except StoreError as error:
            log.error("Slack: could not store a question: %s", error)
            return error.notice
        return ""

    async def ask_privately(self, question: Question, address: ResponseAddress, since: float = 0.0) -> str:
        """Do so for an answer that only the person who asks sees; in direct messages with the bot that is any answer.
        `since`: when the address was given to us (epoch seconds), 0 for now."""
        place = question.place
        if place.direct and await self.people.absent(place.channel) is False:
            return await self.ask(question)
        # A direct message of two other people is a place like any other, and unknown is not yes.
        place = replace(place, direct=False)
        return await self.ask(replace(question, place=place, private=True, interaction=address.token(since)))
