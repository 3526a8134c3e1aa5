"""The button and the modal that ask why somebody voted an answer down. Both name the answer and its conversation."""

from typing import Any

from bots.slack.components import blocks, forms
from core.domain.conversation import LONGEST_REASON, Conversation
from core.domain.page import SAY_WHY, WHY, WHY_READ

Json = dict[str, Any]

ASKED = "nebula_why"
CALLBACK = "nebula_reason"


def button(message: str, conversation: Conversation) -> Json:
    """Return the row with the button that opens the modal."""
    return blocks.button(SAY_WHY, ASKED, f"{message} {conversation}")


def modal(subject: str) -> Json:
    """Return the view that asks for a reason. It changes nobody's vote but that of whoever submits it, so that what it
    is about needs no proof."""
    return forms.view(CALLBACK, WHY, WHY_READ, "Send", subject, max_length=LONGEST_REASON)


def subject(written: Any) -> tuple[str, Conversation]:
    """Return the answer and the conversation that a button's value or a modal's metadata names. Raises ValueError."""
    message, _, name = str(written).partition(" ")
    conversation = Conversation.named(name)
    if not message or conversation.scope.count("/") < 2:
        raise ValueError("not our form")
    return message, conversation
