"""A circuit breaker without IO: decides whether to ask a server that keeps failing, and when to try it again."""

import random
from collections.abc import Callable
from enum import StrEnum

FAILURES = 5  # in a row; then the breaker opens
PAUSE_SECONDS = 5.0  # until the first probe
MAX_PAUSE_SECONDS = 120.0


class BreakerState(StrEnum):
    CLOSED = "closed"  # everybody may ask
    OPEN = "open"  # nobody may ask until the pause is over
    PROBING = "half-open"  # one request probes the server; the others wait for its outcome


class BreakerEvent(StrEnum):
    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_OFTEN = "failed often"  # the failure that completes the series
    PAUSED = "paused"  # the pause is over, and there is a request
    GIVEN_UP = "given up"  # the probe ended without a verdict


# Pairs that are missing change nothing: requests sent before the breaker opened may end at any time.
TRANSITIONS: dict[tuple[BreakerState, BreakerEvent], BreakerState] = {
    (BreakerState.CLOSED, BreakerEvent.FAILED_OFTEN): BreakerState.OPEN,
    (BreakerState.OPEN, BreakerEvent.PAUSED): BreakerState.PROBING,
    (BreakerState.OPEN, BreakerEvent.ANSWERED): BreakerState.CLOSED,
    (BreakerState.PROBING, BreakerEvent.ANSWERED): BreakerState.CLOSED,
    (BreakerState.PROBING, BreakerEvent.FAILED): BreakerState.OPEN,
    (BreakerState.PROBING, BreakerEvent.GIVEN_UP): BreakerState.OPEN,
}


class BreakerPermit:
    """Permission for one request. Report its outcome with `answered`, `failed` or `given_up`."""

    __slots__ = ()


class CircuitBreaker:
    """The breaker of one server or model. Times are passed in, as seconds of a monotonic clock."""

    def __init__(
        self,
        failures: int = FAILURES,
        pause: float = PAUSE_SECONDS,
        longest: float = MAX_PAUSE_SECONDS,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """The pause doubles with each failed probe, up to `longest`. `draw` (0 to 1) makes it up to a quarter longer,
        so that processes do not probe at the same time."""
        self._max_failures, self._pause, self._longest, self._draw = failures, pause, longest, draw
        self._next_pause = pause
        self._in_row = 0
        self._opens = 0.0  # when a probe may be sent
        self._probe: BreakerPermit | None = None
        self.state = BreakerState.CLOSED

    def wait(self, now: float) -> float:
        """Seconds until a request makes sense, 0.0 for now. While a probe is out: until the next one could be sent."""
        match self.state:
            case BreakerState.CLOSED:
                return 0.0
            case BreakerState.OPEN:
                return max(0.0, self._opens - now)
            case BreakerState.PROBING:
                return self._next_pause

    def enter(self, now: float) -> BreakerPermit | None:
        """A permit to ask; None while the breaker is open or another request probes."""
        if self.wait(now) > 0:
            return None
        self._step(BreakerEvent.PAUSED)
        permit = BreakerPermit()
        if self.state is BreakerState.PROBING:
            self._probe = permit
        return permit

    def answered(self) -> None:
        """The server has answered, whatever it said."""
        self._step(BreakerEvent.ANSWERED)
        self._in_row, self._next_pause, self._probe = 0, self._pause, None

    def failed(self, permit: BreakerPermit, now: float) -> None:
        """The server has not answered. Once the breaker is open, only the failure of a probe counts."""
        if self.state is BreakerState.CLOSED:
            self._in_row += 1
            opened = self._in_row >= self._max_failures and self._step(BreakerEvent.FAILED_OFTEN)
        else:
            opened = permit is self._probe and self._step(BreakerEvent.FAILED)
        if opened:
            self._opens = now + self._next_pause * (1 + self._draw() / 4)
            self._next_pause = min(2 * self._next_pause, self._longest)
            self._in_row, self._probe = 0, None

    def given_up(self, permit: BreakerPermit, now: float) -> None:
        """The request ended without an outcome. If it was the probe, the next one may be sent at once."""
        if permit is self._probe and self._step(BreakerEvent.GIVEN_UP):
            self._opens, self._probe = now, None

    def _step(self, event: BreakerEvent) -> bool:
        """Apply this event; returns whether it changed the state."""
        before, self.state = self.state, TRANSITIONS.get((self.state, event), self.state)
        return self.state is not before
