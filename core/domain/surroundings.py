"""The room around a question: what people and bots said there, how much of it may be read, and what is missing."""

from dataclasses import dataclass
from enum import StrEnum

from core.domain.conversation import Attachment
from core.domain.options import Context
from core.text import harmless, one_line

# Of a message that somebody chose from a menu, so many are read.
CHOSEN_CHARACTERS = 12_000


class Role(StrEnum):
    """Who said something."""

    PERSON = "person"
    BOT = "bot"
    US = "us"


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the room around a question. `text` holds the names of its attachments, too; all of it is made
    harmless. `id` is the platform's, `at` in epoch seconds. `files`: its attachments, which are read only if the
    question is about them."""

    id: str
    author: str
    role: Role
    at: float
    text: str
    files: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "author", one_line(self.author))
        object.__setattr__(self, "text", harmless(self.text))


class Gap(StrEnum):
    """Why something is missing."""

    MORE = "more"  # there is more than fits
    NEWEST = "newest"  # the newest messages could not be found
    PERMISSION = "permission"  # we may not read it
    INTENT = "intent"  # Discord's Message Content intent is off
    TIME = "time"  # the platform did not answer in time
    GONE = "gone"  # the thread's root was deleted
    OFF = "off"  # the place's setting `context` is off
    CHOSEN = "chosen"  # the message that somebody chose from a menu can't be read
    ALONE = "alone"  # that message has neither a thread nor a reply


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was said around a question, oldest first, without the question itself; `referred`: what it replies to,
    forwards or links to, each also if it is in `messages`. It is never stored, and never in a log."""

    messages: tuple[Said, ...] = ()
    referred: tuple[Said, ...] = ()
    gaps: frozenset[Gap] = frozenset()


NOTHING_SAID = Surroundings()


@dataclass(frozen=True, slots=True)
class Reach:
    """How much may be read. `after`: only what was said after this message, "" for all. `characters`: of one message.
    `summary`: asked for a summary. `known`: the messages that the history holds, which need not be read. `forgotten`:
    digests of those that it held, which are read only if the question refers to them. `since`: id of a person; of the
    channel only what was said after their newest message before the question, "" for all."""

    context: Context
    messages: int = 40
    characters: int = 1_200
    after: str = ""
    summary: bool = False
    known: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    since: str = ""
