"""Budget: the arithmetic of one rate limit, without clock or loop: when the next call may be.

The platform counts a call somewhere between our sending it and its answer. It is counted here from its landing, and as
made just now while it is on its way, so that no window of the platform's sees more calls than it allows, however long
each takes to arrive.
"""

import math
from collections import deque

from core.domain.rates import RateLimitStatus

# How long a final frame may have to wait for its call, in seconds: interim frames leave so much room and no more.
PATIENCE = 0.3
# Calls are spread over the window; over one longer than this they are spread so that the pace can be kept for so many
# seconds: answers that begin after a pause are shown more often than the limit allows for ever.
HORIZON = 30.0
# The platform's clock and ours may differ in speed. Seconds.
_DRIFT = 0.01
# Share of the limit that comes back in each half window without a refusal, where the platform does not tell its limit.
_RECOVERY = 0.2


class SlidingWindow:
    """At most `calls` in any window of `seconds`. All times are seconds of one monotonic clock."""

    def __init__(self, calls: int, seconds: float, *, spread: bool = True, least: float = 0.0) -> None:
        """`spread`: interim calls are spaced over the window, at least `least` seconds apart for each reply."""
        self.calls = calls
        self.seconds = seconds
        self.flight = 0.0  # how long calls take lately
        self._most, self._spread, self._least = calls, spread, least
        self._landed: deque[float] = deque()
        self._flying = 0
        self._held_until = -math.inf
        self._interim_until = -math.inf
        self._last = -math.inf
        self._told = False
        self._refused_at = -math.inf

    def free_at(self, now: float, *, final: bool, active: int = 1, share: float = 1.0) -> float:
        """The earliest time of the next call, infinite when that depends on the landing of others.

        `active` replies draw on this budget here, `share` of all that do anywhere.
        """
        self._recover(now)
        times = [self._held_until, self._after(self.calls, self.seconds)]
        if not final:
            reserve = self.reserve(active / share)
            times += [self._interim_until, self._after(self.calls - reserve, self.seconds - PATIENCE * bool(reserve))]
            if self._spread and active:
                times.append(self._last + self._spacing(now, reserve, active, share))
        return max(times)

    def reserve(self, active: float) -> int:
        """How many calls interim frames leave to final ones: each running reply will want one."""
        return min(math.ceil(active), max(1, self.calls // 5)) if self.calls >= 4 else 0

    def take(self, now: float, *, interim: bool) -> float:
        """A call leaves now; `land` must follow, or `give_back` with what is returned."""
        before = self._last
        self._flying += 1
        if interim:
            self._last = now
        return before

    def begin(self, shown: float) -> None:
        """A reply joins that was posted at this time: its first frame can wait as if that had been a call of ours."""
        self._last = max(self._last, shown)

    def land(self, left: float, now: float) -> None:
        """A call that left then was answered, or will not be any more."""
        self._flying -= 1
        self.flight += (now - left - self.flight) * (0.3 if self.flight else 1)
        self._landed.append(now)
        while len(self._landed) > max(self.calls, self._most):
            self._landed.popleft()

    def give_back(self, before: float) -> None:
        """A call that was taken is not made: the next one need not keep its distance."""
        self._flying -= 1
        self._last = before

    def hold(self, until: float) -> None:
        """Nobody calls before that time."""
        self._held_until = max(self._held_until, until)

    def hold_interim(self, until: float) -> None:
        """No interim frame goes before that time."""
        self._interim_until = max(self._interim_until, until)

    def refused(self, now: float, retry_after: float) -> None:
        """The platform refused a call. Where it never tells its limit, half of what we took for it is left."""
        if not self._told and now >= self._held_until and self.calls > 1:
            self.calls //= 2
            self._refused_at = now + retry_after
        self.hold(now + retry_after)

    def learn(self, told: RateLimitStatus, now: float) -> None:
        """Go by what the platform says instead of what we believe."""
        if told.limit < 1:
            return
        self._told = True
        self.calls = told.limit
        if told.remaining == told.limit - 1:  # the first of a window: all of it is ahead
            self.seconds = max(self.seconds, told.reset_after)
        if told.remaining <= 0:
            self.hold(now + told.reset_after)
        known = self.made_since(now - self.seconds)
        self._landed.extend([now] * (told.limit - told.remaining - known))  # somebody else's

    def made_since(self, then: float) -> int:
        """How many calls landed after that time, or are on their way."""
        return self._flying + sum(time > then for time in self._landed)

    def idle(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        recent = self._landed[-1] + self.seconds if self._landed else -math.inf
        return not self._flying and now > max(self._held_until, recent) and (self._told or self.calls == self._most)

    def _after(self, most: int, window: float) -> float:
        """When fewer than `most` calls will be in the window."""
        free = most - self._flying
        if free <= 0:
            return math.inf
        return self._landed[-free] + window + _DRIFT if len(self._landed) >= free else -math.inf

    def _spacing(self, now: float, reserve: int, active: int, share: float) -> float:
        """Seconds from one interim call to the next: the highest rate that can be kept up over the horizon.

        Until each call of the window leaves it, the calls that remain in it and the new ones must be within the limit.
        """
        usable = max(1, self.calls - reserve) * share
        window = self.seconds - PATIENCE * bool(reserve) + self.flight
        horizon = min(HORIZON, window)
        leave = [time + window - now for time in self._landed if time > now - window]
        taken = len(leave) + self._flying
        rates = [(usable - taken + sum(each < horizon + _DRIFT for each in leave)) / horizon]
        rates += [(usable - taken + before + 1) / each for before, each in enumerate(leave) if 0 < each < horizon]
        return max(self._least / active, 1 / max(min(rates), usable / window / 2))

    def _recover(self, now: float) -> None:
        if self.calls < self._most and not self._told and now - self._refused_at > self.seconds / 2:
            self.calls = min(self._most, self.calls + max(1, math.ceil(self._most * _RECOVERY)))
            self._refused_at = now
