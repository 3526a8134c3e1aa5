"""SlidingWindow: the arithmetic of one rate limit, without a clock or loop: when may the next call leave?

The platform counts a call at some time between our sending it and its answer. We count it from its landing, and as
made just now while it is on its way. So no window of the platform's holds more calls than it allows, however long each
call takes to arrive.
"""

import math
from collections import deque

from core.domain.rates import RateLimitStatus
from core.ratelimit.plan import CLOCK_DRIFT_SECONDS, Load, pace, spare

# The longest that a final frame has to wait for its call: interim frames leave that much room and no more.
FINAL_WAIT_SECONDS = 0.3
# Where the platform never states its limit: the share of it that comes back in each half window without a refusal.
_RECOVERY = 0.2


class SlidingWindow:
    """At most `calls` calls in any window of `seconds`. All times are seconds of one monotonic clock."""

    def __init__(self, calls: int, seconds: float, *, spread: bool = True, least: float = 0.0) -> None:
        """`spread`: space interim calls over the window, for each reply at least `least` seconds apart."""
        self.calls = calls
        self.seconds = self._least_seconds = seconds
        self.flight = 0.0  # seconds that a call has taken lately
        self._max_calls, self._spread, self._least = calls, spread, least
        self._landed: deque[float] = deque()
        self._flying = 0
        self._held_until = -math.inf
        self._interim_until = -math.inf
        self._last = -math.inf
        self._limit_known = False
        self._refused_at = -math.inf

    def free_at(
        self, now: float, *, final: bool, active: int = 1, share: float = 1.0, load: Load | None = None
    ) -> float:
        """The earliest time of the next call; infinite while that depends on the landing of others.

        `active` replies use this limit in this process; they are the fraction `share` of those in all processes.
        `load`: what all processes have promised, and their arrivals, where calls are promised.
        """
        self._recover(now)
        times = [self._held_until, self._after(self.calls, self.seconds)]
        if not final:
            usable, window = self.usable(active / share, load)
            times += [self._interim_until, self._after(usable, window)]
            if self._spread and active:
                times.append(self._last + self._spacing(now, usable, window, active, share, load))
        return max(times)

    def usable(self, active: float, load: Load | None = None) -> tuple[int, float]:
        """How many calls a window of how many seconds may hold once an interim call is made.

        Where ends are promised, all those are kept free. Elsewhere it is one for each running reply, up to a fifth of
        the limit, or up to three fifths where more replies run than a window has calls: their ends would else wait for
        two windows. An end may wait FINAL_WAIT_SECONDS.
        """
        if load is not None:
            return spare(self.calls, load.owed), self.seconds
        ends, reserve = math.ceil(active), 0
        if self.calls >= 4:
            reserve = min(ends, max(1, self.calls // 5, min(ends - self.calls, self.calls * 3 // 5)))
        return self.calls - reserve, self.seconds - FINAL_WAIT_SECONDS * bool(reserve)

    def used(self, now: float) -> int:
        """How many calls the window holds, those on their way included."""
        return self._flying + self.landed_since(now - self.seconds - CLOCK_DRIFT_SECONDS)

    def held(self, now: float) -> bool:
        """Whether the platform wants no call now."""
        return now < self._held_until

    def take(self, now: float, *, interim: bool) -> float:
        """A call leaves now. Afterwards call `land`, or `give_back` with the value returned here."""
        before = self._last
        self._flying += 1
        if interim:
            self._last = now
        return before

    def begin(self, shown: float) -> None:
        """A reply joins that was posted at this time. Its first frame waits as if the post had been a call under this
        limit.
        """
        self._last = max(self._last, shown)

    def land(self, left: float, now: float) -> None:
        """The call that left at `left` was answered, or never will be."""
        self._flying -= 1
        self.flight += (now - left - self.flight) * (0.3 if self.flight else 1)
        self._landed.append(now)
        while len(self._landed) > max(self.calls, self._max_calls):
            self._landed.popleft()

    def give_back(self, before: float) -> None:
        """The call that was taken is not made: the next one need not keep its distance from it."""
        self._flying -= 1
        self._last = before

    def hold(self, until: float) -> None:
        """Allow no call before that time."""
        self._held_until = max(self._held_until, until)

    def hold_interim(self, until: float) -> None:
        """Allow no interim frame before that time."""
        self._interim_until = max(self._interim_until, until)

    def refused(self, now: float, retry_after: float) -> None:
        """The platform refused a call. Where it never states its limit, halve what we believe it to be."""
        if not self._limit_known and now >= self._held_until and self.calls > 1:
            self.calls //= 2
            self._refused_at = now + retry_after
        self.hold(now + retry_after)

    def learn(self, status: RateLimitStatus, now: float) -> None:
        """Go by what the platform says instead of what we believe."""
        if status.limit < 1:
            return
        self._limit_known = True
        self.calls = status.limit
        if status.remaining == status.limit - 1:  # the first call of a window: all of it is still ahead
            self.seconds = max(self._least_seconds, status.reset_after)
        if status.remaining <= 0:
            self.hold(now + status.reset_after)
        known = self._flying + self.landed_since(now - self.seconds)
        self._landed.extend([now] * (status.limit - status.remaining - known))  # calls made by others

    def landed_since(self, then: float) -> int:
        """How many calls landed after that time."""
        return sum(time > then for time in self._landed)

    def idle(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        recent = self._landed[-1] + self.seconds if self._landed else -math.inf
        return (
            not self._flying
            and now > max(self._held_until, recent)
            and (self._limit_known or self.calls == self._max_calls)
        )

    def _after(self, calls: int, window: float) -> float:
        """The time from which the window holds fewer than `calls` calls."""
        free = calls - self._flying
        if free <= 0:
            return math.inf
        return self._landed[-free] + window + CLOCK_DRIFT_SECONDS if len(self._landed) >= free else -math.inf

    def _spacing(self, now: float, usable: int, window: float, active: int, share: float, load: Load | None) -> float:
        """Seconds from one interim call to the next, at the highest rate that can be kept up over the horizon."""
        window += self.flight
        leave = [time + window - now for time in self._landed if time > now - window]
        taken = len(leave) + self._flying
        if load is None:
            found = pace(leave, taken, max(1, usable) * share, window)
        else:
            found = pace(leave, taken, usable * share, window, load.arrivals * share)
        return max(self._least / active, 1 / found) if found else math.inf

    def _recover(self, now: float) -> None:
        if self.calls < self._max_calls and not self._limit_known and now - self._refused_at > self.seconds / 2:
            self.calls = min(self._max_calls, self.calls + max(1, math.ceil(self._max_calls * _RECOVERY)))
            self._refused_at = now
