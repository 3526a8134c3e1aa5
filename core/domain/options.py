"""The values that channel settings can have, and the defaults of a platform."""

from dataclasses import dataclass
from enum import StrEnum


class Memory(StrEnum):
    """What shares one history."""

    CHANNEL = "channel"  # a channel and all its threads share one
    THREAD = "thread"  # each thread has its own


class Streaming(StrEnum):
    """How a reply grows on screen."""

    AUTO = "auto"  # natively where that works better, otherwise by edits
    EDIT = "edit"  # the message is edited again and again
    NATIVE = "native"  # the platform's own streaming, where it has one
    OFF = "off"  # the reply appears when it is complete


class Reasoning(StrEnum):
    """What people see of a model's reasoning."""

    HIDDEN = "hidden"  # only that the answer takes time
    TIMER = "timer"  # that it thinks, and for how long
    SUMMARY = "summary"  # also the latest lines of the thought


class Overlap(StrEnum):
    """What happens to a question that arrives while another is being answered."""

    QUEUE = "queue"  # it waits for its own turn
    MERGE = "merge"  # all waiting questions are answered together
    INTERRUPT = "interrupt"  # it ends the running answer; all waiting questions are answered together


class Listen(StrEnum):
    """Which messages without a mention are questions."""

    MENTION = "mention"  # none
    FOLLOWUPS = "followups"  # in a thread that a question opened: of those who asked there
    THREAD = "thread"  # in such a thread: everybody's
    ALL = "all"  # every message of the channel


class OldHistory(StrEnum):
    """What becomes of the oldest exchanges of a dialogue when they no longer fit into a request."""

    SUMMARY = "summary"  # the model is told of them in a few words
    DROP = "drop"  # it is not told of them


class EditPolicy(StrEnum):
    """What happens to an answer when its question is edited afterwards."""

    OFFER = "offer"  # a button offers to ask again
    RERUN = "rerun"  # the bot asks again at once
    IGNORE = "ignore"  # the answer stays as it is


class Context(StrEnum):
    """What is read of the room around a question."""

    OFF = "off"  # nothing
    THREAD = "thread"  # the thread at hand, and what the question replies to, forwards or links to
    ROOM = "room"  # also the channel's newest messages


class Switch(StrEnum):
    """A setting that is on or off."""

    ON = "on"
    OFF = "off"


class Placement(StrEnum):
    """Where a reply to a message in a channel goes."""

    THREAD = "thread"  # under the message
    CHANNEL = "channel"  # into the channel itself


@dataclass(frozen=True, slots=True)
class PlatformDefaults:
    """What the users of a platform expect if nobody has set anything. `roaming`: a person is the same in all of its
    workspaces, and so are their own defaults. `suggestions`: what it suggests to people to ask where a chat begins;
    empty if it has no place to show them. `workspace`: what it calls one."""

    memory: Memory
    replies: Placement
    roaming: bool = False
    suggestions: tuple[str, ...] = ()
    workspace: str = "workspace"
