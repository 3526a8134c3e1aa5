"""The ideal pacer of `make bench-live`: a pure simulation of what people could see of replies under the same limits.

It knows only what a bot knows: the tokens written until now, and the limits.

- Each budget is spent at an even rate, `calls` in `seconds`, never more than that in any rolling window: it keeps no
call in reserve, adds no margin to the window, and decides in no time. - The reply with the oldest visible token goes
next; among replies with none, the one with the oldest first token. - A message's first text is a call from the budget
of posts, as soon as the rolling window allows it. All later texts are edits at the even rate. - A call contains the
newest token of the time when it is sent. It takes effect half a round trip later and is answered after a whole one;
until then the same reply makes no other call. - A reply is cut into messages where the bot cut it. Text beyond a
message's end is a new post, once the message is completely shown.

The clairvoyant pacer differs in one thing: it knows how long the replies will run, and spreads all calls that the
window allows within that time over it. If the window is longer than the replies, it bursts.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sight:
    """From `at` on (seconds), people could see the first `tokens` tokens of a reply."""

    at: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` in any window of `seconds`, for all replies that share the scope."""

    scope: str
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply to show: when each of its tokens was written, and the budgets of its calls.

    `starts`: how many tokens precede each of its messages.
    """

    written: tuple[float, ...]
    post: Budget
    edit: Budget
    starts: tuple[int, ...] = (0,)


def age(written: Sequence[float], sights: Sequence[Sight]) -> float:
    """Mean age of the newest visible token between the first and the last token, integrated exactly, in seconds.

    Before anything is visible it is the age of the first token.
    """
    first, last = written[0], written[-1]
    area, since, newest = 0.0, first, first
    for sight in (*sorted(sights, key=lambda each: each.at), Sight(last, 0)):
        until = min(max(sight.at, since), last)
        area += ((until - newest) ** 2 - (since - newest) ** 2) / 2
        since, newest = until, written[max(sight.tokens, 1) - 1]
    return area / (last - first)


def ideal(streams: Sequence[Stream], trip: float) -> list[tuple[Sight, ...]]:
    """What people would see of each reply with the ideal pacer. `trip`: a round trip in seconds."""
    return _played(streams, trip, lambda budget: budget.seconds / budget.calls)


def clairvoyant(streams: Sequence[Stream], trip: float) -> list[tuple[Sight, ...]]:
    """The same with a pacer that knows the end of the replies."""
    runs = max(stream.written[-1] for stream in streams) - min(stream.written[0] for stream in streams)
    return _played(streams, trip, lambda budget: min(budget.seconds, runs) / budget.calls)


@dataclass(slots=True)
class _Shown:
    """The state of a reply in the simulation."""

    stream: Stream
    sent: int = 0  # tokens in the last call
    free: float = -math.inf  # when that call is answered
    sights: list[Sight] = field(default_factory=list)

    @property
    def posts(self) -> bool:
        """Whether the next call is a new message."""
        return self.sent in self.stream.starts

    @property
    def budget(self) -> Budget:
        return self.stream.post if self.posts else self.stream.edit

    @property
    def end(self) -> int:
        """How many tokens fit up to the end of the message of the next call."""
        return next((start for start in self.stream.starts if start > self.sent), len(self.stream.written))

    @property
    def wants(self) -> float:
        """When it has something new to show and may call again."""
        return max(self.free, self.stream.written[self.sent])

    @property
    def oldest(self) -> float:
        """The time of its newest visible token."""
        return self.stream.written[max(self.sent, 1) - 1]


def _played(streams: Sequence[Stream], trip: float, spacing: Callable[[Budget], float]) -> list[tuple[Sight, ...]]:
    replies = [_Shown(stream) for stream in streams]
    made: dict[str, list[float]] = defaultdict(list)

    def possible(reply: _Shown) -> float:
        budget, calls = reply.budget, made[reply.budget.scope]
        times = [reply.wants]
        if len(calls) >= budget.calls:
            times.append(calls[-budget.calls] + budget.seconds)
        if calls and not reply.posts:
            times.append(calls[-1] + spacing(budget))
        return max(times)

    while waiting := [reply for reply in replies if reply.sent < len(reply.stream.written)]:
        now = min(map(possible, waiting))
        reply = min((each for each in waiting if possible(each) <= now), key=lambda each: (each.sent > 0, each.oldest))
        made[reply.budget.scope].append(now)
        reply.sent = min(bisect_right(reply.stream.written, now), reply.end)
        reply.free = now + trip
        reply.sights.append(Sight(now + trip / 2, reply.sent))
    return [tuple(reply.sights) for reply in replies]
