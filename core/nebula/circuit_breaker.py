"""A circuit breaker without IO: whether to ask a server that failed again and again, and when to try it next."""

import random
from collections.abc import Callable
from enum import StrEnum

FAILURES = 5  # in a row, after which it opens
PAUSE = 5.0  # seconds until the first probe
LONGEST_PAUSE = 120.0  # seconds


class State(StrEnum):
    CLOSED = "closed"  # all may ask
    OPEN = "open"  # nobody may, until the pause is over
    PROBING = "half-open"  # one asks, the others wait for what comes of it


class Event(StrEnum):
    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_OFTEN = "failed often"  # the last of so many in a row
    PAUSED = "paused"  # the pause is over, and somebody wants to ask
    GIVEN_UP = "given up"  # the probe ended without a verdict


# Events that are missing change nothing: requests that left before the breaker opened end when they end.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.FAILED_OFTEN): State.OPEN,
    (State.OPEN, Event.PAUSED): State.PROBING,
    (State.OPEN, Event.ANSWERED): State.CLOSED,
    (State.PROBING, Event.ANSWERED): State.CLOSED,
    (State.PROBING, Event.FAILED): State.OPEN,
    (State.PROBING, Event.GIVEN_UP): State.OPEN,
}


class Trial:
    """Leave to ask once; what came of it is told with `answered`, `failed` or `given_up`."""

    __slots__ = ()


class CircuitBreaker:
    """One server's or model's breaker. Times are seconds of a monotonic clock, passed in."""

    def __init__(
        self,
        failures: int = FAILURES,
        pause: float = PAUSE,
        longest: float = LONGEST_PAUSE,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """The pause doubles with each probe that fails, up to `longest`; `draw` (0 to 1) makes it up to a quarter
        longer, so that processes do not probe together."""
        self._most, self._pause, self._longest, self._draw = failures, pause, longest, draw
        self._next_pause = pause
        self._in_row = 0
        self._opens = 0.0  # when a probe may go
        self._probe: Trial | None = None
        self.state = State.CLOSED

    def wait(self, now: float) -> float:
        """The seconds until it is worth asking, 0.0 for now; while a probe is out, until the next one could be."""
        match self.state:
            case State.CLOSED:
                return 0.0
            case State.OPEN:
                return max(0.0, self._opens - now)
            case State.PROBING:
                return self._next_pause

    def enter(self, now: float) -> Trial | None:
        """Leave to ask; None while the breaker is open, or somebody else probes."""
        if self.wait(now) > 0:
            return None
        self._step(Event.PAUSED)
        permit = Trial()
        if self.state is State.PROBING:
            self._probe = permit
        return permit

    def answered(self) -> None:
        """The server answers, whatever it says."""
        self._step(Event.ANSWERED)
        self._in_row, self._next_pause, self._probe = 0, self._pause, None

    def failed(self, permit: Trial, now: float) -> None:
        """It did not answer. What left before the breaker opened, and is no probe, brings no news then."""
        if self.state is State.CLOSED:
            self._in_row += 1
            opened = self._in_row >= self._most and self._step(Event.FAILED_OFTEN)
        else:
            opened = permit is self._probe and self._step(Event.FAILED)
        if opened:
            self._opens = now + self._next_pause * (1 + self._draw() / 4)
            self._next_pause = min(2 * self._next_pause, self._longest)
            self._in_row, self._probe = 0, None

    def given_up(self, permit: Trial, now: float) -> None:
        """The request ended before it could be told; after a probe the next one may go at once."""
        if permit is self._probe and self._step(Event.GIVEN_UP):
            self._opens, self._probe = now, None

    def _step(self, event: Event) -> bool:
        """Whether this event changed the state."""
        before, self.state = self.state, TRANSITIONS.get((self.state, event), self.state)
        return self.state is not before
