"""`python -m tests.bench.plan`: the plan of a workspace's edits over loads of 1 to 200 questions a minute, in virtual
time, beside an ideal plan.

The plan of `core.ratelimit.plan` runs on the window and the limits of Slack, without a network: a call lands when it
leaves. Replies come at random, of 3.5 s each; the first words are there as soon as a reply begins. By edits alone, then
with native streams for those whose end no edit is left for. A stream shows all that is appended to it, so the age of
its text counts as that of its even appends. The ideal knows the whole load beforehand: it spends all edits of the long
run, one on each end and the rest evenly on interim edits, keeps no margin and waits for nothing.
"""

import argparse
import heapq
import itertools
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.ratelimit.plan import Arrivals, Load, lively, promises
from core.ratelimit.window import SlidingWindow
from tests.bench.table import Table, percentile

LOADS = (1, 5, 10, 20, 40, 60, 80, 120, 160, 200)
MINUTES = 10
LENGTH = 3.5  # seconds of a reply
EDITS, STOPS, APPENDS, MINUTE = 50, 20, 100, 60.0  # Slack's limits
LEAST = 1.0  # seconds between two edits of one reply
ASK_AGAIN = 1.0  # seconds until a reply without a promise asks again


@dataclass(frozen=True, slots=True)
class Ask:
    """A question whose reply is written from `at` on, for `length` seconds."""

    at: float
    length: float


@dataclass(slots=True)
class Shown:
    """What people saw of a reply: when it was first shown, when it changed, how late its end was."""

    ask: Ask
    first: float = math.inf  # when its first words were shown; infinite if it was posted whole
    streamed: bool = False
    edits: list[float] = field(default_factory=list)
    late: float = 0.0

    @property
    def grew(self) -> bool:
        return self.first < math.inf

    @property
    def age(self) -> float:
        """Mean age of the newest text on screen while the reply is written."""
        start, end = self.ask.at, self.ask.at + self.ask.length
        seen = [start, *(at for at in (self.first, *self.edits) if at < end), end]
        return sum((later - first) ** 2 / 2 for first, later in itertools.pairwise(seen)) / self.ask.length


class _Limit:
    """A limit whose calls are promised, as a bucket keeps it."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.window, self.owed, self.arrivals = SlidingWindow(calls, seconds, least=LEAST), 0, Arrivals()
        self.waiting: list[Shown] = []  # replies that wait for an interim call

    def load(self, now: float) -> Load:
        return Load(self.owed, self.arrivals.rate(now))

    def promise(self, now: float) -> bool:
        granted = promises(self.window.calls, self.window.used(now), self.owed)
        self.owed += granted
        return granted

    def lively(self, now: float) -> bool:
        return lively(self.window.calls, self.window.used(now), self.load(now), self.window.seconds)

    def call(self, now: float, *, interim: bool) -> None:
        self.window.take(now, interim=interim)
        self.window.land(now, now)


def ours(asks: Sequence[Ask], calls: int = EDITS, seconds: float = MINUTE, streams: int = 0) -> list[Shown]:
    """What the plan shows of these replies. `streams`: how many may stop in a window."""
    return _Play(asks, calls, seconds, streams).run()


class _Play:
    def __init__(self, asks: Sequence[Ask], calls: int, seconds: float, streams: int) -> None:
        self._edits = _Limit(calls, seconds)
        self._stops = _Limit(streams, seconds) if streams else None
        self._shown = [Shown(ask) for ask in asks]
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, Shown]] = []
        self._next = math.inf  # when interim calls are looked at again
        for each in self._shown:
            self._at(each.ask.at, "ask", each)

    def _at(self, when: float, what: str, shown: Shown) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, shown))

    def run(self) -> list[Shown]:
        while self._events:
            now, _, what, shown = heapq.heappop(self._events)
            if self._next < now:
                heapq.heappush(self._events, (now, -next(self._order), what, shown))
                now = self._next
            elif what == "end":
                self._end(now, shown)
            elif now < shown.ask.at + shown.ask.length:
                self._ask(now, shown, first=what == "ask")
            self._interim(now)
        return self._shown

    def _ask(self, now: float, shown: Shown, *, first: bool) -> None:
        edits, stops = self._edits, self._stops
        if (not stops or edits.lively(now)) and edits.promise(now):
            pass
        elif stops and stops.promise(now):
            shown.streamed = True
        elif not edits.promise(now):
            if first:
                edits.arrivals.note(now)
            self._at(now + ASK_AGAIN, "again", shown)
            if first:
                self._at(shown.ask.at + shown.ask.length, "end", shown)
            return
        limit = stops if stops and shown.streamed else edits
        if first:
            limit.arrivals.note(now)
            self._at(shown.ask.at + shown.ask.length, "end", shown)
        shown.first = now
        limit.window.begin(now)
        if not shown.streamed:
            edits.waiting.append(shown)

    def _end(self, now: float, shown: Shown) -> None:
        if not shown.grew:
            return  # one post, whole
        limit = self._stops if self._stops and shown.streamed else self._edits
        if shown in self._edits.waiting:
            self._edits.waiting.remove(shown)
        at = max(now, limit.window.free_at(now, final=True))
        limit.owed -= 1
        limit.call(at, interim=False)
        shown.late = at - now
        if shown.streamed:
            appends = int(min(shown.ask.length / 0.5, APPENDS / STOPS))
            shown.edits = [shown.first + (now - shown.first) * (each + 1) / (appends + 1) for each in range(appends)]
        else:
            shown.edits.append(at)

    def _interim(self, now: float) -> None:
        """Make the interim call that is due, if one is, and see when the next one will be."""
        limit, waiting = self._edits, self._edits.waiting
        self._next = math.inf
        while waiting:
            at = limit.window.free_at(now, final=False, active=len(waiting), load=limit.load(now))
            if at > now:
                self._next = at if at < math.inf else now + 1.0
                return
            oldest = min(waiting, key=lambda each: each.edits[-1] if each.edits else each.first)
            limit.call(now, interim=True)
            oldest.edits.append(now)


def ideal(load: float, length: float = LENGTH) -> tuple[float, float]:
    """The share of replies that may grow with edits alone, and the mean age of all."""
    edits = EDITS / load
    share = min(1.0, edits)
    interim = min((edits - share) / share, length / LEAST)
    low = math.floor(interim)
    grown = sum(
        part * length / 2 / (frames + 1) for frames, part in ((low, 1 - interim + low), (low + 1, interim - low))
    )
    return share, share * grown + (1 - share) * length / 2


def asks(load: float, minutes: float = MINUTES, seed: int = 1) -> list[Ask]:
    """Questions that come at random, this many a minute."""
    draw, now, found = random.Random(seed), 0.0, []
    while (now := now + draw.expovariate(load / MINUTE)) < minutes * MINUTE:
        found.append(Ask(now, LENGTH))
    return found


def refused(times: Sequence[float], calls: int, seconds: float = MINUTE) -> int:
    """How many of these calls the platform would refuse."""
    ordered = sorted(times)
    return sum(later - first < seconds for first, later in zip(ordered, ordered[calls:], strict=False))


def _row(load: float) -> tuple[str, ...]:
    alone, both = ours(asks(load)), ours(asks(load), streams=STOPS)
    share, age = ideal(load)
    ends = sorted(each.late for each in both)
    edits = [at for each in both if not each.streamed for at in each.edits]
    stops = [each.ask.at + each.ask.length for each in both if each.streamed]
    return (
        f"{load:g}",
        f"{statistics.mean(each.grew for each in alone):.0%}",
        f"{statistics.mean(each.grew for each in both):.0%}",
        f"{share:.0%}",
        f"{statistics.mean(each.age for each in alone):.2f}",
        f"{statistics.mean(each.age for each in both):.2f}",
        f"{age:.2f}",
        f"{statistics.median(ends):.2f}",
        f"{percentile(ends, 0.95):.2f}",
        f"{refused(edits, EDITS) + refused(stops, STOPS)}",
    )


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser("python -m tests.bench.plan", description=(__doc__ or "").strip()).parse_args()
    columns = (
        *("a minute", "grow, edits", "and streams", "ideal, edits", "age, edits, s", "and streams", "ideal, edits"),
        *("end late, median s", "95 %, s", "429"),
    )
    setting = (
        f"{MINUTES} min of replies of {LENGTH:g} s; {EDITS} edits, {STOPS} streams and {APPENDS} appends a minute."
    )
    print(Table("The plan of a workspace", setting, columns, tuple(map(_row, LOADS))))


if __name__ == "__main__":
    main()
