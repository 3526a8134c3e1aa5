"""A page: one message of a reply as people see it, with its buttons."""

from dataclasses import dataclass, field, replace
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
    PREVIOUS = "previous"  # turn to the version before this one
    NEXT = "next"  # turn to the version after this one
    UNDO = "undo"  # forget the newest question and its answer


# The words on the buttons, on every platform.
LABELS = {
    Action.STOP: "Stop",
    Action.AGAIN: "Regenerate",
    Action.GO_ON: "Continue",
    Action.SHARE: "Share",
    Action.FILE: "File",
    Action.TABLE: "CSV",
    Action.PREVIOUS: "‹",
    Action.NEXT: "›",
    Action.UNDO: "Undo",
}
MENU, WITH, ASK = "More…", "Regenerate with {}", "Ask {}"
"""The menu of an answer, a model in it, and the button of the model that sees."""
# The form that asks why somebody voted an answer down: its button, its title, and who will read the reason.
SAY_WHY, WHY, WHY_READ = "Say why", "What was wrong?", "Those who manage this channel can read it"


@dataclass(frozen=True, slots=True)
class Choices:
    """What people can choose under a complete answer, besides its buttons: models that answer the question again; which
    of its `versions` this one is, counted from 1; whether it can be undone; and the model that `sees` pictures which
    this one did not see, "" for none."""

    models: tuple[str, ...] = ()
    version: int = 0
    versions: int = 0
    undo: bool = False
    sees: str = ""


NO_CHOICES = Choices()


@dataclass(frozen=True, slots=True)
class Page:
    """One message of a reply: `text` in standard Markdown as the model wrote it, `head` and `foot` in small print.

    `growing`: more text will follow. `raw` is then the text without the marks that close what is still open, for
    surfaces that can only add to what they have shown. `actions` are the buttons below, `choices` what else people can
    choose there. `thumbs`: people can rate the answer here.
    """

    text: str
    head: str = ""
    foot: str = ""
    growing: bool = False
    actions: tuple[Action, ...] = ()
    thumbs: bool = False
    choices: Choices = NO_CHOICES
    raw: str = field(default="", compare=False)

    @property
    def buttons(self) -> tuple[tuple[Action, str], ...]:
        """The actions with the words on their buttons."""
        asks = ((Action.SEE, ASK.format(self.choices.sees.rpartition("/")[2])),) if self.choices.sees else ()
        return (*((each, LABELS[each]) for each in self.actions), *asks)

    @property
    def bare(self) -> "Page":
        """This page with nothing to press."""
        return replace(self, actions=(), thumbs=False, choices=NO_CHOICES)


@dataclass(frozen=True, slots=True)
class ReplyFile:
    """A file below a reply or response. `description`: what a picture shows, for people who can't see it."""

    name: str
    content: bytes
    description: str = ""
