"""Reads what people do with commands, buttons and forms; a payload of another form raises ValueError."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bots.slack.api.workspace import Identity
from core.domain.conversation import Place

Json = Mapping[str, Any]

_ID = re.compile("[A-Za-z0-9]{1,40}")
# A message's timestamp, which is its id within the channel.
TS = re.compile("[0-9]{1,12}[.][0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Person:
    """Who did something, as the payload says: id, name, and the workspaces that they belong to."""

    id: str
    name: str
    teams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command."""

    person: Person
    place: Place
    text: str
    trigger: str
    response_url: str


@dataclass(frozen=True, slots=True)
class Click:
    """A press of a button below a message. `thread`: of that message, "" if it is in none. `at`: the time that Slack
    gives to the press, which is the same at each delivery."""

    person: Person
    place: Place
    message: str
    thread: str
    action: Json
    at: str
    trigger: str
    response_url: str


@dataclass(frozen=True, slots=True)
class MenuChoice:
    """A choice from the menu of a message. `thread`: of the message, its own timestamp if others reply to it, "" if it
    is in none. `at`: the time that Slack gives to the choice."""

    person: Person
    place: Place
    message: Json
    ts: str
    thread: str
    at: str
    trigger: str
    response_url: str

    @property
    def shown_in(self) -> str:
        """The thread where the person reads what only they see: Slack shows it in a thread only if that exists, and its
        first message is chosen in the channel (docs.slack.dev/reference/methods/chat.postEphemeral)."""
        return self.thread if self.thread != self.ts else ""


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A submitted form. `id`: of the view, the same at each delivery."""

    person: Person
    view: Json
    metadata: str
    id: str


def slash_command(body: Json, me: Identity) -> SlashCommand:
    """Read a slash command."""
    person = Person(identifier(body.get("user_id")), string(body.get("user_name")), _teams(body.get("team_id")))
    trigger, url = string(body.get("trigger_id")), string(body.get("response_url"))
    return SlashCommand(person, place(body.get("channel_id"), me), string(body.get("text")), trigger, url)


def click(body: Json, me: Identity) -> Click:
    """Read a press of a button below a message."""
    actions = body.get("actions")
    if not isinstance(actions, list) or not actions or not isinstance(actions[0], dict):
        raise ValueError("no action")
    # Slack does not send a message along that only one person sees.
    thread = nested(body, "message").get("thread_ts") or nested(body, "container").get("thread_ts")
    return Click(
        _person(body),
        place(nested(body, "channel").get("id"), me),
        timestamp(nested(body, "container").get("message_ts")),
        timestamp(thread) if thread else "",
        actions[0],
        string(actions[0].get("action_ts")),
        string(body.get("trigger_id")),
        string(body.get("response_url")),
    )


def submission(body: Json) -> SubmittedForm:
    """Read a submitted form."""
    view = nested(body, "view")
    return SubmittedForm(_person(body), view, string(view.get("private_metadata")), string(view.get("id")))


def menu_choice(body: Json, me: Identity) -> MenuChoice:
    """Read a choice from the menu of a message (docs.slack.dev/reference/interaction-payloads:
    shortcuts-interaction-payload)."""
    message = nested(body, "message")
    thread = message.get("thread_ts")
    return MenuChoice(
        _person(body),
        place(nested(body, "channel").get("id"), me),
        message,
        timestamp(message.get("ts") or body.get("message_ts")),
        timestamp(thread) if thread else "",
        timestamp(body.get("action_ts")),
        string(body.get("trigger_id")),
        string(body.get("response_url")),
    )


def place(channel: Any, me: Identity, thread: str = "") -> Place:
    """Return a place in our workspace, from the id of a channel and the ts of a thread. Whether it is a direct message,
    Slack says with the first letter of the id."""
    found = identifier(channel)
    return Place("slack", me.team, found, timestamp(thread) if thread else "", found.startswith("D"))


def nested(body: Json, field: str) -> Json:
    """Return the object in this field, an empty one if there is none."""
    found = body.get(field)
    return found if isinstance(found, dict) else {}


def string(value: Any) -> str:
    """Return a string; "" for anything else."""
    return value if isinstance(value, str) else ""


def identifier(value: Any) -> str:
    """Return an id of Slack's, which has letters and digits only."""
    if not (isinstance(value, str) and _ID.fullmatch(value)):
        raise ValueError("no id")
    return value


def timestamp(value: Any) -> str:
    """Return a message's timestamp."""
    if not (isinstance(value, str) and TS.fullmatch(value)):
        raise ValueError("no timestamp")
    return value


def _person(body: Json) -> Person:
    user = nested(body, "user")
    return Person(identifier(user.get("id")), string(user.get("name")), _teams(user.get("team_id")))


def _teams(team: Any) -> tuple[str, ...]:
    return (team,) if isinstance(team, str) and team else ()
