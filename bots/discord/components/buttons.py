"""Buttons under replies, and what comes back when somebody presses one. Their ids outlive restarts."""

from collections.abc import Iterable, Mapping
from typing import Any

from bots.discord.api.names import NAME
from bots.discord.api.rest import Button
from core.domain.conversation import Conversation
from core.domain.page import LABELS, Action

_PREFIX = "reply:"
# Length of an id (docs.discord.com, Component Reference); three snowflakes and a word are shorter.
LONGEST_ID = 100


def buttons_of(actions: Iterable[Action], conversation: Conversation) -> tuple[Button, ...]:
    """The buttons for these actions on a reply in this conversation."""
    name = conversation.name.removeprefix(f"{NAME}/")
    found = (Button(f"{_PREFIX}{action}:{name}", LABELS[action]) for action in actions)
    return tuple(button for button in found if len(button.id) <= LONGEST_ID)


def pressed(data: Mapping[str, Any]) -> tuple[Action, Conversation] | None:
    """The action and the conversation of a pressed button; None if the button belongs to something else."""
    prefix, _, rest = str(data.get("custom_id", "")).partition(":")
    action, _, name = rest.partition(":")
    if f"{prefix}:" != _PREFIX or action not in set(Action):
        return None
    return Action(action), Conversation.named(f"{NAME}/{name}")
