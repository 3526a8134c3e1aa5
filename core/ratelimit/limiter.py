"""RateLimiter: schedules calls to a platform so that no rate limit is ever exceeded and every reply gets its turn.

A hundred replies may grow at once, and the platform allows, say, five edits in five seconds in each channel. Somebody
has to decide who calls next. This is how.

A reply takes a `Ticket` when it starts and gives it up when it ends. For each call it asks its ticket for a `Permit`,
naming the `RateLimit` that the call counts against. Each limit has one bucket: a `SlidingWindow`, which knows when the
next call may leave, and a queue of the tickets that wait for it.

Final calls go first. They are new messages and the last edits of old ones; people miss them most. Among equals the
ticket goes first whose last call is the longest ago, because people have looked at an old state of that reply for the
longest time. And the first place in the queue is worth nothing if the window is used up when an answer ends. So interim
calls leave a few calls of the window unused, one for each running reply up to a fifth of the limit (up to three fifths
where more replies run than it has calls, and none of a limit below four), and are spread over the window instead of
being made at once. A reply that ends then usually finds a free call within FINAL_WAIT_SECONDS.

The window counts a call from its landing. We know when a call left and when its answer came, but not when the
platform counted it: somewhere in between. So while a call is on its way it counts as made just now, and after that as
made when its answer came. Our count is late, never early, and no window of the platform's holds more calls than it
allows. `async with permit` reports the landing; a permit that is not used has to be given back.

Some calls count twice, as when Discord limits each channel and the whole bot as well. Then the limit names a wider one
(`within`). The ticket first waits for the narrow limit and then, ahead of all interim calls, for the wider one.

Some limits are narrow for what a workspace may ask of them in a minute. There a fifth is not enough for all ends, and
an end that finds no call waits for many seconds. So of such a limit each end has a call promised before the reply is
shown at all; `core.ratelimit.plan` says who gets a promise, and what is left for interim calls.

Platforms teach us. An answer may state the limit: then that is the limit. It may be a refusal (`SlowDown`): then
nobody calls until the time that it names, and where the platform never states its limit, we halve what we believed it
to be and raise it again bit by bit. If the whole bot was refused, the wider limit waits, not the channel that was the
first to hit it.

Several processes may share a limit. Then our own window is only the first gate: the call also needs the consent of a
count that all of them share (`SharedRateLimit`, which is in Redis). Each request tells how many replies of this
process use the limit, and each decision tells how many there are anywhere; from the two each process works out its
share of the window. What is owed, and how many replies come, travels the same way. A refusal that one process meets
pauses all of them; only one of the whole bot is not passed on. While Redis is out of reach, each process goes by its
own count: it may be wrong about the others, but nothing stops.

Asking Redis before each call costs a round trip each. Under a wide limit, which does not spread its calls, a busy
process therefore asks ahead: for the calls that it is likely to make within AHEAD_SECONDS, judging by those that it
just made. Redis counts them as if made at the end of that time. What is not used by then expires; it was counted in
vain, which wastes a little of the limit and never exceeds it.
"""

from core.domain.rates import RateLimit
from core.ratelimit.bucket import Bucket, Permit, Seat
from core.ratelimit.shared import SharedRateLimit

# Above this number of buckets, those with nothing to remember are dropped.
_MAX_BUCKETS = 4096


class RateLimiter:
    """The buckets of this process, one for each limit.

    `shared` counts the calls of all processes. Without it, or while it is out of reach, this process goes by its own
    count.
    """

    def __init__(self, shared: SharedRateLimit | None = None) -> None:
        self._shared = shared
        self._buckets: dict[str, Bucket] = {}

    def ticket(self) -> "Ticket":
        """A place in the queues for a new reply."""
        return Ticket(self)

    async def permit(self, limit: RateLimit, *, final: bool = False) -> Permit:
        """A permit for a single call that belongs to no reply."""
        ticket = Ticket(self)
        try:
            return await ticket.permit(limit, final=final)
        finally:
            ticket.leave()

    def wait(self, limit: RateLimit) -> float:
        """Seconds that a final call under this limit would have to wait, as far as this process knows."""
        bucket = self._buckets.get(limit.scope)
        return bucket.final_wait() if bucket else 0.0

    def bucket(self, limit: RateLimit) -> Bucket:
        """The bucket of this limit; a new one if the limit is new."""
        bucket = self._buckets.get(limit.scope)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets = {name: each for name, each in self._buckets.items() if not each.idle}
            bucket = self._buckets[limit.scope] = Bucket(limit, self._shared if limit.shared else None)
        return bucket


class Ticket(Seat):
    """One reply's place in the queues. Leave it at the end: until then it counts as a reply that wants more calls."""

    def __init__(self, limiter: RateLimiter) -> None:
        super().__init__()
        self._limiter = limiter
        self._buckets: dict[str, Bucket] = {}
        self._arrived: set[str] = set()

    def owes(self, limit: RateLimit) -> bool:
        """Whether a call of this limit is promised for the end."""
        return limit.scope in self._buckets and self._buckets[limit.scope].owes(self)

    async def promise(self, limit: RateLimit, *, lively: bool = False, certain: bool = False) -> bool:
        """Promise a call of this limit for the end; False if there may be none when it is needed.

        The next final call keeps the promise; a new one replaces it. `lively`: only if there are interim calls for the
        reply, too. `certain`: the end is owed in any case.
        """
        bucket = self._bucket(limit)
        if bucket.owes(self):
            return True
        if lively and not bucket.lively():
            return False
        granted = await bucket.promise(self, certain=certain)
        if (granted or not lively) and limit.scope not in self._arrived:
            self._arrived.add(limit.scope)
            bucket.arrived()
        if granted:
            for other in self._buckets.values():
                if other is not bucket:
                    other.settle(self)
        return granted

    async def renew(self) -> None:
        """Let other processes know that what this one owes is still owed, if they have not heard of it for long.

        Whoever holds a promise calls this now and then while it waits for something else than a call of that limit.
        """
        for bucket in tuple(self._buckets.values()):
            if bucket.owes(self):
                await bucket.renew()

    async def permit(self, limit: RateLimit, *, final: bool = False) -> Permit:
        """Wait until a call may be made, and count it.

        In each bucket final calls go first; among equals, the ticket that has waited longest since its last call.
        """
        bucket = self._bucket(limit)
        permit = await bucket.wait(self, final=final)
        if limit.within:
            try:
                permit.within = await self.permit(limit.within, final=True)
            except BaseException:
                permit.give_back()
                raise
        return permit

    async def attempt(self, limit: RateLimit, *, final: bool = False) -> Permit | None:
        """A permit for a call that nobody waits for: now or not at all."""
        permit = await self._bucket(limit).attempt(self, final=final)
        if permit and limit.within:
            try:
                permit.within = await self.attempt(limit.within, final=True)
            finally:
                if permit.within is None:
                    permit.give_back()
        return permit if permit and (permit.within or not limit.within) else None

    def leave(self) -> None:
        """Give the place up; this reply makes no more calls."""
        for bucket in self._buckets.values():
            bucket.leave(self)
        self._buckets.clear()

    def _bucket(self, limit: RateLimit) -> Bucket:
        found = self._buckets[limit.scope] = self._limiter.bucket(limit)
        return found
