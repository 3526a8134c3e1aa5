"""Faults that a test can switch on per method: once, n times or until cleared."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlackFault:
    """One way in which a call fails. Times are in seconds.

    `gate` and `answer_gate` delay a call as `before` and `after` do, but until the test sets them. They fix the order
    of events, whatever the machine's speed.

    With `status` (HTTP) or `error` (the platform's own code), the call has no effect; otherwise it takes effect.
    """

    status: int = 0
    error: str = ""
    details: tuple[str, ...] = ()  # what the platform says beside its code
    body: str = ""  # sent unchanged instead of the platform's usual answer
    retry_after: int | None = None
    before: float = 0  # wait before the call takes effect
    after: float = 0  # wait between the effect and the answer
    reset: bool = False  # the call takes effect, then the connection is cut without an answer
    gate: asyncio.Event | None = None
    answer_gate: asyncio.Event | None = None

    @property
    def refuses(self) -> bool:
        """Whether the call has no effect."""
        return bool(self.status or self.error)


def rate_limited(retry_after: int) -> SlackFault:
    """429 with Retry-After in whole seconds."""
    return SlackFault(status=429, retry_after=retry_after)


def server_error(status: int = 503) -> SlackFault:
    """A 5xx; the call has no effect."""
    return SlackFault(status=status, body="upstream trouble")


def refused(error: str, *details: str) -> SlackFault:
    """The platform's own error code, and what it says beside it; the call has no effect."""
    return SlackFault(error=error, details=details)


def page(body: str, status: int = 200) -> SlackFault:
    """This text instead of an answer, for example a login page instead of a file."""
    return SlackFault(status=status, body=body)


def slow(seconds: float) -> SlackFault:
    """The call takes effect late."""
    return SlackFault(before=seconds)


def held(gate: asyncio.Event) -> SlackFault:
    """The call takes effect when the gate is set."""
    return SlackFault(gate=gate)


def applied_then_held(gate: asyncio.Event) -> SlackFault:
    """The call takes effect at once and is answered when the gate is set."""
    return SlackFault(answer_gate=gate)


def applied_then_slow(seconds: float) -> SlackFault:
    """The call takes effect at once and is answered late."""
    return SlackFault(after=seconds)


def applied_then_reset() -> SlackFault:
    """The call takes effect, and the connection is reset instead of an answer."""
    return SlackFault(reset=True)


@dataclass(slots=True)
class _Switched:
    fault: SlackFault
    left: int | None  # None: until cleared


@dataclass(slots=True)
class SlackFaults:
    """The faults of one server.

    `latency`: seconds of a call's round trip, half before the call takes effect and half before its answer leaves.
    """

    latency: float = 0
    _queues: dict[str, deque[_Switched]] = field(default_factory=dict)

    def add(self, method: str, fault: SlackFault, times: int | None = 1) -> None:
        """Show the fault on the next `times` calls of the method ("*": any), after those added before it."""
        if times is None or times > 0:
            self._queues.setdefault(method, deque()).append(_Switched(fault, times))

    def clear(self, method: str = "") -> None:
        """Remove the faults of one method, or all of them; the latency stays."""
        if method:
            self._queues.pop(method, None)
        else:
            self._queues.clear()

    def left(self, method: str) -> int:
        """How many faults of this method no call has met yet. A fault without a number of times counts as one."""
        return sum(each.left or 1 for each in self._queues.get(method, ()))

    def take(self, method: str) -> SlackFault | None:
        """Take the fault that this call of the method must show."""
        for key in (method, "*"):
            if queue := self._queues.get(key):
                first = queue[0]
                if first.left is not None:
                    first.left -= 1
                    if first.left == 0:
                        queue.popleft()
                return first.fault
        return None
