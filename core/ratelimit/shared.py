"""What the count that several processes share is asked, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

from core.ratelimit.plan import Load

# Under a wide limit a busy process asks at once for all the calls that it will make within this time. They count as if
# made at its end, so that no window sees more calls than it allows.
AHEAD_SECONDS = 0.25
# What a process owes is forgotten when it has not been heard from for this long: it has died.
PROMISE_SECONDS = 120.0
# The count takes no load for one that promises nothing.
NO_LOAD = Load()


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that wants to leave, described for the count that processes share.

    It may be one of at most `calls` calls in a window of `seconds`, itself included, and one of at most `usable` in a
    window of `usable_seconds`. `active` is the number of replies of this process that use the limit, `ahead` the number
    of further calls that it is likely to make within AHEAD_SECONDS. `load`: what this process owes, and its arrivals,
    where calls are promised; of `usable`, an `interim` call then leaves all that any process owes.
    """

    calls: int
    seconds: float
    usable: int
    usable_seconds: float
    active: int
    ahead: int = 0
    load: Load | None = None
    interim: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request: wait `wait` seconds (0: go).

    `active` replies use the limit in all processes together. `calls` is the limit as far as any process knows it.
    `ahead` more calls may leave within AHEAD_SECONDS without a request. `load`: that of all processes.
    """

    wait: float
    active: int
    calls: int
    ahead: int = 0
    load: Load = NO_LOAD


@dataclass(frozen=True, slots=True)
class PromiseRequest:
    """An end that is to be promised, among at most `calls` calls in a window of `seconds`. `load` of this process holds
    it already. `certain`: it is owed in any case, and is only to be counted."""

    calls: int
    seconds: float
    load: Load
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """The answer: whether the end is `granted`; the `load` of all processes, and the limit as far as any knows it."""

    granted: bool
    calls: int
    load: Load


class SharedRateLimit(Protocol):
    """A count of calls that several processes share. All methods raise StoreError."""

    async def admit(self, scope: str, request: CallRequest) -> Decision:
        """Count a call that leaves now, or say when it may leave."""
        ...

    async def promise(self, scope: str, request: PromiseRequest) -> Promised:
        """Count an end that is owed from now on, if there will be a call for it."""
        ...

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Tell all processes that the platform wants no calls for `seconds`, and that we take `calls` for its limit."""
        ...
