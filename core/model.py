"""Values that pass between modules: places, people, mentions, history, requests to the model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Rights(StrEnum):
    """What a person may change. Everybody may read the settings and ask."""

    NONE = "none"
    CHANNEL = "channel"  # settings and history of the channel at hand
    WORKSPACE = "workspace"  # also those of the whole workspace or guild


class Memory(StrEnum):
    """What one history spans."""

    CHANNEL = "channel"  # a channel and all threads in it remember together
    THREAD = "thread"  # each thread remembers by itself


class Streaming(StrEnum):
    """How a reply grows on screen."""

    AUTO = "auto"  # natively where that serves better, else by edits
    EDIT = "edit"  # the message is edited again and again
    NATIVE = "native"  # the platform's own streaming, where it has one
    OFF = "off"  # it is shown when it is complete


class Reasoning(StrEnum):
    """What people see of a model's thinking aloud."""

    HIDDEN = "hidden"  # nothing but that it takes time
    TIMER = "timer"  # that it thinks, and for how long
    SUMMARY = "summary"  # also the newest lines of the thought


class Overlap(StrEnum):
    """What becomes of a question that comes while another is being answered."""

    QUEUE = "queue"  # it waits for its own turn
    MERGE = "merge"  # all that wait are answered together
    INTERRUPT = "interrupt"  # it ends the running answer; all that wait are answered together


class Edits(StrEnum):
    """What becomes of an answer whose question was changed afterwards."""

    OFFER = "offer"  # a button asks again
    RERUN = "rerun"  # it is asked again at once
    IGNORE = "ignore"


class Switch(StrEnum):
    """A setting that is on or off."""

    ON = "on"
    OFF = "off"


class Action(StrEnum):
    """What a button under a reply does."""

    STOP = "stop"  # end the answer that is being written
    AGAIN = "again"  # answer the question anew, in the same messages
    GO_ON = "go-on"  # go on with an answer that reached its length limit


class Placement(StrEnum):
    """Where a reply to a message in a channel goes."""

    THREAD = "thread"  # under the message
    CHANNEL = "channel"  # into the channel itself


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
class Redo:
    """An answer to be replaced: the turn that gave it, and the messages in which it stands."""

    turn: str
    messages: tuple[str, ...]
    answered: bool = True  # there was text, not a sentence alone


@dataclass(frozen=True, slots=True)
class Mention:
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
    redo: Redo | None = None
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
class Usage:
    """Tokens of one answer, as counted by the server."""

    prompt: int = 0
    completion: int = 0


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


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat request."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the model is asked. None leaves a parameter to the server's default."""

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


class Finish(StrEnum):
    """Why the model ended."""

    STOP = "stop"  # it had said all
    LENGTH = "length"  # the limit on the output was reached
    FILTER = "filter"  # the server's content filter


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: text for people, thought (never shown as answer), or how it ended.

    `restart`: all text before this piece turned out to be thought; the answer begins with this one. `model`: on the
    first piece, which model answers, if it is another than was asked.
    """

    text: str = ""
    thought: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    restart: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer that was not streamed."""

    text: str
    thought: str
    finish: Finish
    usage: Usage


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on offer. Sizes are in tokens, None where the catalog does not say."""

    name: str  # what the API calls it
    alias: str = ""  # the short name people use
    context: int | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models on offer. `live` is false for the built-in list, used when the API can't be asked."""

    models: tuple[ModelInfo, ...]
    live: bool = True

    def find(self, name: str) -> ModelInfo | None:
        """The model by its name or short name, in any case; None if the catalog does not know it."""
        wanted = name.strip().lower()
        for info in self.models:
            if wanted in (info.name.lower(), info.alias.lower()):
                return info
        return None

    def names(self) -> Iterable[str]:
        """The API's names, in the catalog's order."""
        return (info.name for info in self.models)


@dataclass(frozen=True, slots=True)
class Page:
    """One message of a reply: `text` in standard Markdown as the model wrote it, `head` and `foot` in small print.

    `growing`: more will come. `raw` is then the text without the marks that close what is open, for surfaces that can
    only add to what they showed. `actions` are the buttons below.
    """

    text: str
    head: str = ""
    foot: str = ""
    growing: bool = False
    actions: tuple[Action, ...] = ()
    raw: str = field(default="", compare=False)
