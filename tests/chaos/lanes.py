"""The lanes of a chaos run, as far as they are seen from outside: how many were answered at once, each one after the
other, and which had to wait for others that came later."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.judge import Finding

# A process that dies may still be heard by the model for a moment, and a turn that ends by its successor.
MOMENT_SECONDS = 0.3
# Of two lanes that wait for a place, the one that came first begins first, but for the time from a claim to a request.
CALM_SECONDS = 2.0
# After a process or the store ended, a lane may be passed over for so long, as its holder is the one that died: the
# time of a slow takeover.
PASSED_SECONDS = 15.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """A question of a lane, in monotonic seconds; inf for what never happened. Sequences of these have the order in
    which a lane was asked.

    `said`: when it was asked; `stored`: since when the store surely had it; `ended`: since when its reply was at its
    end. `spans`: from when to when the model heard of it, for each request.
    """

    number: int
    room: str
    lane: str
    said: float
    stored: float
    ended: float
    spans: tuple[Span, ...] = ()

    @property
    def begun(self) -> float:
        """When the model was asked first, or at the latest when the reply ended without it."""
        return min([*(since for since, _ in self.spans), self.ended])

    def heard_at(self, moment: float) -> bool:
        """Whether the model was writing for it at this moment."""
        return any(since <= moment < until for since, until in self.spans)


def at_once(heard: Iterable[Heard], excused: Sequence[Span] = ()) -> dict[str, tuple[int, float]]:
    """The most lanes of each room that the model wrote for at the same time, and a moment when that was so.

    `excused`: times that say nothing, as when Redis stands still for longer than a lease.
    """
    found: dict[str, tuple[int, float]] = {}
    for room, asked in _rooms(heard).items():
        moments = [since + MOMENT_SECONDS for each in asked for since, _ in each.spans]
        counts = [
            (len({each.lane for each in asked if each.heard_at(moment)}), moment)
            for moment in moments
            if not _within(moment, excused)
        ]
        found[room] = max(counts, default=(0, 0.0))
    return found


def crowded(heard: Iterable[Heard], parallel: int, excused: Sequence[Span] = ()) -> list[Finding]:
    """The rooms in which more lanes than `parallel` were answered at once."""
    return [
        Finding("crowded", 0, f"{many} lanes at once in {room} at {moment:.2f}")
        for room, (many, moment) in at_once(heard, excused).items()
        if many > parallel
    ]


def overlapping(heard: Iterable[Heard], excused: Sequence[Span] = ()) -> list[Finding]:
    """The questions that the model was asked while it still wrote for one before them in their lane."""
    findings = []
    for asked in _rooms(heard).values():
        latest: dict[str, Heard] = {}
        for each in asked:
            before, latest[each.lane] = latest.get(each.lane), each
            moment = each.begun + MOMENT_SECONDS
            if before and before.heard_at(moment) and not _within(moment, excused):
                findings.append(Finding("overlap", each.number, f"beside {before.number} in {each.room}"))
    return findings


def starved(heard: Iterable[Heard], troubled: Sequence[float] = ()) -> list[Finding]:
    """The questions that waited, with nothing before them in their lane, while the model was asked one that came later
    in another lane of the room. `troubled`: when processes or the store ended."""
    findings = []
    for asked in _rooms(heard).values():
        for place, each in enumerate(asked):
            ready = max([each.stored, *(other.ended for other in asked[:place] if other.lane == each.lane)])
            calm = not any(ready - PASSED_SECONDS < moment < each.begun for moment in troubled)
            later = [other for other in asked if other.lane != each.lane and ready < other.said]
            passed = [
                other.number
                for other in later
                if other.begun < each.begun
                and (other.begun + CALM_SECONDS < each.begun if calm else ready + PASSED_SECONDS < other.begun)
            ]
            if passed:
                wait = "for ever" if each.begun == math.inf else f"for {each.begun - ready:.1f} s"
                findings.append(Finding("starved", each.number, f"it waited {wait}, behind {passed} in {each.room}"))
    return findings


def _within(moment: float, spans: Sequence[Span]) -> bool:
    return any(since <= moment <= until for since, until in spans)


def _rooms(heard: Iterable[Heard]) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    for each in heard:
        found[each.room].append(each)
    return found
