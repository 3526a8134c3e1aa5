"""Takeovers in a chaos run: which process held a turn when it was killed, and when another process continued the
turn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# A call in flight when its process died may still land.
_IN_FLIGHT_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Kill:
    """The end of a process, which the model knows by its key. `at` is in monotonic seconds, like all times here."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """The process with this key asked the model this question."""

    at: float
    key: str
    number: int


@dataclass(frozen=True, slots=True)
class TakeoverTime:
    """How long a question's turn had no holder after a kill. `by`: the key of the process that took it, "" if
    unknown."""

    number: int
    seconds: float
    by: str


def takeovers(
    kills: Sequence[Kill],
    requests: Sequence[Request],
    changes: Mapping[int, Sequence[float]],
    ends: Mapping[int, float],
) -> tuple[TakeoverTime, ...]:
    """For each killed process, the turns it held. `changes`: when the reply to a question changed on screen; `ends`:
    since when it was whole."""
    found = []
    for kill in kills:
        latest: dict[int, Request] = {}
        for request in requests:
            if request.at <= kill.at:
                latest[request.number] = request
        for number, held in latest.items():
            if held.key != kill.key or ends.get(number, math.inf) <= kill.at:
                continue
            asked = [(each.at, each.key) for each in requests if each.number == number and each.at > kill.at]
            seen = [(at, "") for at in changes.get(number, ()) if at > kill.at + _IN_FLIGHT_SECONDS]
            at, by = min([*asked, *seen], default=(math.inf, ""))
            found.append(TakeoverTime(number, at - kill.at, by))
    return tuple(found)


def longest_gap(changes: Sequence[float], since: float, until: float) -> float:
    """The longest time between two changes on screen within these limits; both limits count as changes."""
    inside = [since, *(at for at in sorted(changes) if since < at < until), until]
    return max(later - earlier for earlier, later in pairwise(inside))
