"""Limits how fast one person may give commands and press buttons: a burst, and then one from time to time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from cachetools import LRUCache

# People whose pace is remembered; whoever acted the longest time ago is forgotten first, and may begin a new burst.
_PEOPLE = 10_000
# Events whose verdict is remembered: a platform may deliver one of them several times within a short time.
_EVENTS = 1_000


class Pace(Enum):
    """Whether somebody is slow enough, and whether to tell them if not. Where the platform shows that something was
    lost, as it does with its own commands, they are told each time."""

    FINE = auto()
    TOLD = auto()  # too fast: tell the person, who was not told yet
    SILENT = auto()  # too fast, and the person knows


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    told: bool = False


class Bursts:
    """Counts what each person does, in this process alone and without any call: what is refused costs nothing."""

    def __init__(
        self,
        most: int = 10,
        seconds: float = 3.0,
        *,
        people: int = _PEOPLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` things at once, and one more after each `seconds`."""
        self._most, self._seconds, self._clock = float(most), seconds, clock
        self._buckets: LRUCache[str, _Bucket] = LRUCache(people)
        self._counted: LRUCache[str, Pace] = LRUCache(_EVENTS)

    def take(self, person: str, event: str = "") -> Pace:
        """Count one thing that this person does. `event`: the same for each delivery of it; it counts once, and the
        person is told of it once."""
        if counted := self._counted.get(event):
            return counted if counted is Pace.FINE else Pace.SILENT
        pace = self._count(person)
        if event:
            self._counted[event] = pace
        return pace

    def _count(self, person: str) -> Pace:
        now = self._clock()
        bucket = self._buckets.get(person)
        if bucket is None:
            bucket = self._buckets[person] = _Bucket(self._most, now)
        bucket.left = min(self._most, bucket.left + (now - bucket.at) / self._seconds)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left, bucket.told = bucket.left - 1, False
            return Pace.FINE
        told, bucket.told = bucket.told, True
        return Pace.SILENT if told else Pace.TOLD
