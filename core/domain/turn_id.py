"""Turn ids: the names of turns, and of the steps beside them."""

import re
from enum import StrEnum
from typing import NewType

# The name of one turn: the same for every delivery of its question, and different for each answer to it. The platform's
# name of the event comes first (`slack/T1/C1/1712.0001`), and the functions below add what tells turns apart.
TurnId = NewType("TurnId", str)

_REGENERATED = re.compile(r"(.*?)(?:#(\d+)(?:\.[0-9a-f]+)?)?", re.DOTALL)


class Step(StrEnum):
    """What is done beside the answer, once for each turn."""

    COMMAND = "command"  # the message is a command
    REFUSED = "refused"  # the person was told that nothing of the question is stored
    OFFER = "offer"  # an edited question was offered to be asked again
    CHANGED = "changed"  # the message that offers it
    SHARED = "shared"  # a private answer was shown to everybody
    DELETED = "deleted"  # the reply to a deleted question is taken away
    UNDONE = "undone"  # the exchange was forgotten
    SILENT = "silent"  # it was said that a bot is not answered until a person asks
    BEGUN = "begun"  # the chat that it began is called by its first words
    TITLED = "titled"  # the chat that it began got a title


def step_of(turn: TurnId, step: Step) -> TurnId:
    """The name of a step beside this turn."""
    return TurnId(f"{turn}/{step}")


def regenerated(turn: TurnId) -> TurnId:
    """The turn that answers the same question once more. A second press names the same turn: a duplicate."""
    found = _REGENERATED.fullmatch(turn)
    first, version = (found[1], int(found[2] or 0)) if found else (turn, 0)
    return TurnId(f"{first}#{version + 1}")


def first_turn(turn: str) -> str:
    """The turn that answered the same question first; the same as in common.lua."""
    found = _REGENERATED.fullmatch(turn)
    return found[1] if found else turn


def continued(turn: TurnId) -> TurnId:
    """The turn that continues the answer of this one. Everybody's press names the same turn."""
    return TurnId(f"{turn}+")


def asked_anew(turn: TurnId, attempt: str) -> TurnId:
    """The same turn asked anew, because an earlier attempt came to nothing. `attempt`: hexadecimal digits."""
    return TurnId(f"{turn}.{attempt}")


def unasked(turn: TurnId) -> TurnId:
    """The turn of a question that asks nothing yet: an edit that mends the message is then a new question."""
    return TurnId(f"{turn}/unasked")
