"""Buttons and the menu under replies, and what comes back when somebody uses one. Their ids outlive restarts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bots.discord.api.names import NAME
from bots.discord.api.rest import Button, Component, Menu
from core.domain.conversation import Conversation
from core.domain.page import LABELS, MENU, WITH, Action, Choices

_PREFIX, _MENU, _NUMBER = "reply:", "menu:", "version:"
# Length of an id (docs.discord.com, Component Reference); three snowflakes and a word are shorter. It is that of an
# option's label and value, too.
LONGEST_ID = 100
_LABEL = 80  # characters of a button
_MODEL = "with:"  # before a model, as the value of an option


@dataclass(frozen=True, slots=True)
class DiscordPress:
    """What somebody pressed or chose: the action, the conversation, and the model, "" where they chose none."""

    action: Action
    conversation: Conversation
    model: str = ""


def buttons_of(actions: Iterable[tuple[Action, str]], conversation: Conversation, row: int = 0) -> tuple[Button, ...]:
    """The buttons for these actions, with the words on them, on a reply in this conversation."""
    name = _named(conversation)
    found = (Button(f"{_PREFIX}{action}:{name}", label[:_LABEL], row) for action, label in actions)
    return tuple(button for button in found if len(button.id) <= LONGEST_ID)


def choices_of(choices: Choices, conversation: Conversation) -> tuple[Component, ...]:
    """The row that turns to other versions of an answer, and its menu; without models, undo is a button."""
    found: list[Component] = []
    if choices.versions > 1:
        number = Button(f"{_NUMBER}{_named(conversation)}", f"{choices.version}/{choices.versions}", 1, text=True)
        turns = ((each, LABELS[each]) for each in (Action.PREVIOUS, Action.NEXT))
        found += buttons_of(turns, conversation, 1)
        found.insert(1, number)
    undo = ((Action.UNDO, LABELS[Action.UNDO]),) if choices.undo else ()
    if not choices.models:
        return (*buttons_of(undo, conversation), *found)
    models = ((f"{_MODEL}{each}", WITH.format(each)[:LONGEST_ID]) for each in choices.models)
    menu = Menu(_MENU + _named(conversation), MENU, (*models, *undo))
    return (*found, menu) if len(menu.id) <= LONGEST_ID else tuple(found)


def pressed(data: Mapping[str, Any]) -> DiscordPress | None:
    """What somebody pressed or chose under a reply; None if that belongs to something else."""
    prefix, _, rest = str(data.get("custom_id", "")).partition(":")
    if f"{prefix}:" == _MENU:
        return _chosen(data.get("values"), Conversation.named(f"{NAME}/{rest}"))
    action, _, name = rest.partition(":")
    if f"{prefix}:" != _PREFIX or action not in set(Action):
        return None
    return DiscordPress(Action(action), Conversation.named(f"{NAME}/{name}"))


def _chosen(values: Any, conversation: Conversation) -> DiscordPress | None:
    value = str(values[0]) if isinstance(values, list) and values else ""
    if value.startswith(_MODEL):
        return DiscordPress(Action.AGAIN, conversation, value.removeprefix(_MODEL))
    return DiscordPress(Action(value), conversation) if value in set(Action) else None


def _named(conversation: Conversation) -> str:
    return conversation.name.removeprefix(f"{NAME}/")
