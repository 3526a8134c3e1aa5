"""Values that pass between modules: places, people, mentions, history, requests to the model."""

from dataclasses import dataclass
from enum import StrEnum

from core.domain.options import Placement, Streaming


class Rights(StrEnum):
    """What a person may change. Everybody may read the settings and ask."""

    NONE = "none"
    CHANNEL = "channel"  # settings and history of the channel at hand
    WORKSPACE = "workspace"  # also those of the whole workspace or guild


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said. Ids are the platform's own; none of them contains a slash."""

    platform: str
    workspace: str  # Slack team, Discord guild; "-" where there is none
    channel: str  # for a thread: the channel it belongs to
    thread: str = ""  # Slack: ts of the thread's first message; Discord: id of the thread
    direct: bool = False  # a direct message: no mention is needed

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names under which settings may be stored, widest first: workspace, channel, thread."""
        workspace = f"{self.platform}/{self.workspace}"
        channel = f"{workspace}/{self.channel}"
        return (workspace, channel, f"{channel}/{self.thread}") if self.thread else (workspace, channel)

    @property
    def name(self) -> str:
        """The narrowest scope: what identifies this place."""
        return self.scopes[-1]


@dataclass(frozen=True, slots=True)
class Author:
    """A person; `name` is what the others in the room see.

    `roles`: ids of the groups they are in, where the platform tells. `external`: they belong to another organisation
    that shares the channel with ours.
    """

    id: str
    name: str
    roles: tuple[str, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message. `size` is in bytes, `kind` a MIME type."""

    name: str
    kind: str
    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Regeneration:
    """An answer to be replaced: the turn that gave it, and the messages in which it stands."""

    turn: str
    messages: tuple[str, ...]
    answered: bool = True  # there was text, not a sentence alone


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to the bot, in words the model can read: ids resolved to names, entities decoded.

    `id` is the same for every delivery of the same question, and differs between questions.
    `message` is the platform's id of the question's message, "" where it has none (a slash command).
    `interaction` is the token by which a platform lets us answer a command, valid until `expires` (epoch seconds).
    `refusal`, when set, is the sentence that answers the question instead of the model.
    `after`: the turn whose answer is to be gone on with.
    `private`: question and answer are seen by the author alone, and remembered apart. `redo` names the answer to this
    question that is to be replaced; `version` counts how often that was done.
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
    others: tuple[str, ...] = ()  # ids of further people whose questions are answered with it


@dataclass(frozen=True, slots=True)
class Address:
    """All that a platform needs to reply, in any process: plain data, stored with the turn."""

    place: Place
    placement: Placement
    message: str = ""
    interaction: str = ""
    expires: float = 0.0
    author: str = ""  # id of the person who asked
    adopted: bool = False  # another process accepted the question: signs that it set may stand
    conversation: str = ""  # what buttons under the reply name
    turn: str = ""  # id of the mention: an answer given anew, or gone on with, is another turn
    private: bool = False  # for the eyes of the person who asked
    streaming: Streaming = Streaming.AUTO


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer, as they are remembered. `messages` are the platform's ids of both, question first."""

    turn: str
    author: Author
    question: str
    answer: str
    messages: tuple[str, ...]
    at: float  # epoch seconds of the question
    model: str = ""
    others: tuple[str, ...] = ()  # ids of further people whose questions it answers
