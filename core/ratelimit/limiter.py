"""Pace: who may call a platform next: its limits are never met, final frames go first, and all get their turn."""

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
from core.ratelimit.window import PATIENCE, SlidingWindow

log = logging.getLogger(__name__)

# Scopes kept in memory before those that have nothing to remember are dropped.
_MOST_SCOPES = 4096
# Under a wide limit a busy process asks for several calls at once: for those that it will make within so many seconds.
# They count as if made at the end of that time, so that no window sees more calls than it allows.
AHEAD = 0.25
# The longest pause between two looks at a budget, in seconds: what others learn may set it free.
_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that wants to leave, for the count that processes share.

    At most `calls` in a window of `seconds`, itself included, and at most `usable` in one of `usable_seconds`.
    `active` replies of this process draw on the budget. `ahead`: so many more calls are likely within AHEAD seconds.
    """

    calls: int
    seconds: float
    usable: int
    usable_seconds: float
    active: int
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: `wait` so many seconds (0: go). `active` replies draw on the budget in all processes, and `calls` is
    the limit as far as any of them knows it. `ahead` more calls may leave within AHEAD seconds without being asked for.
    """

    wait: float
    active: int
    calls: int
    ahead: int = 0


class SharedRateLimit(Protocol):
    """The count of calls that several processes share. Both raise StoreError."""

    async def admit(self, scope: str, claim: CallRequest) -> Decision:
        """Count a call that leaves now, or say when it may."""
        ...

    async def refused(self, scope: str, seconds: float, calls: int) -> None:
        """Tell all that the platform wants nobody to call for so long, and what limit is left by our reckoning."""
        ...


class RateLimiter:
    """The budgets of this process. `ledger` counts what is shared with others; without it, and while it is out of
    reach, a process goes by its own count."""

    def __init__(self, ledger: SharedRateLimit | None = None) -> None:
        self._ledger = ledger
        self._scopes: dict[str, _Bucket] = {}

    def line(self) -> "Ticket":
        """A new reply's place in the budgets."""
        return Ticket(self)

    async def permit(self, pace: RateLimit, *, final: bool = False) -> "Permit":
        """A permit for a single call that belongs to no reply."""
        line = Ticket(self)
        try:
            return await line.permit(pace, final=final)
        finally:
            line.leave()

    def wait(self, pace: RateLimit) -> float:
        """How long the next final call of this pace would have to wait, as far as is known here. Seconds."""
        scope = self._scopes.get(pace.scope)
        return max(0.0, scope.free_at(final=True) - scope.now) if scope else 0.0

    def scope(self, pace: RateLimit) -> "_Bucket":
        """The budget of this pace."""
        scope = self._scopes.get(pace.scope)
        if scope is None:
            if len(self._scopes) >= _MOST_SCOPES:
                self._scopes = {name: each for name, each in self._scopes.items() if not each.idle}
            scope = self._scopes[pace.scope] = _Bucket(pace, self._ledger if pace.shared else None)
        return scope


class Ticket:
    """One reply's place in the lines for calls. To be left at its end: until then it counts as one who wants more."""

    def __init__(self, pacer: RateLimiter) -> None:
        self.since = -math.inf  # its last call: what people see of this reply is that old
        self.ending = False  # its next calls are its last: others need not share with it any more
        self._pacer = pacer
        self._in: dict[str, _Bucket] = {}

    async def permit(self, pace: RateLimit, *, final: bool = False) -> "Permit":
        """Wait until a call may be made, and count it.

        In a scope whoever had to wait longest for a call goes first, and final calls before all others.
        """
        scope = self._in[pace.scope] = self._pacer.scope(pace)
        permit = await scope.wait(self, final=final)
        if pace.within:
            try:
                permit.within = await self.permit(pace.within, final=True)
            except BaseException:
                permit.give_back()
                raise
        return permit

    def leave(self) -> None:
        """No more calls."""
        for scope in self._in.values():
            scope.leave(self)
        self._in.clear()


class Permit:
    """One call: a context around it tells the budgets when it landed, and of a SlowDown. Unused it is given back."""

    def __init__(self, scope: "_Bucket", *, interim: bool) -> None:
        self._scope = scope
        self._left = scope.now
        self.within: Permit | None = None
        self._before = scope.budget.take(self._left, interim=interim)

    def learn(self, told: RateLimitStatus | None) -> None:
        """What the platform's answer said about the limit."""
        if told:
            self._scope.budget.learn(told, self._scope.now)

    def give_back(self) -> None:
        """The call is not made."""
        self._scope.budget.give_back(self._before)
        self._scope.serve()
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
            blamed.learn(error.told)
            await blamed._scope.refused(error)
            blamed._scope.serve()

    def _land(self) -> None:
        """The call was answered. Nothing is awaited here, so that no budget misses it."""
        self._scope.budget.land(self._left, self._scope.now)
        self._scope.serve()
        if self.within:
            self.within._land()


class _Bucket:
    """One budget with those who wait for it."""

    def __init__(self, pace: RateLimit, ledger: SharedRateLimit | None) -> None:
        self.budget = SlidingWindow(pace.calls, pace.seconds, spread=pace.spread, least=pace.least)
        self._name, self._spread, self._ledger = pace.scope, pace.spread, ledger
        self._members: set[Ticket] = set()  # the replies that draw on it
        self.others = 0  # those of other processes
        self._ahead, self._ahead_until = 0, -math.inf  # calls that were asked for already
        self._waiters: list[tuple[int, float, int, asyncio.Future[Permit]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def now(self) -> float:
        return self._loop.time()

    @property
    def idle(self) -> bool:
        """Nobody waits or draws on it, and there is nothing to remember."""
        return not (self._waiters or self._members) and self.budget.idle(self.now)

    def free_at(self, *, final: bool) -> float:
        active = max(1, len(self._members))
        return self.budget.free_at(self.now, final=final, active=active, share=active / (active + self.others))

    def leave(self, line: Ticket) -> None:
        self._members.discard(line)

    async def wait(self, line: Ticket, *, final: bool) -> Permit:
        """The next permit in turn for this reply."""
        if line not in self._members:
            self._members.add(line)
            self.budget.begin(line.since)
        while True:
            permit = await self._turn(0 if final else 1, line.since)
            if self._ledger is None or await self._admitted(permit, final=final):
                line.since = self.now
                return permit
            permit.give_back()

    async def refused(self, error: SlowDown) -> None:
        """The platform said to come back later, or our own count of all calls did."""
        seconds = error.retry_after
        if error.everywhere:
            self.budget.hold(self.now + seconds)
            return
        if error.shared:
            self.budget.hold(self.now + seconds)
        else:
            self.budget.refused(self.now, seconds)
        if self._ledger:
            with suppress(StoreError):
                await self._ledger.refused(self._name, seconds, self.budget.calls)

    async def _turn(self, rank: int, since: float) -> Permit:
        turn: asyncio.Future[Permit] = self._loop.create_future()
        heapq.heappush(self._waiters, (rank, since, next(self._order), turn))
        self.serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                turn.result().give_back()  # granted in the very moment of the cancellation
            self.serve()
            raise

    async def _admitted(self, permit: Permit, *, final: bool) -> bool:
        """Whether all processes together may still make this call. While that can't be known, our own count decides."""
        assert self._ledger
        if self._ahead and self.now < self._ahead_until:
            self._ahead -= 1
            return True
        budget, active = self.budget, sum(not line.ending for line in self._members)
        reserve = 0 if final else budget.reserve(active + self.others)
        # Others see when a call of ours leaves, not when it lands: their window is longer by as much as that may take.
        window = budget.seconds + min(budget.flight, budget.seconds / 10)
        usable = window - PATIENCE * bool(reserve)
        ahead = 0  # where calls are spread, each tells how many replies share the budget by then
        if not self._spread:
            ahead = max(0, min(budget.made_since(self.now - AHEAD), budget.calls // 10) - 1)
        claim = CallRequest(budget.calls, window, budget.calls - reserve, usable, active, ahead)
        asked = self.now
        try:
            admission = await self._ledger.admit(self._name, claim)
        except StoreError:
            return True
        except BaseException:
            permit.give_back()
            raise
        self._ahead, self._ahead_until = admission.ahead, asked + AHEAD
        self.others = max(0, admission.active - active)
        budget.calls = min(budget.calls, admission.calls)
        hold = budget.hold if final else budget.hold_interim
        hold(self.now + admission.wait)
        return admission.wait <= 0

    def serve(self) -> None:
        """Give permits to those whose turn it is, and come back when the next one's will be."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            rank, _, _, turn = self._waiters[0]
            wait = 0.0 if turn.done() else self.free_at(final=rank == 0) - self.now
            if wait > 0:
                self._timer = self._loop.call_later(min(wait, _LOOK), self.serve)
                return
            heapq.heappop(self._waiters)
            if not turn.done():
                turn.set_result(Permit(self, interim=rank == 1))
