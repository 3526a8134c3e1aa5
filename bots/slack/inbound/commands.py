"""Commands: `/nebula …`, the presses of our buttons and the modals that people submit."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web
from bots.slack.api.identity import Identity
from bots.slack.api.patience import Patience
from bots.slack.api.people import People
from bots.slack.components import forms
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import responses as answers
from bots.slack.outbound.private_file import Hand
from bots.slack.outbound.surface import SlackSurface
from core.access.admission import EMPTY
from core.commands.registry import Invocation, parse
from core.commands.responses import Form, Response
from core.domain.conversation import Address, Author, Place, Question
from core.domain.errors import NebulaBotError, PlatformError, StoreError, UserError
from core.domain.options import Placement
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

INVITE = "I am not in this conversation, so I can't answer here. Add me to the channel (`/invite`) and ask again."


class Commands:
    """Bolt listeners. Each acknowledges at once and leaves the rest to `work`."""

    def __init__(
        self,
        front: Dispatcher,
        me: Identity,
        web: Web,
        style: Capabilities,
        people: People,
        words: IncomingText,
        work: TaskSupervisor,
        surface: Callable[[Address], SlackSurface],
        hand: Hand,
        patience: Patience,
    ) -> None:
        self._front = front
        self._me = me
        self._web = web
        self._style = style
        self._people = people
        self._words = words
        self._work = work
        self._surface = surface
        self._hand = hand
        self._patience = patience

    async def slash(self, ack: AsyncAck, body: Json) -> None:
        """A slash command, by whatever name the app has it."""
        await ack()
        self._work.start(self._given(body))

    async def asked_for_form(self, ack: AsyncAck, body: Json) -> None:
        """A press of the button that opens a form."""
        await ack()
        self._work.start(self._form(body))

    async def submitted(self, ack: AsyncAck, body: Json) -> None:
        """A filled-in form: what is wrong with it is shown in the modal, if that is known in time."""
        occasion = forms.Occasion.read(body["view"]["private_metadata"])
        author = await self._author(body["user"])
        invocation = occasion.invocation(author, forms.entered(body["view"]))
        outcome = self._work.start(self._front.invoked(invocation, self._rights(invocation)))
        done, _ = await asyncio.wait({outcome}, timeout=self._patience.form)
        if done:
            response = outcome.result() or Response(NebulaBotError.notice)
            if not response.public:  # a change is told to all; what is told to one alone is a refusal
                await ack(response_action="errors", errors=forms.errors(response.text))
                return
        await ack()
        self._work.start(self._told(outcome, occasion))

    @staticmethod
    async def ignored(ack: AsyncAck) -> None:
        """Anything else: without an acknowledgement people see a warning, and Slack would come again."""
        await ack()

    async def _given(self, body: Json) -> None:
        channel, url = str(body["channel_id"]), str(body["response_url"])
        place = Place("slack", self._me.team, channel, direct=channel.startswith("D"))
        author = await self._author(
            {"id": body["user_id"], "name": body.get("user_name"), "team_id": body.get("team_id")}
        )
        text = await self._words.read(str(body.get("text") or ""))
        try:
            invocation = parse(text.strip() or "help", place, author)
        except UserError as error:
            await self._reply(url, Response(error.notice))
            return
        if invocation.command.name == "ask":
            refusal = await self._ask(invocation, str(body["trigger_id"]))
            if refusal:
                await self._reply(url, Response(refusal))
            return
        response = await self._front.invoked(invocation, self._rights(invocation))
        if response.form and await self._open(body, response.form, forms.Occasion.of(invocation, response_url=url)):
            return
        await self._reply(url, await self._hand(response, place, author.id))

    async def _ask(self, invocation: Invocation, trigger: str) -> str:
        """Put a question; returns the sentence that says why it can't be put, "" if it was."""
        place, prompt = invocation.place, invocation.argument("prompt")
        if not prompt:
            return EMPTY
        if await self._people.absent(place.channel):
            return INVITE
        mention = Question(f"slack/{self._me.team}/{place.channel}/command/{trigger}", place, invocation.author, prompt)
        try:
            await self._front.ask(mention)
        except StoreError as error:
            log.error("a question could not be stored: %s", error)
            return error.notice
        return ""

    async def _form(self, body: Json) -> None:
        occasion = forms.Occasion.read(body["actions"][0]["value"])
        invocation = occasion.invocation(await self._author(body["user"]))
        response = await self._front.invoked(invocation, self._rights(invocation))
        if not response.form or not await self._open(body, response.form, occasion):
            thread = str(body.get("message", {}).get("thread_ts") or "")
            await self._reply(str(body["response_url"]), response, thread)

    async def _open(self, body: Json, form: Form, occasion: forms.Occasion) -> bool:
        """Open a modal; the trigger is good for three seconds (docs.slack.dev/reference/methods/views.open)."""
        view = forms.modal(form, occasion)
        try:
            await self._web.call(self._web.client.views_open(trigger_id=str(body["trigger_id"]), view=view))
        except PlatformError as error:
            log.warning("a form could not be opened: %s: %s", type(error).__name__, error)
            return False
        return True

    async def _told(self, outcome: "asyncio.Task[Response | None]", occasion: forms.Occasion) -> None:
        """Say what came of a form, once it is known."""
        response = await outcome or Response(NebulaBotError.notice)
        if occasion.response_url and await answers.by_url(self._web, self._style, occasion.response_url, response):
            return
        place = occasion.place
        there = Place("slack", place.workspace, place.channel, occasion.thread or place.thread, place.direct)
        await answers.by_message(self._surface(Address(there, Placement.CHANNEL)), response)

    async def _reply(self, url: str, response: Response, thread: str = "") -> None:
        await answers.by_url(self._web, self._style, url, response, thread)

    async def _author(self, user: Json) -> Author:
        """The person behind a payload, by the name that others see."""
        teams = (str(user.get("team_id") or ""),)
        return await self._people.author(self._me, str(user["id"]), str(user.get("name") or ""), teams)

    def _rights(self, invocation: Invocation) -> Any:
        return lambda: self._people.rights(invocation.author.id, invocation.place)
