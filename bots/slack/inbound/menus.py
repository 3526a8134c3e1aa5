"""Handles the menus of a message, "Ask Nebula" and "Summarise thread", and private questions: only the person who asks
sees the answers, and they work where the bot is no member."""

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial

from slack_bolt.context.ack.async_ack import AsyncAck

from bots.slack.api.client import Web
from bots.slack.api.people import People
from bots.slack.api.workspace import Capabilities, Identity, Patience
from bots.slack.components import forms, menus
from bots.slack.components.menus import ChosenMessage
from bots.slack.inbound import payloads
from bots.slack.inbound.payloads import Json, MenuChoice
from bots.slack.inbound.surroundings import said
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import responses
from bots.slack.outbound.ephemeral_surface import ResponseAddress
from core.commands.responses import Response
from core.domain.conversation import Author
from core.domain.errors import NebulaBotError, StoreError
from core.domain.question import Question
from core.domain.surroundings import CHOSEN_CHARACTERS, Role, Said
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import Dispatcher
from core.inbound.menus import summary

log = logging.getLogger(__name__)

NOTHING_CHOSEN = "There is nothing in this message that I can read."
NO_FORM = "Slack did not open the form. Please choose it from the menu again."
OLD_FORM = "Sorry, this form no longer works. Close it, and choose it from the menu again."
NO_QUESTION = "Write a question, such as: What does this mean?"


async def ask(dispatcher: Dispatcher, question: Question) -> str:
    """Ask a question; return the sentence that says why that is impossible, "" if it was accepted."""
    try:
        await dispatcher.ask(question)
    except StoreError as error:
        log.error("Slack: could not store a question: %s", error)
        return error.notice
    return ""


async def ask_privately(
    dispatcher: Dispatcher, people: People, question: Question, address: ResponseAddress, since: float = 0.0
) -> str:
    """Do so for an answer that only the person who asks sees; in direct messages with the bot that is any answer.
    `since`: when the address was given to us (epoch seconds), 0 for now."""
    place = question.place
    if place.direct and await people.absent(place.channel) is False:
        return await ask(dispatcher, question)
    # A direct message of two other people is a place like any other, and unknown is not yes.
    place = replace(place, direct=False)
    return await ask(dispatcher, replace(question, place=place, private=True, interaction=address.token(since)))


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

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Identity,
        web: Web,
        capabilities: Capabilities,
        people: People,
        incoming_text: IncomingText,
        tasks: TaskSupervisor,
        patience: Patience,
        form_key: bytes,
    ) -> None:
        """`form_key`: as in Commands."""
        self._dispatcher, self._me, self._web, self._capabilities = dispatcher, me, web, capabilities
        self._people, self._incoming_text, self._tasks = people, incoming_text, tasks
        self._patience, self._form_key = patience, form_key

    async def ask(self, ack: AsyncAck, body: Json) -> None:
        """Handle "Ask Nebula": open the form."""
        await self._tasks.acknowledged(ack, partial(self._open, body))

    async def summarise(self, ack: AsyncAck, body: Json) -> None:
        """Handle "Summarise thread": ask at once."""
        await self._tasks.acknowledged(ack, partial(self._summarise, body))

    async def submitted(self, ack: AsyncAck, body: Json) -> None:
        """Handle the form: it shows what is wrong, or closes once the question is stored."""
        if self._tasks.refuses(ack):
            return
        try:
            sent = payloads.submission(body)
            message = ChosenMessage.read(sent.metadata, self._me.team, sent.person.id, self._form_key)
            place = payloads.place(message.channel, self._me, message.thread)
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
            author = await self._author(sent.person)
            turn = TurnId(f"slack/{self._me.team}/{place.channel}/form/{name}")
            question = Question(turn, place, author, text, at=time.time(), about=(message.said,))
            return await ask_privately(self._dispatcher, self._people, question, address, since=message.opened)

        outcome = self._tasks.start(accept())
        done, _ = await asyncio.wait({outcome}, timeout=self._patience.form)
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
        view = menus.modal(form, self._me.team, choice.person.id, self._form_key)
        if not await self._web.open_form(choice.trigger, view):
            await self._tell(choice.response_url, NO_FORM, choice.shown_in)

    async def _summarise(self, body: Json) -> None:
        found = await self._chosen(body)
        if found is None:
            return
        choice, message = found
        place = payloads.place(choice.place.channel, self._me, choice.thread or choice.ts)
        turn = TurnId(f"slack/{self._me.team}/{place.channel}/menu/{choice.person.id}/{choice.at}")
        author = await self._author(choice.person)
        question = summary(Question(turn, place, author, "", at=time.time(), about=(message,)))
        address = _address(choice.response_url, choice.shown_in, message)
        if refusal := await ask_privately(self._dispatcher, self._people, question, address):
            await self._tell(choice.response_url, refusal, choice.shown_in)

    async def _chosen(self, body: Json) -> tuple[MenuChoice, Said] | None:
        """Read a choice and the message in words; None if there is nothing to read, which the person is told."""
        try:
            choice = payloads.menu_choice(body, self._me)
        except ValueError as error:
            log.warning("Slack: a choice from a menu has a form that can't be read: %s", error)
            return None
        (message,) = await said([{**choice.message, "ts": choice.ts}], CHOSEN_CHARACTERS, self._incoming_text, self._me)
        if message.text.strip():
            return choice, menus.shortened(message, CHOSEN_CHARACTERS)
        await self._tell(choice.response_url, NOTHING_CHOSEN, choice.shown_in)
        return None

    async def _tell(self, url: str, sentence: str, thread: str) -> None:
        await responses.by_url(self._web, self._capabilities, url, Response(sentence), thread)

    async def _author(self, person: payloads.Person) -> Author:
        return await self._people.author(person.id, person.name, person.teams)
