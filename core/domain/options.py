"""The values that channel settings can have, and what a platform sets where nobody did."""

from dataclasses import dataclass
from enum import StrEnum


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


class EditPolicy(StrEnum):
    """What becomes of an answer whose question was changed afterwards."""

    OFFER = "offer"  # a button asks again
    RERUN = "rerun"  # it is asked again at once
    IGNORE = "ignore"


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
    """What a platform's users expect when nothing is set."""

    memory: Memory
    replies: Placement
