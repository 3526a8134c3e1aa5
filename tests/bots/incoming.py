"""All that reads what people send, as functions of a text: for the test of growth, and for `make bench`."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import discord

from bots.discord.components.commands import invocation_of, typed
from bots.discord.components.forms import submitted
from bots.discord.inbound.messages import asks, question_of, remark_of
from bots.slack.api.people import People
from bots.slack.api.workspace import Identity
from bots.slack.inbound.events import RawQuestion, read
from bots.slack.inbound.text import IncomingText
from core.access.admission import Admission
from core.commands.registry import parse
from core.domain.conversation import Author, Place
from core.domain.errors import UserError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import Dispatcher
from core.inbound.listening import rule_of_message
from core.settings.parameters import PARAMETERS, checked

ANN, ROOM = Author("U1", "Ann"), Place("slack", "T1", "C1")
ME = Identity("T1", "U0", "B0")


def command(text: str) -> None:
    """A command, as every platform reads it."""
    Dispatcher.is_command(text)
    with suppress(UserError):
        parse(text.strip().removeprefix("!"), ROOM, ANN)


def setting(text: str) -> None:
    """A value for each setting."""
    for parameter in PARAMETERS:
        with suppress(UserError):
            checked(parameter, text)
            parse(f"set {parameter.name} {text}", ROOM, ANN)


def question(text: str) -> None:
    """A question, before it is stored."""
    Admission().judged(Question(TurnId("test/1"), ROOM, ANN, text))


class _Nobody:
    """Slack's directory, empty."""

    async def names(self, users: list[str], channels: list[str]) -> dict[str, str]:
        return {}


def slack_text(text: str) -> None:
    """Slack's markup, of a message or a slash command."""
    reading = IncomingText(cast(People, _Nobody()), "U0").read(text)
    with suppress(StopIteration):  # it never waits
        reading.send(None)


def slack_event(text: str) -> None:
    """A message and a change of one."""
    message = {"user": "U1", "ts": "1.1", "text": text}
    found = read({"type": "message", "channel": "C1", **message}, ME)
    if isinstance(found, RawQuestion) and found.said:
        rule_of_message(found.said)
    changed = {"message": message, "previous_message": {**message, "text": text[1:]}}
    read({"type": "message", "channel": "C1", "subtype": "message_changed", **changed}, ME)


def discord_message(text: str) -> None:
    """A Discord message that mentions the bot."""
    person: Any = {"id": 5, "name": "ann", "display_name": "Ann", "bot": False, "roles": []}
    me = SimpleNamespace(**{**person, "id": 1})
    message: Any = SimpleNamespace(
        id=7,
        author=SimpleNamespace(**person),
        webhook_id=None,
        type=discord.MessageType.default,
        guild=SimpleNamespace(self_role=None, roles=[], channels=[], threads=[], get_member=lambda _: None),
        channel=SimpleNamespace(id=3),
        mentions=[me],
        role_mentions=[],
        content=text,
        message_snapshots=[],
        reference=None,
        embeds=[],
        attachments=[],
        created_at=discord.utils.utcnow(),
    )
    asks(message, cast(discord.ClientUser, me))
    question_of(message, ROOM, ANN, cast(discord.ClientUser, me))
    rule_of_message(remark_of(message, cast(discord.ClientUser, me)))


def discord_command(text: str) -> None:
    """A slash command, a suggestion and a form."""
    option = {"type": 3, "name": "name", "value": text, "focused": True}
    data = {"name": "model", "options": [{"type": 1, "name": "set", "options": [option]}]}
    invocation_of(data, ROOM, ANN)
    typed(data)
    submitted({"custom_id": "form:prompt set", "components": [{"components": [{"custom_id": "text", "value": text}]}]})


READERS = (command, setting, question, slack_text, slack_event, discord_message, discord_command)
