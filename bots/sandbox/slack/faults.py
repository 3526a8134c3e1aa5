"""Faults that a sandbox server can be told to show: per method, once, n times or until cleared."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for a call to go wrong. Times are in seconds.

    `gate` and `answer_gate` wait as `before` and `after` do, but until somebody sets them: they say what comes first,
    whatever the machine's speed.

    With `status` (HTTP) or `error` (the platform's own code) the call is not done; without them it is.
    """

    status: int = 0
    error: str = ""
    details: tuple[str, ...] = ()  # what the platform says beside its code
    body: str = ""  # sent as it is, in place of the platform's usual answer
    retry_after: int | None = None
    before: float = 0  # wait before the call is done
    after: float = 0  # wait between doing and answering
    reset: bool = False  # done, then the connection is cut without an answer
    gate: asyncio.Event | None = None
    answer_gate: asyncio.Event | None = None

    @property
    def refuses(self) -> bool:
        """Whether the call is answered without being done."""
        return bool(self.status or self.error)


def rate_limited(retry_after: int) -> Fault:
    """429 with Retry-After in whole seconds."""
    return Fault(status=429, retry_after=retry_after)


def server_error(status: int = 503) -> Fault:
    """A 5xx; the call is not done."""
    return Fault(status=status, body="upstream trouble")


def refused(error: str, *details: str) -> Fault:
    """The platform's own error code, and what it says beside it; the call is not done."""
    return Fault(error=error, details=details)


def page(body: str, status: int = 200) -> Fault:
    """This text in place of an answer, for example a login page where a file is expected."""
    return Fault(status=status, body=body)


def slow(seconds: float) -> Fault:
    """The call is done late."""
    return Fault(before=seconds)


def held(gate: asyncio.Event) -> Fault:
    """The call is done when the gate is set."""
    return Fault(gate=gate)


def applied_then_held(gate: asyncio.Event) -> Fault:
    """The call is done at once and answered when the gate is set."""
    return Fault(answer_gate=gate)


def applied_then_slow(seconds: float) -> Fault:
    """The call is done at once and answered late."""
    return Fault(after=seconds)


def applied_then_reset() -> Fault:
    """The call is done, and the connection is reset in place of an answer."""
    return Fault(reset=True)


@dataclass(slots=True)
class _Switched:
    fault: Fault
    left: int | None  # None: until cleared


@dataclass(slots=True)
class Faults:
    """The switchboard of one server.

    `latency`: seconds of a call's round trip, half of them before it is done and half before its answer leaves.
    """

    latency: float = 0
    _queues: dict[str, deque[_Switched]] = field(default_factory=dict)

    def add(self, method: str, fault: Fault, times: int | None = 1) -> None:
        """Show the fault on the next `times` calls of the method ("*": any), after those added before it."""
        if times is None or times > 0:
            self._queues.setdefault(method, deque()).append(_Switched(fault, times))

    def clear(self, method: str = "") -> None:
        """Forget the faults of one method, or all of them; the latency stays."""
        if method:
            self._queues.pop(method, None)
        else:
            self._queues.clear()

    def left(self, method: str) -> int:
        """How many faults of this method were not met yet by a call; one that is shown until cleared is one."""
        return sum(each.left or 1 for each in self._queues.get(method, ()))

    def take(self, method: str) -> Fault | None:
        """The fault that this call of the method must show; uses it up."""
        for key in (method, "*"):
            if queue := self._queues.get(key):
                first = queue[0]
                if first.left is not None:
                    first.left -= 1
                    if first.left == 0:
                        queue.popleft()
                return first.fault
        return None
