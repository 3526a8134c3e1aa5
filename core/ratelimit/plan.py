"""The plan of a limit whose calls are promised: who is shown early, and what interim calls may use. Arithmetic only.

A platform may allow fifty edits a minute to all replies of a workspace together. Whoever is shown while it grows needs
one of them for its end, as otherwise people read a beginning and wait for the rest. So a reply that is shown early owes
a call, and the plan sees to it that this call can leave at once, whenever the reply ends.

Promises. Of the `calls` of a window some have been made (`used`), and some are owed by the replies that run (`owed`).
An end moves a call from owed to used; a call that leaves the window makes room. So as long as nobody lets used + owed
exceed the calls, there is one for each end. A new promise is given only while that sum stays within the calls less a
margin, which is for ends that nobody could promise: those of replies that were taken over, and of a second try. Whoever
gets no promise is not shown early: it asks again now and then, and when it is complete it is posted, whole.

Interim calls. They may fill what is neither used nor owed, but not all of it at once. In a window of a minute, a call
that is made now is missing for a minute; and by then more replies will have come, and will want a promise each. The
plan looks ahead over the whole window. At each moment at which one of its calls leaves, those that remain, the interim
calls made until then, and the promises of those who will have come until then must be within what may be used. The
highest steady pace that keeps this is the pace of interim calls. It falls as more replies run or come, down to none,
before any end has to wait; it rises when they become fewer.

Arrivals. How many will come is judged by the last minute. Twenty questions in the same second say little about the next
minute, twenty over the last half minute say much: so the five fullest seconds are left out.

Lively. A reply may have more than one way to grow: by edits, or as a stream of the platform's own. A way is lively if
each reply that takes it can have an interim call besides its end. People see a reply grow smoothly there; the others
are for when no way is lively.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Calls are spread over the window. Over a longer window than this they are spread so that the rate holds for this time:
# after a pause, replies are shown more often than the limit allows in the long run.
HORIZON_SECONDS = 30.0
# The platform's clock and ours may differ in speed.
CLOCK_DRIFT_SECONDS = 0.01
# The time over which arrivals are counted, the fullest part of it, which is left out, and the least over which a rate
# is an average.
_COUNTED_SECONDS, _BURST_SECONDS, _LEAST_SECONDS = 60.0, 5.0, 20.0
# One call in this many stays unpromised.
_MARGIN_SHARE = 25


@dataclass(frozen=True, slots=True)
class Load:
    """What a limit has to serve: the ends that running replies were promised, and how many replies come per second."""

    owed: int = 0
    arrivals: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.owed + other.owed, self.arrivals + other.arrivals)


def margin(calls: int) -> int:
    """How many calls of a window are neither promised nor used for interim frames."""
    return min(max(1, calls // _MARGIN_SHARE), max(0, calls - 1))


def spare(calls: int, owed: int) -> int:
    """How many calls a window may hold besides those that are owed; below 0: more is owed than there is."""
    return calls - margin(calls) - owed


def promises(calls: int, used: int, owed: int) -> bool:
    """Whether one more end can be promised: it will find its call whenever it comes."""
    return used + 1 <= spare(calls, owed)


def lively(calls: int, used: int, load: Load, seconds: float) -> bool:
    """Whether one more reply can have an interim call besides its end, as can all that come within a window."""
    left = spare(calls, load.owed)
    return used + 2 <= left and 2 * load.arrivals * seconds <= left


def pace(leave: Sequence[float], taken: int, usable: float, window: float, arrivals: float = 0.0) -> float:
    """Interim calls per second, at the highest rate that can be kept up over the horizon.

    `taken` calls count now, of which some leave the window of that many seconds in `leave` seconds, in this order. At
    most `usable` may count at any time, promises of `arrivals` per second included.
    """
    if window <= 0:  # shorter than an end may wait: there is nothing to spread
        return math.inf
    horizon = min(HORIZON_SECONDS, window)
    free = usable - taken
    rates = [(free + sum(each < horizon + CLOCK_DRIFT_SECONDS for each in leave)) / horizon - arrivals]
    for before, each in enumerate(leave):
        if 0 < each < horizon:
            rates.append((free + before + 1) / each - arrivals)
        elif each > 0:  # what is made within the horizon still counts then
            rates.append((free + before + 1 - arrivals * each) / horizon)
    rates.append((usable - arrivals * window) / horizon)
    return max(min(rates), (usable / window - arrivals) / 2, 0.0)


def rate(times: Iterable[float], now: float) -> float:
    """Arrivals per second to be expected after these times of arrival."""
    ages = [now - time for time in times if now - time < _COUNTED_SECONDS]
    if len(ages) < 2:
        return 0.0
    fullest = max(Counter(math.floor(age / _BURST_SECONDS) for age in ages).values())
    return (len(ages) - fullest) / max(_LEAST_SECONDS, max(ages) - _BURST_SECONDS)


class Arrivals:
    """When replies came, as far as that matters."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def note(self, now: float) -> None:
        """A reply came."""
        self._times.append(now)
        while self._times[0] <= now - _COUNTED_SECONDS:
            self._times.popleft()

    def rate(self, now: float) -> float:
        """How many come per second."""
        return rate(self._times, now)
