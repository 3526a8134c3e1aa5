"""Bucket: one limit, with its window, the tickets that wait for it, and what it owes them."""

import asyncio
import heapq
import itertools
import math
from contextlib import suppress
from types import TracebackType
from typing import Self

from core.domain.errors import SlowDown, StoreError
from core.domain.rates import RateLimit, RateLimitStatus
from core.ratelimit.plan import Arrivals, Load, lively, promises
from core.ratelimit.shared import (
    AHEAD_SECONDS,
    NO_LOAD,
    PROMISE_SECONDS,
    CallRequest,
    Decision,
    Promised,
    PromiseRequest,
    SharedRateLimit,
)
from core.ratelimit.window import SlidingWindow

# The longest pause before a bucket is looked at again: what other replies learn may free it earlier than expected.
_RECHECK_SECONDS = 1.0
# How long to go by what others told of their load. What they promised may have been kept by then; only the shared count
# knows, and it is asked.
_FRESH_SECONDS = 2.0
# A process that owes ends makes itself heard at least this often.
_RENEWAL_SECONDS = PROMISE_SECONDS / 4


class Seat:
    """One reply, in the queues of all buckets."""

    def __init__(self) -> None:
        self.since = -math.inf  # when its last call was: what people see of this reply dates from then
        self.ending = False  # its next calls are its last: others need not share the limit with it any more


class Permit:
    """One call. As a context it reports to its buckets when the call landed, and a SlowDown. Unused, give it back."""

    def __init__(self, bucket: "Bucket", *, interim: bool) -> None:
        self._bucket = bucket
        self._left_at = bucket.now
        self.within: Permit | None = None
        self._before = bucket.window.take(self._left_at, interim=interim)
        self._kept: Seat | None = None  # whose promise it keeps

    def ends(self, seat: Seat) -> None:
        """This call shows the end that was promised to this reply, if one was."""
        if self._bucket.owes(seat):
            self._bucket.settle(seat)
            self._kept = seat

    def learn(self, status: RateLimitStatus | None) -> None:
        """Take over what the platform's answer says about the limit."""
        if status:
            self._bucket.window.learn(status, self._bucket.now)

    def give_back(self) -> None:
        """Report that the call is not made."""
        self._bucket.window.give_back(self._before)
        if self._kept:
            self._bucket.owe(self._kept)
        self._bucket.serve()
        if self.within:
            self.within.give_back()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error and self._kept:
            self._bucket.owe(self._kept)  # the end is not on screen yet
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


class Bucket:
    """One limit: its window, and the replies that wait for it."""

    def __init__(self, limit: RateLimit, shared: SharedRateLimit | None) -> None:
        self.window = SlidingWindow(limit.calls, limit.seconds, spread=limit.spread, least=limit.least)
        self._name, self._spread, self._promised, self._shared = limit.scope, limit.spread, limit.promised, shared
        self._seats: set[Seat] = set()  # the replies that use it
        self.others = 0  # replies of other processes that use it
        self._owed: set[Seat] = set()  # the replies whose end has a call promised
        self._elsewhere = NO_LOAD  # the load of other processes
        self._arrivals = Arrivals()
        self._heard = -math.inf  # when the shared count last heard of what is owed here
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
        return not (self._waiters or self._seats or self._owed) and self.window.idle(self.now)

    @property
    def load(self) -> Load:
        """What all processes owe, and how many replies come to them."""
        fresh = self.now - self._heard < _FRESH_SECONDS
        return self._own_load + self._elsewhere if fresh else self._own_load

    @property
    def _own_load(self) -> Load:
        return Load(len(self._owed), self._arrivals.rate(self.now))

    def free_at(self, *, final: bool) -> float:
        active, load = max(1, len(self._seats)), self.load if self._promised else None
        share = active / (active + self.others)
        return self.window.free_at(self.now, final=final, active=active, share=share, load=load)

    def final_wait(self) -> float:
        """Seconds that a final call would have to wait if it were asked for now, behind those that wait already; never
        infinite."""
        window, at = self.window, self.free_at(final=True)
        if at == math.inf:  # it depends on calls that are on their way
            at = self.now + window.flight + window.seconds
        ahead = sum(rank == 0 and not turn.done() for rank, _, _, turn in self._waiters)
        return max(0.0, at - self.now) + ahead * window.seconds / window.calls

    def leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        self._owed.discard(seat)

    # --- promises ---

    def owes(self, seat: Seat) -> bool:
        """Whether this reply's end has a call promised."""
        return seat in self._owed

    def owe(self, seat: Seat) -> None:
        self._owed.add(seat)

    def settle(self, seat: Seat) -> None:
        self._owed.discard(seat)

    def arrived(self) -> None:
        """Count a reply that wants a promise."""
        self._arrivals.note(self.now)

    def lively(self) -> bool:
        """Whether one more reply could have interim calls as well; always where interim calls count elsewhere."""
        window = self.window
        return not self._spread or lively(window.calls, window.used(self.now), self.load, window.seconds)

    async def promise(self, seat: Seat, *, certain: bool = False) -> bool:
        """Promise a call for this reply's end, if there will be one; `certain`: in any case. False if not."""
        window = self.window
        if not certain:
            room = promises(window.calls, window.used(self.now), self.load.owed)
            if not room or window.held(self.now) or (self._waiters and self._waiters[0][0] == 0):
                return False
        self.owe(seat)
        if self._shared is None:
            return True
        try:
            answer = await self._tell(certain=certain)
        except StoreError:
            return True
        except BaseException:
            self.settle(seat)
            raise
        if not answer.granted:
            self.settle(seat)
        return answer.granted

    async def renew(self) -> None:
        """Let others know that what is owed here is still owed, if they have not heard of it for long."""
        if self._owed and self._shared and self.now - self._heard >= _RENEWAL_SECONDS:
            with suppress(StoreError):
                await self._tell(certain=True)

    async def _tell(self, *, certain: bool) -> Promised:
        """Tell the shared count what is owed here. `certain`: nothing of it is in question."""
        assert self._shared
        own, window = self._own_load, self.window
        request = PromiseRequest(window.calls, self._shared_seconds, own, certain)
        answer = await self._shared.promise(self._name, request)
        self._learn_load(answer, own if answer.granted else Load(own.owed - 1, own.arrivals))
        return answer

    def _learn_load(self, answer: Promised | Decision, own: Load) -> None:
        self._heard = self.now
        self._elsewhere = Load(max(0, answer.load.owed - own.owed), max(0.0, answer.load.arrivals - own.arrivals))
        self.window.calls = min(self.window.calls, answer.calls)

    # --- calls ---

    async def wait(self, seat: Seat, *, final: bool) -> Permit:
        """The next permit for this reply, when it is its turn."""
        if seat not in self._seats:
            self._seats.add(seat)
            self.window.begin(seat.since)
        while True:
            permit = await (self._turn(0, seat.since) if final else self._heard_turn(seat.since))
            if final:
                permit.ends(seat)
            if self._shared is None or await self._admitted(permit, final=final):
                seat.since = self.now
                return permit
            permit.give_back()

    async def attempt(self, seat: Seat, *, final: bool) -> Permit | None:
        """A permit, if a call may be made right now."""
        if self._waiters or self.free_at(final=final) > self.now:
            return None
        permit = Permit(self, interim=not final)
        if final:
            permit.ends(seat)
        if self._shared is None or await self._admitted(permit, final=final):
            return permit
        permit.give_back()
        return None

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

    async def _heard_turn(self, since: float) -> Permit:
        """A turn for an interim call. In a long wait others learn that what is owed here is still owed."""
        while True:
            try:
                async with asyncio.timeout(_RENEWAL_SECONDS if self._owed and self._shared else None):
                    return await self._turn(1, since)
            except TimeoutError:
                await self.renew()

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

    @property
    def _shared_seconds(self) -> float:
        """The length of the shared window. Other processes see when our call leaves, not when it lands. So it is longer
        than the real one by the time that a call may take."""
        return self.window.seconds + min(self.window.flight, self.window.seconds / 10)

    async def _admitted(self, permit: Permit, *, final: bool) -> bool:
        """Whether all processes together may make this call. While that can't be known, our own count decides."""
        assert self._shared
        if self._ahead and self.now < self._ahead_until:
            self._ahead -= 1
            return True
        window, active = self.window, sum(not seat.ending for seat in self._seats)
        usable, usable_seconds = window.calls, window.seconds
        if not final:
            usable, usable_seconds = window.usable(active + self.others, NO_LOAD if self._promised else None)
        seconds = self._shared_seconds
        ahead = 0  # where calls are spread, each has to ask: its answer tells how many replies share the limit by then
        if not (self._spread or self._promised or self._asking_ahead):  # one caller at a time: in a burst all would ask
            ahead = max(0, min(window.landed_since(self.now - AHEAD_SECONDS), window.calls // 10) - 1)
        self._asking_ahead = self._asking_ahead or ahead > 0
        own = self._own_load if self._promised else NO_LOAD
        request = CallRequest(
            window.calls,
            seconds,
            usable,
            usable_seconds + seconds - window.seconds,
            active,
            ahead,
            own if self._promised else None,
            not final,
        )
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
        self._learn_load(decision, own)
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
