"""The thumbs under answers, and the button and the form that ask for a reason. Their ids outlive restarts."""

from collections.abc import Mapping
from typing import Any

from discord import ui

from bots.discord.api.names import NAME
from bots.discord.api.rest import Button, Component
from bots.discord.components.buttons import LONGEST_ID, buttons_of, choices_of
from bots.discord.components.forms import entered, form
from core.domain.conversation import LONGEST_REASON, Conversation
from core.domain.page import SAY_WHY, WHY, WHY_READ, Page

_VOTE, _WHY = "vote:", "why:"
_VOTES = {"good": "👍", "bad": "👎"}


def thumbs(conversation: Conversation) -> tuple[Button, ...]:
    """The buttons with which people rate an answer in this conversation."""
    name = conversation.name.removeprefix(f"{NAME}/")
    found = (Button(f"{_VOTE}{vote}:{name}", label) for vote, label in _VOTES.items())
    return tuple(button for button in found if len(button.id) <= LONGEST_ID)


def buttons_below(page: Page, conversation: Conversation) -> tuple[Component, ...]:
    """All that people can press under a page of a reply in this conversation: at most seven buttons, in two
    rows with room for five each, the row of its versions, and the menu."""
    first = buttons_of(page.buttons, conversation) + (thumbs(conversation) if page.thumbs else ())
    return (*first, *choices_of(page.choices, conversation))


def voted(data: Mapping[str, Any]) -> tuple[bool, Conversation] | None:
    """Whether the vote of a pressed button is good, and the conversation; None if the button is no thumb."""
    vote, _, name = _after(_VOTE, data).partition(":")
    return (vote == "good", Conversation.named(f"{NAME}/{name}")) if vote in _VOTES and "/" in name else None


def asks_why(message: str, conversation: Conversation) -> Button:
    """The button that opens the form. It names no thread: with one, its id might be too long."""
    channel = Conversation(conversation.channel_scope, conversation.owner)
    return Button(f"{_WHY}{message}:{channel.name.removeprefix(f'{NAME}/')}", SAY_WHY)


def answer_of(data: Mapping[str, Any]) -> tuple[str, Conversation] | None:
    """The answer that a pressed button or a submitted form asks about, and its channel; None if it is none of these."""
    message, _, name = _after(_WHY, data).partition(":")
    return (message, Conversation.named(f"{NAME}/{name}")) if message and "/" in name else None


def why(data: Mapping[str, Any]) -> ui.Modal:
    """The form that a pressed button opens."""
    return form(str(data["custom_id"]), WHY, WHY_READ, max_length=LONGEST_REASON)


def reason(data: Mapping[str, Any]) -> str:
    """The text of a submitted form."""
    return entered(data.get("components"))


def _after(prefix: str, data: Mapping[str, Any]) -> str:
    name = str(data.get("custom_id", ""))
    return name.removeprefix(prefix) if name.startswith(prefix) else ""
