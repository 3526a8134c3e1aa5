"""Buttons under replies as Block Kit, and what a press means. Their values must outlive restarts."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.domain.conversation import Conversation
from core.domain.page import LABELS, Action

Json = dict[str, Any]

_PREFIX = "nebula_reply_"
PRESSED = re.compile(f"^{_PREFIX}.*$")
RATED = "nebula_rating"
_GOOD, _BAD = "good", "bad"


def row(actions: Iterable[Action], conversation: Conversation, message: str = "") -> list[Json]:
    """Return the row of buttons for these actions in this conversation; no block if there are no actions. `message`:
    our id of the message, where it has none of Slack's."""
    elements = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": LABELS[action]},
            "action_id": f"{_PREFIX}{action}",
            "value": f"{conversation} {message}".rstrip(),
        }
        for action in actions
    ]
    return [{"type": "actions", "elements": elements}] if elements else []


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


def pressed(action: Mapping[str, Any]) -> tuple[Action, Conversation, str]:
    """Return the action and conversation of a pressed button, and our id of the message, "" if it has one of Slack's.
    Raises ValueError if the button is not ours."""
    name = str(action.get("action_id", "")).removeprefix(_PREFIX)
    conversation, _, message = str(action.get("value", "")).partition(" ")
    return Action(name), Conversation.named(conversation), message


def rated(action: Mapping[str, Any]) -> tuple[bool, Conversation]:
    """Return whether the vote is positive, and the conversation. Raises ValueError if the button is not ours."""
    vote, _, name = str(action.get("value", "")).partition(" ")
    if vote not in (_GOOD, _BAD):
        raise ValueError("not our vote")
    return vote == _GOOD, Conversation.named(name)
