"""Places, people, and conversations with the exchanges of their history, and why people did not like an answer."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter

from core.domain.chat import Finish
from core.domain.options import Placement, Streaming
from core.domain.turn_id import TurnId
from core.text import file_name, harmless, one_line

# Ids contain no slash, so no channel or thread has this in its name.
_PRIVATE = "/private/"
_LANE = "/lane/"
NO_WORKSPACE = "-"
# Behind the name of a workspace, where it is only visited. No id contains it.
_VISITED = "~"
# The most characters of a reason: no more is kept than is shown.
LONGEST_REASON = 200


class Rights(StrEnum):
    """What a person may change. Everybody may ask questions and read the settings."""

    NONE = "none"
    CHANNEL = "channel"  # settings and history of this channel
    WORKSPACE = "workspace"  # also those of the whole workspace or guild


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody wrote something. Ids are the platform's own; none of them contains a slash."""

    platform: str
    workspace: str  # Slack team, Discord guild; NO_WORKSPACE if there is none
    channel: str  # for a thread: the channel that it belongs to
    thread: str = ""  # Slack: ts of the thread's first message; Discord: id of the thread
    direct: bool = False  # a direct message, where the bot needs no mention
    visiting: bool = False  # the bot is no member there: a person brought it along, for themselves alone

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names under which settings may be stored, widest first: workspace, channel, thread. Where the bot only
        visits, they are others: nobody can set anything under them."""
        workspace = f"{self.platform}/{self.workspace}{_VISITED if self.visiting else ''}"
        channel = f"{workspace}/{self.channel}"
        return (workspace, channel, f"{channel}/{self.thread}") if self.thread else (workspace, channel)

    @property
    def name(self) -> str:
        """The narrowest scope, which identifies this place."""
        return self.scopes[-1]

    @property
    def channel_scope(self) -> str:
        """The scope of the channel, also for a thread in it."""
        return self.scopes[1]

    @property
    def library(self) -> str:
        """The scope whose presets can be used here: the workspace; where there is none, this direct message alone."""
        return self.channel_scope if self.workspace == NO_WORKSPACE else self.scopes[0]


@dataclass(frozen=True, slots=True)
class Author:
    """A person, or a bot that may ask. `name` is the name that others in the room see, made harmless whatever it holds.

    `roles`: ids of the groups that they are in, if the platform says, and a bot's other ids. `external`: they belong to
    another organisation that shares the channel with ours. `program`: it is a bot, an app or a workflow.
    """

    id: str
    name: str
    roles: tuple[str, ...] = ()
    external: bool = False
    program: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_line(self.name))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is remembered together: the dialogue of a channel or thread, or of one person there in private."""

    scope: str  # the name of the channel or thread
    owner: str = ""  # id of the only person who sees it; "" if everybody there does

    @property
    def name(self) -> str:
        """The name in Redis and in the buttons under a reply."""
        return f"{self.scope}{_PRIVATE}{self.owner}" if self.owner else self.scope

    @property
    def channel(self) -> str:
        """The platform's id of the channel, as in Place."""
        return self.scope.split("/")[2]

    @property
    def channel_scope(self) -> str:
        """The scope of its channel, as in Place."""
        return "/".join(self.scope.split("/")[:3])

    @property
    def workspace_scope(self) -> str:
        """The scope of its workspace or guild, as in Place."""
        return "/".join(self.scope.split("/")[:2])

    @classmethod
    def named(cls, name: str) -> "Conversation":
        """The conversation with this name."""
        scope, _, owner = name.partition(_PRIVATE)
        return cls(scope, owner)

    def __str__(self) -> str:
        return self.name

    def is_in(self, scope: str) -> bool:
        """Whether it is the conversation of this channel or thread, or of a thread or person in it."""
        return f"{self.scope}/".startswith(f"{scope}/")

    def visible_to(self, person: str) -> bool:
        """Whether this person may read it, if they may read the channel."""
        return self.owner in ("", person)


@dataclass(frozen=True, slots=True)
class Lane:
    """A line of questions that are answered one after the other. Lanes of one conversation run beside each other.

    `name`: the id of a thread, or of a person where replies go into the channel; "" for all of the conversation.
    """

    conversation: Conversation
    name: str = ""

    def __str__(self) -> str:
        """The name in Redis."""
        return f"{self.conversation}{_LANE}{self.name}" if self.name else self.conversation.name

    @classmethod
    def named(cls, name: str) -> "Lane":
        """The lane with this name in Redis."""
        conversation, separator, lane = name.rpartition(_LANE)
        return cls(Conversation.named(conversation), lane) if separator else cls(Conversation.named(name))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message. All of it is made harmless, and its `name` is the one that people and models read
    everywhere; `size` is in bytes, as the platform says it, `kind` is a MIME type.

    `file`: the platform's id of the file; `channel`, `message`: where to ask for it again.
    """

    name: str
    kind: str
    url: str
    size: int
    file: str = ""
    channel: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", file_name(self.name))
        object.__setattr__(self, "kind", one_line(self.kind))
        for each in ("url", "file", "channel", "message"):
            object.__setattr__(self, each, harmless(getattr(self, each)))

    @property
    def identity(self) -> str:
        """What tells it from other files: an address may be another each time that a platform tells it."""
        return self.file or self.url


@dataclass(frozen=True, slots=True)
class ResponseToken:
    """The token with which a platform lets us answer a command, and when it expires (epoch seconds).

    `messages`: how many messages of an answer it is good for; None for any number. `grows`: whether they can be changed
    again and again, so that people see the answer grow.
    """

    token: str
    expires: float
    messages: int | None = None
    grows: bool = True


NOWHERE = Conversation("")
NO_TURN = TurnId("")


@dataclass(frozen=True, slots=True)
class Address:
    """Everything that a platform needs to reply, in any process: plain data."""

    place: Place
    placement: Placement
    message: str = ""
    interaction: ResponseToken | None = None
    author: str = ""  # id of the person who asked
    adopted: bool = False  # another process accepted the question and may have shown its status
    conversation: Conversation = NOWHERE  # the one that the buttons under the reply name
    turn: TurnId = NO_TURN  # a regenerated or continued answer is another turn
    private: bool = False  # only the person who asked may see the reply
    streaming: Streaming = Streaming.AUTO


NOBODY = Author("", "")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer in the history. `messages` are the platform's ids of both, the question's first.

    `thread`: the one in which both are a dialogue, which the answer may have opened; "" for the channel itself. It is
    stored as it is, so whatever another version may not have stored has a default.
    """

    turn: TurnId
    author: Author = NOBODY
    question: str = ""
    answer: str = ""
    messages: tuple[str, ...] = ()
    at: float = 0.0  # epoch seconds of the question
    model: str = ""
    others: tuple[str, ...] = ()  # ids of the other people whose questions it answers
    thread: str = ""
    written: float = 0.0  # epoch seconds of the answer, by the server's clock: the order of its versions
    finish: Finish | None = None  # why the model stopped, if it had more to say
    stopped: bool = False  # somebody ended the answer
    files: tuple[Attachment, ...] = ()  # of the question, which may be read again; what is in them is not kept
    unseen: tuple[str, ...] = ()  # names of the pictures that its model did not see

    def asked_by(self, person: str) -> bool:
        """Whether this person asked it, or one of the questions that it answers."""
        return person == self.author.id or person in self.others


@dataclass(frozen=True, slots=True)
class Summary:
    """What is told of the oldest exchanges of a dialogue, because they no longer fit; `text` is harmless, and "" if
    nothing is told yet.

    `count`: how many questions it tells of; `covered`: the digests of their turns, messages and people, of which
    `people` are the ids. `since`: when the oldest of them was stored, in epoch seconds. `known`: people have read what
    became of these questions.
    """

    text: str = ""
    count: int = 0
    covered: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    since: int = 0
    known: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", harmless(self.text))

    def covers(self, exchange: Exchange) -> bool:
        """Whether it tells of this exchange."""
        return digest(exchange.turn) in self.covered


NO_SUMMARY = Summary()
# The name of a dialogue that all of its conversation belongs to; no thread has it.
EVERYTHING = "*"


def digest(word: str) -> str:
    """A short name for a turn, a message or a person, the same as in common.lua."""
    return hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest()[:10]


def in_order(exchanges: Iterable[Exchange]) -> tuple[Exchange, ...]:
    """The exchanges in order of their questions, whichever was answered first. One without a time stays behind the one
    before it."""
    found, latest = [], 0.0
    for each in exchanges:
        latest = each.at or latest
        found.append((latest, each))
    return tuple(each for _, each in sorted(found, key=itemgetter(0)))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody voted an answer down, harmless and on one line, and when they said so. Nobody reads who it was."""

    text: str
    at: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", one_line(self.text, LONGEST_REASON))
