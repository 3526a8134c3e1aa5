"""Takeovers in a chaos run: who held a turn when a process was killed, and when another one went on with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# A call that was on its way when its process died may still land. Seconds.
_ON_ITS_WAY = 0.3


@dataclass(frozen=True, slots=True)
class Kill:
    """The end of a process, known to the model by its key. `at` in monotonic seconds, as all times here."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """The model was asked a question by the process with this key."""

    at: float
    key: str
    number: int


@dataclass(frozen=True, slots=True)
class Takeover:
    """How long the turn of a question had nobody after a kill; `by` is the key of who took it, "" if unknown."""

    number: int
    seconds: float
    by: str


def takeovers(
    kills: Sequence[Kill],
    requests: Sequence[Request],
    signs: Mapping[int, Sequence[float]],
    ends: Mapping[int, float],
) -> tuple[Takeover, ...]:
    """For each killed process, the turns it held. `signs`: when the reply to a question changed on screen; `ends`: from
    when on it was whole."""
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
            seen = [(at, "") for at in signs.get(number, ()) if at > kill.at + _ON_ITS_WAY]
            at, by = min([*asked, *seen], default=(math.inf, ""))
            found.append(Takeover(number, at - kill.at, by))
    return tuple(found)


def longest_gap(signs: Sequence[float], since: float, until: float) -> float:
    """The longest time between two changes on screen within these limits, both of which count as changes."""
    inside = [since, *(at for at in sorted(signs) if since < at < until), until]
    return max(later - earlier for earlier, later in pairwise(inside))
