"""Handles commands: `/nebula …`, the buttons that open forms, and the modals that people submit."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.components import forms
from bots.slack.inbound import payloads
from bots.slack.inbound.collaborators import Collaborators
from bots.slack.inbound.payloads import Json
from bots.slack.inbound.presses import UNKNOWN
from bots.slack.outbound import responses
from bots.slack.outbound.ephemeral_surface import ResponseAddress
from bots.slack.outbound.surface import SlackSurface
from core.access.admission import EMPTY
from core.commands.asking import AskedByCommand, asked
from core.commands.registry import Invocation, parse
from core.commands.responses import Form, Response, RightsOf
from core.domain.conversation import Address, Place
from core.domain.errors import NebulaBotError, UserError
from core.domain.options import Placement
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.menus import ALONE, catch_up, privately

log = logging.getLogger(__name__)

INVITE = "I'm not in this conversation, so I can't answer here. Add me to the channel with `/invite` and ask again."
OLD_FORM = "Sorry, this form no longer works. Close it, and open it again."


class Commands:
    """Bolt listeners. Each acknowledges at once and leaves the rest to a task; while the process shuts down, none."""

    def __init__(self, collaborators: Collaborators, surface: Callable[[Address], SlackSurface]) -> None:
        self._with, self._surface = collaborators, surface

    async def slash(self, ack: AsyncAck, body: Json) -> None:
        """Handle a slash command, whatever its name in the app."""
        await self._with.acknowledged(ack, body, self._run_command)

    async def asked_for_form(self, ack: AsyncAck, body: Json) -> None:
        """Handle a press of the button that opens a form."""
        await self._with.acknowledged(ack, body, self._reopen_form)

    async def submitted(self, ack: AsyncAck, body: Json) -> None:
        """Handle a submitted form: the modal shows what is wrong with it, if that is known in time."""
        if self._with.tasks.refuses(ack):
            return
        try:
            submission = payloads.submission(body)
            context = forms.FormContext.read(submission.metadata, self._with.me.team, self._with.form_key)
        except ValueError as error:
            log.info("Slack: a form can't be read: %s", error)
            await ack(response_action="errors", errors=forms.errors(OLD_FORM))
            return
        invocation = context.invocation(await self._with.author(submission.person), forms.entered(submission.view))
        outcome = self._with.tasks.start(self._with.dispatcher.commanded(invocation, self._rights(invocation)))
        done, _ = await asyncio.wait({outcome}, timeout=self._with.patience.form)
        if done:
            response = outcome.result() or Response(NebulaBotError.notice)
            if not response.public:  # changes are announced publicly; a private response is a refusal
                await ack(response_action="errors", errors=forms.errors(response.text))
                return
        await ack()
        self._with.tasks.start(self._show_outcome(outcome, context))

    @staticmethod
    async def ignored(ack: AsyncAck) -> None:
        """Acknowledge anything else; otherwise people see a warning, and Slack sends it again."""
        await ack()

    async def _run_command(self, body: Json) -> None:
        try:
            command = payloads.slash_command(body, self._with.me)
        except ValueError as error:
            log.warning("Slack: a command has a form that can't be read: %s", error)
            return
        place, url = command.place, command.response_url
        author = await self._with.author(command.person)
        text = await self._with.incoming_text.read(command.text)
        try:
            invocation = parse(text.strip() or "help", place, author)
            wanted = asked(invocation)
        except UserError as error:
            await self._with.tell(url, Response(error.notice))
            return
        if wanted or invocation.command.name == "catchup":
            refusal = await self._ask(invocation, wanted, command.trigger, url)
            if refusal:
                await self._with.tell(url, Response(refusal))
            return
        response = await self._with.dispatcher.commanded(invocation, self._rights(invocation))
        if response is None:
            return
        context = forms.FormContext.of(invocation, response.form, response_url=url)
        if response.form and await self._open_modal(command.trigger, response.form, context):
            return
        await self._with.tell(url, await self._with.share_file(response, place, author.id))

    async def _ask(self, invocation: Invocation, wanted: AskedByCommand | None, trigger: str, url: str) -> str:
        """Ask a question, or for what the person missed; return the sentence that says why that is impossible, "" if it
        was accepted."""
        place = invocation.place
        turn = TurnId(f"slack/{self._with.me.team}/{place.channel}/command/{trigger}")
        question = Question(turn, place, invocation.author, "")
        address = ResponseAddress(url)
        if wanted is None:
            if place.direct and await self._with.people.absent(place.channel) is False:
                return ALONE
            return await self._with.ask_privately(catch_up(question), address)
        prompt, private = privately(wanted.text)
        if not prompt:
            return EMPTY
        question = replace(wanted.of(question), text=prompt)
        if private:
            return await self._with.ask_privately(question, address)
        if await self._with.people.absent(place.channel):
            return INVITE
        return await self._with.ask(question)

    async def _reopen_form(self, body: Json) -> None:
        thread = ""
        try:
            click = payloads.click(body, self._with.me)
            thread = click.thread
            context = forms.FormContext.read(click.action.get("value"), self._with.me.team, self._with.form_key)
        except ValueError as error:
            log.info("Slack: a press can't be read: %s", error)
            await self._with.tell(payloads.string(body.get("response_url")), Response(UNKNOWN), thread)
            return
        invocation = context.invocation(await self._with.author(click.person))
        response = await self._with.dispatcher.commanded(invocation, self._rights(invocation))
        if response is None:
            return
        if not response.form or not await self._open_modal(click.trigger, response.form, context):
            await self._with.tell(click.response_url, response, thread)

    async def _open_modal(self, trigger: str, form: Form, context: forms.FormContext) -> bool:
        return await self._with.web.open_form(trigger, forms.modal(form, context, self._with.form_key))

    async def _show_outcome(self, outcome: "asyncio.Task[Response | None]", context: forms.FormContext) -> None:
        """Show the outcome of a form once it is known."""
        response = await outcome or Response(NebulaBotError.notice)
        if context.response_url and await self._with.tell(context.response_url, response):
            return
        place = context.place
        there = Place("slack", place.workspace, place.channel, context.thread or place.thread, place.direct)
        await responses.by_message(self._surface(Address(there, Placement.CHANNEL)), response)

    def _rights(self, invocation: Invocation) -> RightsOf:
        return partial(self._with.people.rights, invocation.author.id, invocation.place)
