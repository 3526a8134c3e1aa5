"""The button and the modal that ask why somebody voted an answer down. Both name the answer and its conversation, and
the channel where it is another one."""

from dataclasses import dataclass
from typing import Any

from bots.slack.components import blocks, forms
from core.domain.conversation import LONGEST_REASON, Conversation
from core.domain.page import SAY_WHY, WHY, WHY_READ

Json = dict[str, Any]

ASKED = "nebula_why"
CALLBACK = "nebula_reason"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a reason is about: the message of an answer, its conversation, and the channel where the answer is. That is
    another one if a private answer went on as a direct message."""

    message: str
    conversation: Conversation
    channel: str

    def write(self) -> str:
        """Return this as the value of a button."""
        elsewhere = f" {self.channel}" if self.channel != self.conversation.channel else ""
        return f"{self.message} {self.conversation}{elsewhere}"

    @classmethod
    def read(cls, written: Any) -> "Subject":
        """Parse a button's value or a modal's metadata. Raises ValueError."""
        message, _, rest = str(written).partition(" ")
        name, _, channel = rest.partition(" ")
        conversation = Conversation.named(name)
        if not message or conversation.scope.count("/") < 2:
            raise ValueError("not our form")
        return cls(message, conversation, channel or conversation.channel)


def button(subject: Subject) -> Json:
    """Return the row with the button that opens the modal."""
    return blocks.button(SAY_WHY, ASKED, subject.write())


def modal(subject: str) -> Json:
    """Return the view that asks for a reason. It changes nobody's vote but that of whoever submits it, so that what it
    is about needs no proof."""
    return forms.view(CALLBACK, WHY, WHY_READ, "Send", subject, max_length=LONGEST_REASON)
