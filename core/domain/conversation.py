"""The values of a conversation: places, people, questions, and the exchanges of its history."""

from dataclasses import dataclass
from enum import StrEnum

from core.domain.options import Placement, Streaming


class Rights(StrEnum):
    """What a person may change. Everybody may ask questions and read the settings."""

    NONE = "none"
    CHANNEL = "channel"  # settings and history of this channel
    WORKSPACE = "workspace"  # also those of the whole workspace or guild


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody wrote something. Ids are the platform's own; none of them contains a slash."""

    platform: str
    workspace: str  # Slack team, Discord guild; "-" if there is none
    channel: str  # for a thread: the channel that it belongs to
    thread: str = ""  # Slack: ts of the thread's first message; Discord: id of the thread
    direct: bool = False  # a direct message, where the bot needs no mention

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names under which settings may be stored, widest first: workspace, channel, thread."""
        workspace = f"{self.platform}/{self.workspace}"
        channel = f"{workspace}/{self.channel}"
        return (workspace, channel, f"{channel}/{self.thread}") if self.thread else (workspace, channel)

    @property
    def name(self) -> str:
        """The narrowest scope, which identifies this place."""
        return self.scopes[-1]


@dataclass(frozen=True, slots=True)
class Author:
    """A person. `name` is the name that others in the room see.

    `roles`: ids of the groups that they are in, if the platform says. `external`: they belong to another organisation
    that shares the channel with ours.
    """

    id: str
    name: str
    roles: tuple[str, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message. `size` is in bytes, `kind` is a MIME type."""

    name: str
    kind: str
    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Regeneration:
    """An answer to replace: the turn that gave it, and the messages that show it."""

    turn: str
    messages: tuple[str, ...]
    answered: bool = True  # false if the old reply was only a notice


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the bot, as text that the model can read: ids resolved to names, entities decoded.

    `id` is the same for every delivery of the same question, and differs between questions.
    `message` is the platform's id of the question's message, "" if it has none (a slash command).
    `interaction` is the token with which a platform lets us answer a command, valid until `expires` (epoch seconds).
    `refusal`, if set, is the sentence that answers the question instead of the model.
    `after` is the turn whose answer the model should continue.
    `private`: only the author sees question and answer, and they are remembered separately. `redo` names the answer to
    this question that the new one replaces; `version` counts how often that has happened.
    """

    id: str
    place: Place
    author: Author
    text: str
    message: str = ""
    at: float = 0.0  # epoch seconds, by the platform's clock
    attachments: tuple[Attachment, ...] = ()
    interaction: str = ""
    expires: float = 0.0
    refusal: str = ""
    private: bool = False
    redo: Regeneration | None = None
    after: str = ""
    version: int = 0
    others: tuple[str, ...] = ()  # ids of the other people whose questions this one includes


@dataclass(frozen=True, slots=True)
class Address:
    """Everything that a platform needs to reply, in any process: plain data, stored with the turn."""

    place: Place
    placement: Placement
    message: str = ""
    interaction: str = ""
    expires: float = 0.0
    author: str = ""  # id of the person who asked
    adopted: bool = False  # another process accepted the question and may have shown its status
    conversation: str = ""  # the conversation that the buttons under the reply name
    turn: str = ""  # id of the question: a regenerated or continued answer is another turn
    private: bool = False  # only the person who asked may see the reply
    streaming: Streaming = Streaming.AUTO


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer in the history. `messages` are the platform's ids of both, the question's first."""

    turn: str
    author: Author
    question: str
    answer: str
    messages: tuple[str, ...]
    at: float  # epoch seconds of the question
    model: str = ""
    others: tuple[str, ...] = ()  # ids of the other people whose questions it answers
