"""Handles the menus of a message, "Ask Nebula" and "Summarise thread": only the person who asks sees the answers, and
they work where the bot is no member."""

import asyncio
import logging
import time

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.components import forms, menus
from bots.slack.components.menus import ChosenMessage
from bots.slack.inbound import payloads
from bots.slack.inbound.collaborators import Collaborators
from bots.slack.inbound.payloads import Json, MenuChoice
from bots.slack.inbound.surroundings import said
from bots.slack.outbound.ephemeral_surface import ResponseAddress
from core.commands.responses import Response
from core.domain.errors import NebulaBotError
from core.domain.question import Question
from core.domain.surroundings import CHOSEN_CHARACTERS, Role, Said
from core.domain.turn_id import TurnId
from core.inbound.menus import summary

log = logging.getLogger(__name__)

NOTHING_CHOSEN = "There is nothing in this message that I can read."
NO_FORM = "Slack did not open the form. Please choose it from the menu again."
OLD_FORM = "Sorry, this form no longer works. Close it, and choose it from the menu again."
NO_QUESTION = "Write a question, such as: What does this mean?"


def _address(url: str, thread: str, message: Said) -> ResponseAddress:
    """Return where the answer goes. Slack does not say whether an app's own message counts as what the address of its
    menu replaces, and everybody sees that one."""
    return ResponseAddress(url, thread, replaces=message.role is not Role.US)


def _refusal(outcome: "asyncio.Task[str | None]") -> str:
    """Return what a finished attempt to ask says, "" if the question was accepted; a task that failed says nothing."""
    sentence = outcome.result()
    return NebulaBotError.notice if sentence is None else sentence


class SlackMenus:
    """Bolt listeners. Each acknowledges at once and leaves the rest to a task; while the process shuts down, none."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._with = collaborators

    async def ask(self, ack: AsyncAck, body: Json) -> None:
        """Handle "Ask Nebula": open the form."""
        await self._with.acknowledged(ack, body, self._open)

    async def summarise(self, ack: AsyncAck, body: Json) -> None:
        """Handle "Summarise thread": ask at once."""
        await self._with.acknowledged(ack, body, self._summarise)

    async def submitted(self, ack: AsyncAck, body: Json) -> None:
        """Handle the form: it shows what is wrong, or closes once the question is stored."""
        if self._with.tasks.refuses(ack):
            return
        try:
            sent = payloads.submission(body)
            message = ChosenMessage.read(sent.metadata, self._with.me.team, sent.person.id, self._with.form_key)
            place = payloads.place(message.channel, self._with.me, message.thread)
            name = payloads.identifier(sent.id)
        except ValueError as error:
            log.info("Slack: a form can't be read: %s", error)
            await ack(response_action="errors", errors=forms.errors(OLD_FORM))
            return
        text = forms.entered(sent.view).strip()
        if not text:
            await ack(response_action="errors", errors=forms.errors(NO_QUESTION))
            return
        address = _address(message.url, message.thread, message.said)

        async def accept() -> str:
            author = await self._with.author(sent.person)
            turn = TurnId(f"slack/{self._with.me.team}/{place.channel}/form/{name}")
            question = Question(turn, place, author, text, at=time.time(), about=(message.said,))
            return await self._with.ask_privately(question, address, since=message.opened)

        outcome = self._with.tasks.start(accept())
        done, _ = await asyncio.wait({outcome}, timeout=self._with.patience.form)
        if done and (refusal := _refusal(outcome)):
            await ack(response_action="errors", errors=forms.errors(refusal))
            return
        await ack()
        await asyncio.wait({outcome})
        if refusal := _refusal(outcome):
            await self._tell(message.url, refusal, message.thread)

    async def _open(self, body: Json) -> None:
        found = await self._chosen(body)
        if found is None:
            return
        choice, message = found
        form = ChosenMessage(choice.place.channel, choice.shown_in, choice.response_url, round(time.time()), message)
        view = menus.modal(form, self._with.me.team, choice.person.id, self._with.form_key)
        if not await self._with.web.open_form(choice.trigger, view):
            await self._tell(choice.response_url, NO_FORM, choice.shown_in)

    async def _summarise(self, body: Json) -> None:
        found = await self._chosen(body)
        if found is None:
            return
        choice, message = found
        place = payloads.place(choice.place.channel, self._with.me, choice.thread or choice.ts)
        turn = TurnId(f"slack/{self._with.me.team}/{place.channel}/menu/{choice.person.id}/{choice.at}")
        author = await self._with.author(choice.person)
        question = summary(Question(turn, place, author, "", at=time.time(), about=(message,)))
        address = _address(choice.response_url, choice.shown_in, message)
        if refusal := await self._with.ask_privately(question, address):
            await self._tell(choice.response_url, refusal, choice.shown_in)

    async def _chosen(self, body: Json) -> tuple[MenuChoice, Said] | None:
        """Read a choice and the message in words; None if there is nothing to read, which the person is told."""
        try:
            choice = payloads.menu_choice(body, self._with.me)
        except ValueError as error:
            log.warning("Slack: a choice from a menu has a form that can't be read: %s", error)
            return None
        (message,) = await said(
            [{**choice.message, "ts": choice.ts}],
            CHOSEN_CHARACTERS,
            self._with.incoming_text,
            self._with.me,
            previews=False,
        )
        if message.text.strip():
            return choice, menus.shortened(message, CHOSEN_CHARACTERS)
        await self._tell(choice.response_url, NOTHING_CHOSEN, choice.shown_in)
        return None

    async def _tell(self, url: str, sentence: str, thread: str) -> None:
        await self._with.tell(url, Response(sentence), thread)
