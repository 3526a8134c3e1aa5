"""Buttons under replies as Block Kit, and what a press means. Their values must outlive restarts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.conversation import Conversation
from core.domain.page import LABELS, MENU, WITH, Action, Choices, Page

Json = dict[str, Any]

_PREFIX = "nebula_reply_"
PRESSED = re.compile(f"^{_PREFIX}.*$")
RATED = "nebula_rating"
_GOOD, _BAD = "good", "bad"
_MENU = f"{_PREFIX}menu "  # before the conversation
_MODEL = "with "  # before a model, as the value of an option
_LABEL = 75  # characters of a button or an option (docs.slack.dev: block-elements/button-element)


@dataclass(frozen=True, slots=True)
class SlackPress:
    """What somebody pressed or chose: the action and the conversation; our id of the message, "" if it has one of
    Slack's; and the model, "" where they chose none."""

    action: Action
    conversation: Conversation
    message: str = ""
    model: str = ""


def row(page: Page, conversation: Conversation, message: str = "") -> list[Json]:
    """Return the row of buttons under a page in this conversation, with its menu; no block if there is nothing to
    press. `message`: our id of the message, where it has none of Slack's."""
    where, choices = f"{conversation} {message}".rstrip(), page.choices
    elements = [_button(action, label, where) for action, label in page.buttons]
    if choices.versions > 1:
        # Slack has no button that nobody can press: the number stands on the one that goes on.
        number = f"{choices.version}/{choices.versions} {LABELS[Action.NEXT]}"
        elements.append(_button(Action.PREVIOUS, LABELS[Action.PREVIOUS], where, "Previous version"))
        elements.append(_button(Action.NEXT, number, where, f"Version {number[:-2]}, next version"))
    if choices.models:
        elements.append(_menu(choices, where))
    elif choices.undo:
        elements.append(_button(Action.UNDO, LABELS[Action.UNDO], where))
    return [{"type": "actions", "elements": elements}] if elements else []


def _button(action: Action, label: str, where: str, spoken: str = "") -> Json:
    found = {"type": "button", "text": _plain(label[:_LABEL]), "action_id": f"{_PREFIX}{action}", "value": where}
    return found | ({"accessibility_label": spoken} if spoken else {})


def _menu(choices: Choices, where: str) -> Json:
    """The menu of an answer (docs.slack.dev: block-elements/select-menu-element). Its name says where it is: an option
    has no room for that. The block has no id of ours, so that Slack shows no old choice in a message that changed."""
    options = [(f"{_MODEL}{each}", WITH.format(each)) for each in choices.models]
    options += [(str(Action.UNDO), LABELS[Action.UNDO])] if choices.undo else []
    return {
        "type": "static_select",
        "action_id": f"{_MENU}{where}",
        "placeholder": _plain(MENU),
        "options": [{"text": _plain(label[:_LABEL]), "value": value} for value, label in options],
    }


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def thumbs(conversation: Conversation) -> Json:
    """Return the thumbs with which people rate an answer (docs.slack.dev: blocks/context-actions-block)."""

    def button(label: str, vote: str) -> Json:
        text = {"type": "plain_text", "text": label}
        return {"text": text, "value": f"{vote} {conversation}", "accessibility_label": label}

    feedback = {
        "type": "feedback_buttons",
        "action_id": RATED,
        "positive_button": button("Good answer", _GOOD),
        "negative_button": button("Bad answer", _BAD),
    }
    return {"type": "context_actions", "elements": [feedback]}


def pressed(action: Mapping[str, Any]) -> SlackPress:
    """Return what somebody pressed, or chose from the menu. Raises ValueError if it is not ours."""
    name, model = str(action.get("action_id", "")), ""
    if name.startswith(_MENU):
        chosen = action.get("selected_option")
        value, where = str(chosen.get("value", "") if isinstance(chosen, Mapping) else ""), name.removeprefix(_MENU)
        found = Action.AGAIN if value.startswith(_MODEL) else Action(value)
        model = value.removeprefix(_MODEL) if found is Action.AGAIN else ""
    else:
        found, where = Action(name.removeprefix(_PREFIX)), str(action.get("value", ""))
    conversation, _, message = where.partition(" ")
    return SlackPress(found, Conversation.named(conversation), message, model)


def rated(action: Mapping[str, Any]) -> tuple[bool, Conversation]:
    """Return whether the vote is positive, and the conversation. Raises ValueError if the button is not ours."""
    vote, _, name = str(action.get("value", "")).partition(" ")
    if vote not in (_GOOD, _BAD):
        raise ValueError("not our vote")
    return vote == _GOOD, Conversation.named(name)
