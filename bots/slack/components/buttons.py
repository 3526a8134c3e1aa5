"""Buttons under replies as Block Kit: what they are called, and what a press says. Their values outlive restarts."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.domain.page import Action

Json = dict[str, Any]

_PREFIX = "nebula_reply_"
PRESSED = re.compile(f"^{_PREFIX}.*$")
RATED = "nebula_rating"
_LABELS = {Action.STOP: "Stop", Action.AGAIN: "Regenerate", Action.GO_ON: "Continue"}
_GOOD, _BAD = "good", "bad"


def row(actions: Iterable[Action], conversation: str) -> list[Json]:
    """The buttons for these actions on a reply in this conversation; no block for none."""
    elements = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": _LABELS[action]},
            "action_id": f"{_PREFIX}{action}",
            "value": conversation,
        }
        for action in actions
    ]
    return [{"type": "actions", "elements": elements}] if elements else []


def thumbs(conversation: str) -> Json:
    """The buttons by which people say how they like an answer (docs.slack.dev: blocks/context-actions-block)."""

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


def pressed(action: Mapping[str, Any]) -> tuple[Action, str]:
    """The action and the conversation of a pressed button. Raises ValueError for one that is not ours."""
    return Action(str(action.get("action_id", "")).removeprefix(_PREFIX)), str(action.get("value", ""))


def rated(action: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the vote is a good one, and the conversation. Raises ValueError for one that is not ours."""
    vote, _, conversation = str(action.get("value", "")).partition(" ")
    if vote not in (_GOOD, _BAD):
        raise ValueError("no vote of ours")
    return vote == _GOOD, conversation
