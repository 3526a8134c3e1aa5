"""A page: one message of a reply as people see it, with its buttons."""

from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What a button under a reply does."""

    STOP = "stop"  # end the answer that is being written
    AGAIN = "again"  # answer the question again, in the same messages
    GO_ON = "go-on"  # continue an answer that reached its length limit
    SHARE = "share"  # show a private answer to everybody in the channel
    SEE = "see"  # ask a model that sees pictures the same question
    FILE = "file"  # give the person the code of the answer as files
    TABLE = "table"  # give the person the tables of the answer as files


# The words on the buttons, on every platform.
LABELS = {
    Action.STOP: "Stop",
    Action.AGAIN: "Regenerate",
    Action.GO_ON: "Continue",
    Action.SHARE: "Share",
    Action.SEE: "Ask a model that sees",
    Action.FILE: "File",
    Action.TABLE: "CSV",
}
# The form that asks why somebody voted an answer down: its button, its title, and who will read the reason.
SAY_WHY, WHY, WHY_READ = "Say why", "What was wrong?", "Those who manage this channel can read it"


@dataclass(frozen=True, slots=True)
class Page:
    """One message of a reply: `text` in standard Markdown as the model wrote it, `head` and `foot` in small print.

    `growing`: more text will follow. `raw` is then the text without the marks that close what is still open, for
    surfaces that can only add to what they have shown. `actions` are the buttons below. `thumbs`: people can rate the
    answer here.
    """

    text: str
    head: str = ""
    foot: str = ""
    growing: bool = False
    actions: tuple[Action, ...] = ()
    thumbs: bool = False
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ReplyFile:
    """A file below a reply or response. `description`: what a picture shows, for people who can't see it."""

    name: str
    content: bytes
    description: str = ""
