"""RateLimiter: schedules calls to a platform so that no rate limit is ever exceeded and every reply gets its turn.

A hundred replies may grow at once, and the platform allows, say, five edits in five seconds in each channel. Somebody
has to decide who calls next. This is how.

A reply takes a `Ticket` when it starts and gives it up when it ends. For each call it asks its ticket for a `Permit`,
naming the `RateLimit` that the call counts against. Each limit has one bucket: a `SlidingWindow`, which knows when the
next call may leave, and a queue of the tickets that wait for it.

Final calls go first. They are new messages and the last edits of old ones; people miss them most. Among equals the
ticket goes first whose last call is the longest ago, because people have looked at an old state of that reply for the
longest time. And the first place in the queue is worth nothing if the window is used up when an answer ends. So interim
calls leave a few calls of the window unused, one for each running reply up to a fifth of the limit (none of a limit
below four), and are spread over the window instead of being made at once. A reply that ends then usually finds a free
call within FINAL_WAIT_SECONDS.

The window counts a call from its landing. We know when a call left and when its answer came, but not when the
platform counted it: somewhere in between. So while a call is on its way it counts as made just now, and after that as
made when its answer came. Our count is late, never early, and no window of the platform's holds more calls than it
allows. `async with permit` reports the landing; a permit that is not used has to be given back.

Some calls count twice, as when Discord limits each channel and the whole bot as well. Then the limit names a wider one
(`within`). The ticket first waits for the narrow limit and then, ahead of all interim calls, for the wider one.

Platforms teach us. An answer may state the limit: then that is the limit. It may be a refusal (`SlowDown`): then
nobody calls until the time that it names, and where the platform never states its limit, we halve what we believed it
to be and raise it again bit by bit. If the whole bot was refused, the wider limit waits, not the channel that was the
first to hit it.

Several processes may share a limit. Then our own window is only the first gate: the call also needs the consent of a
count that all of them share (`SharedRateLimit`, which is in Redis). Each request tells how many replies of this
process use the limit, and each decision tells how many there are anywhere; from the two each process works out its
share of the window. A refusal that one process meets pauses all of them; only one of the whole bot is not passed on.
While Redis is out of reach, each process goes by its own count: it may be wrong about the others, but nothing stops.

Asking Redis before each call costs a round trip each. Under a wide limit, which does not spread its calls, a busy
process therefore asks ahead: for the calls that it is likely to make within AHEAD_SECONDS, judging by those that it
just made. Redis counts them as if made at the end of that time. What is not used by then expires; it was counted in
vain, which wastes a little of the limit and never exceeds it.
"""

import asyncio
import heapq
import itertools
import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from core.domain.errors import SlowDown, StoreError
from core.domain.rates import RateLimit, RateLimitStatus
from core.ratelimit.window import FINAL_WAIT_SECONDS, SlidingWindow

log = logging.getLogger(__name__)

# Above this number of buckets, those with nothing to remember are dropped.
_MAX_BUCKETS = 4096
# Under a wide limit a busy process asks at once for all the calls that it will make within this time. They count as if
# made at its end, so that no window sees more calls than it allows.
AHEAD_SECONDS = 0.25
# The longest pause before a bucket is looked at again: what other replies learn may free it earlier than expected.
_RECHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that wants to leave, described for the count that processes share.

    It may be one of at most `calls` calls in a window of `seconds`, itself included, and one of at most `usable` in a
    window of `usable_seconds`. `active` is the number of replies of this process that use the limit, `ahead` the number
    of further calls that it is likely to make within AHEAD_SECONDS.
    """

    calls: int
    seconds: float
    usable: int
    usable_seconds: float
    active: int
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request: wait `wait` seconds (0: go).

    `active` replies use the limit in all processes together. `calls` is the limit as far as any process knows it.
    `ahead` more calls may leave within AHEAD_SECONDS without a request.
    """

    wait: float
    active: int
    calls: int
    ahead: int = 0


class SharedRateLimit(Protocol):
    """A count of calls that several processes share. Both methods raise StoreError."""

    async def admit(self, scope: str, request: CallRequest) -> Decision:
        """Count a call that leaves now, or say when it may leave."""
        ...

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Tell all processes that the platform wants no calls for `seconds`, and that we take `calls` for its limit."""
        ...


class RateLimiter:
    """The buckets of this process, one for each limit.

    `shared` counts the calls of all processes. Without it, or while it is out of reach, this process goes by its own
    count.
    """

    def __init__(self, shared: SharedRateLimit | None = None) -> None:
        self._shared = shared
        self._buckets: dict[str, _Bucket] = {}

    def ticket(self) -> "Ticket":
        """A place in the queues for a new reply."""
        return Ticket(self)

    async def permit(self, limit: RateLimit, *, final: bool = False) -> "Permit":
        """A permit for a single call that belongs to no reply."""
        ticket = Ticket(self)
        try:
            return await ticket.permit(limit, final=final)
        finally:
            ticket.leave()

    def wait(self, limit: RateLimit) -> float:
        """Seconds that the next final call under this limit has to wait, as far as this process knows."""
        bucket = self._buckets.get(limit.scope)
        return max(0.0, bucket.free_at(final=True) - bucket.now) if bucket else 0.0

    def bucket(self, limit: RateLimit) -> "_Bucket":
        """The bucket of this limit; a new one if the limit is new."""
        bucket = self._buckets.get(limit.scope)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets = {name: each for name, each in self._buckets.items() if not each.idle}
            bucket = self._buckets[limit.scope] = _Bucket(limit, self._shared if limit.shared else None)
        return bucket


class Ticket:
    """One reply's place in the queues. Leave it at the end: until then it counts as a reply that wants more calls."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.since = -math.inf  # when its last call was: what people see of this reply dates from then
        self.ending = False  # its next calls are its last: others need not share the limit with it any more
        self._limiter = limiter
        self._buckets: dict[str, _Bucket] = {}

    async def permit(self, limit: RateLimit, *, final: bool = False) -> "Permit":
        """Wait until a call may be made, and count it.

        In each bucket final calls go first; among equals, the ticket that has waited longest since its last call.
        """
        bucket = self._buckets[limit.scope] = self._limiter.bucket(limit)
        permit = await bucket.wait(self, final=final)
        if limit.within:
            try:
                permit.within = await self.permit(limit.within, final=True)
            except BaseException:
                permit.give_back()
                raise
        return permit

    def leave(self) -> None:
        """Give the place up; this reply makes no more calls."""
        for bucket in self._buckets.values():
            bucket.leave(self)
        self._buckets.clear()


class Permit:
    """One call. As a context it reports to its buckets when the call landed, and a SlowDown. Unused, give it back."""

    def __init__(self, bucket: "_Bucket", *, interim: bool) -> None:
        self._bucket = bucket
        self._left_at = bucket.now
        self.within: Permit | None = None
        self._before = bucket.window.take(self._left_at, interim=interim)

    def learn(self, status: RateLimitStatus | None) -> None:
        """Take over what the platform's answer says about the limit."""
        if status:
            self._bucket.window.learn(status, self._bucket.now)

    def give_back(self) -> None:
        """Report that the call is not made."""
        self._bucket.window.give_back(self._before)
        self._bucket.serve()
        if self.within:
            self.within.give_back()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._land()
        if isinstance(error, SlowDown):
            blamed = self.within if self.within and error.everywhere else self
            blamed.learn(error.rate_limit)
            await blamed._bucket.refused(error)
            blamed._bucket.serve()

    def _land(self) -> None:
        """Record that the call was answered. Awaits nothing, so that no bucket misses it."""
        self._bucket.window.land(self._left_at, self._bucket.now)
        self._bucket.serve()
        if self.within:
            self.within._land()


class _Bucket:
    """One limit: its window, and the tickets that wait for it."""

    def __init__(self, limit: RateLimit, shared: SharedRateLimit | None) -> None:
        self.window = SlidingWindow(limit.calls, limit.seconds, spread=limit.spread, least=limit.least)
        self._name, self._spread, self._shared = limit.scope, limit.spread, shared
        self._tickets: set[Ticket] = set()  # the replies that use it
        self.others = 0  # replies of other processes that use it
        self._ahead, self._ahead_until = 0, -math.inf  # calls that were granted ahead, and until when
        self._asking_ahead = False
        self._waiters: list[tuple[int, float, int, asyncio.Future[Permit]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def now(self) -> float:
        return self._loop.time()

    @property
    def idle(self) -> bool:
        """Whether nobody waits for it or uses it, and there is nothing to remember."""
        return not (self._waiters or self._tickets) and self.window.idle(self.now)

    def free_at(self, *, final: bool) -> float:
        active = max(1, len(self._tickets))
        return self.window.free_at(self.now, final=final, active=active, share=active / (active + self.others))

    def leave(self, ticket: Ticket) -> None:
        self._tickets.discard(ticket)

    async def wait(self, ticket: Ticket, *, final: bool) -> Permit:
        """The next permit for this reply, when it is its turn."""
        if ticket not in self._tickets:
            self._tickets.add(ticket)
            self.window.begin(ticket.since)
        while True:
            permit = await self._turn(0 if final else 1, ticket.since)
            if self._shared is None or await self._admitted(permit, final=final):
                ticket.since = self.now
                return permit
            permit.give_back()

    async def refused(self, error: SlowDown) -> None:
        """Pause: the platform, or our own count of all calls, refused a call."""
        seconds = error.retry_after
        if error.everywhere:
            self.window.hold(self.now + seconds)
            return
        if error.shared:
            self.window.hold(self.now + seconds)
        else:
            self.window.refused(self.now, seconds)
        if self._shared:
            with suppress(StoreError):
                await self._shared.refused(self._name, seconds, self.window.calls)

    async def _turn(self, rank: int, since: float) -> Permit:
        turn: asyncio.Future[Permit] = self._loop.create_future()
        heapq.heappush(self._waiters, (rank, since, next(self._order), turn))
        self.serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                turn.result().give_back()  # it was granted at the very moment of the cancellation
            self.serve()
            raise

    async def _admitted(self, permit: Permit, *, final: bool) -> bool:
        """Whether all processes together may make this call. While that can't be known, our own count decides."""
        assert self._shared
        if self._ahead and self.now < self._ahead_until:
            self._ahead -= 1
            return True
        window, active = self.window, sum(not ticket.ending for ticket in self._tickets)
        reserve = 0 if final else window.reserve(active + self.others)
        # Other processes see when our call leaves, not when it lands. So the shared window is longer than the real one
        # by the time that a call may take.
        seconds = window.seconds + min(window.flight, window.seconds / 10)
        usable_seconds = seconds - FINAL_WAIT_SECONDS * bool(reserve)
        ahead = 0  # where calls are spread, each has to ask: its answer tells how many replies share the limit by then
        if not (self._spread or self._asking_ahead):  # one caller at a time: in a burst each would ask for all
            ahead = max(0, min(window.landed_since(self.now - AHEAD_SECONDS), window.calls // 10) - 1)
        self._asking_ahead = self._asking_ahead or ahead > 0
        request = CallRequest(window.calls, seconds, window.calls - reserve, usable_seconds, active, ahead)
        asked = self.now
        try:
            decision = await self._shared.admit(self._name, request)
        except StoreError:
            return True
        except BaseException:
            permit.give_back()
            raise
        finally:
            self._asking_ahead = self._asking_ahead and not ahead
        if ahead:
            self._ahead, self._ahead_until = decision.ahead, asked + AHEAD_SECONDS
        self.others = max(0, decision.active - active)
        window.calls = min(window.calls, decision.calls)
        hold = window.hold if final else window.hold_interim
        hold(self.now + decision.wait)
        return decision.wait <= 0

    def serve(self) -> None:
        """Hand permits to those whose turn it is, and come back when the next call may leave."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            rank, _, _, turn = self._waiters[0]
            wait = 0.0 if turn.done() else self.free_at(final=rank == 0) - self.now
            if wait > 0:
                self._timer = self._loop.call_later(min(wait, _RECHECK_SECONDS), self.serve)
                return
            heapq.heappop(self._waiters)
            if not turn.done():
                turn.set_result(Permit(self, interim=rank == 1))
