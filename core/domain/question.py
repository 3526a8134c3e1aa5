"""Questions: what somebody asks the bot, and what kind of question it is."""

from dataclasses import dataclass
from enum import StrEnum

from core.domain.conversation import Attachment, Author, Place, ResponseToken
from core.domain.surroundings import Said
from core.domain.turn_id import TurnId
from core.text import harmless

MAX_TEXT_CHARACTERS = 200_000
"""Adapters cut what people write here before they parse it. No platform sends more, and no question may be so long."""

NO_VERSION = TurnId("")


@dataclass(frozen=True, slots=True)
class New:
    """A question to the model."""


@dataclass(frozen=True, slots=True)
class Regenerate:
    """The same question once more: the turn whose answer the new one replaces, and the messages that show it."""

    turn: TurnId
    messages: tuple[str, ...]
    answered: bool = True  # false if the old reply was only a notice
    keeps: bool = False  # the old answer stays as a version: it answers the same words


@dataclass(frozen=True, slots=True)
class Show(Regenerate):
    """Turn to another version of an answer: the turn that it was stored under. The model is not asked."""

    version: TurnId = NO_VERSION


@dataclass(frozen=True, slots=True)
class Continue:
    """The model should go on with the answer of this turn."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class Declined:
    """Not a question for the model: this sentence answers it."""

    sentence: str


class Reads(StrEnum):
    """What is read around a question before it is answered."""

    USUAL = "usual"  # what the place's setting `context` says
    THREAD = "thread"  # its thread, to be summarised
    MISSED = "missed"  # its channel since the asker's newest message, to be summarised


Kind = New | Regenerate | Continue | Declined
NEW = New()


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the bot, as harmless text that the model can read: ids resolved to names, entities decoded.

    `message`: the platform's id of the question's message, "" if it has none (a slash command).
    `interaction`: how to answer the command that asked, if one did. `private`: only the author sees question and
    answer, and they are remembered separately. `about`: the messages that a platform handed over with it, because
    somebody chose them from a menu; nobody else may be able to read them, so they are stored until it is answered. One
    without a text could not be read.
    `model`: the one that is to answer it, as somebody wrote it; "" for the usual one. `draws`: its text says what a
    picture shows, which answers it.
    """

    id: TurnId
    place: Place
    author: Author
    text: str
    message: str = ""
    at: float = 0.0  # epoch seconds, by the platform's clock
    attachments: tuple[Attachment, ...] = ()
    interaction: ResponseToken | None = None
    kind: Kind = NEW
    private: bool = False
    others: tuple[str, ...] = ()  # ids of the other people whose questions this one includes
    overheard: bool = False  # its message does not mention the bot
    about: tuple[Said, ...] = ()
    reads: Reads = Reads.USUAL
    model: str = ""
    draws: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", harmless(self.text))

    @property
    def replaces(self) -> Regenerate | None:
        """The answer that the new one replaces."""
        return self.kind if isinstance(self.kind, Regenerate) else None

    @property
    def shows(self) -> Show | None:
        """The version of its answer that is to be shown."""
        return self.kind if isinstance(self.kind, Show) else None

    @property
    def continues(self) -> Continue | None:
        """The answer that the new one continues."""
        return self.kind if isinstance(self.kind, Continue) else None

    @property
    def declined(self) -> Declined | None:
        """The sentence that answers it instead of the model."""
        return self.kind if isinstance(self.kind, Declined) else None

    @property
    def is_plain(self) -> bool:
        """Whether it is an ordinary message to the model, which can be answered together with others."""
        chosen = self.about or self.reads is not Reads.USUAL or self.draws
        return isinstance(self.kind, New) and self.interaction is None and not chosen

    @property
    def is_said(self) -> bool:
        """Whether it is a message that somebody wrote to the bot where others read it too: a thread may follow it."""
        new = isinstance(self.kind, New | Declined) and self.interaction is None
        return new and bool(self.message) and not self.private and not self.place.direct

    @property
    def is_open(self) -> bool:
        """Whether others could read that somebody asked it; a press of a button asks nothing new."""
        return isinstance(self.kind, New | Declined) and not self.private

    @property
    def words(self) -> str:
        """What the history repeats: the text, with the names of its files, whose text it does not keep."""
        names = " ".join(f"[file: {each.name}]" for each in self.attachments)
        text = f"imagine {self.text}" if self.draws else self.text
        return "\n\n".join(filter(None, (text, names)))

    @property
    def asker(self) -> str:
        """The id of the one person who asked it, whose own defaults count; "" if it includes questions of others."""
        return "" if any(each != self.author.id for each in self.others) else self.author.id

    def asked_by(self, person: str) -> bool:
        """Whether this person asked it, or one of the questions that it includes."""
        return person == self.author.id or person in self.others
