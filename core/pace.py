"""Budgets per scope: who may call a platform next, so that its limits are never met and final frames go first."""

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable

from core.ports import Pace

# Our window is this much longer than the platform's: it counts when a call arrives, we when it leaves.
_MARGIN = 1.05


class Pacer:
    """Hands out permits for calls. Waiters of one scope are served in turn, final frames before all others.

    Interim frames are spread over the window and never take its last call, which is kept for a final frame.
    """

    def __init__(self) -> None:
        self._scopes: dict[str, _Scope] = {}

    async def permit(self, pace: Pace, *, final: bool = False) -> None:
        """Wait until a call may be made; it then counts as made."""
        await self._scope(pace).wait(final=final)

    def hold(self, pace: Pace, seconds: float) -> None:
        """The platform said to come back after so many seconds."""
        self._scope(pace).hold(seconds)

    def _scope(self, pace: Pace) -> "_Scope":
        scope = self._scopes.get(pace.scope)
        if scope is None:
            if len(self._scopes) >= 4096:
                self._scopes = {name: each for name, each in self._scopes.items() if not each.idle}
            scope = self._scopes[pace.scope] = _Scope(pace, asyncio.get_running_loop().time)
        return scope


class _Scope:
    """One budget: the times of the calls in the window, and those who wait."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._calls = pace.calls
        self._window = pace.seconds * _MARGIN
        self._spacing = self._window / max(1, pace.calls - 1)
        self._clock = clock
        self._made: deque[float] = deque(maxlen=pace.calls)
        self._held_until = -math.inf
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Nobody waits, no call is in the window, and the platform told nobody to wait."""
        free = max(self._held_until, self._made[-1] + self._window if self._made else -math.inf)
        return not self._waiters and self._clock() > free

    async def wait(self, *, final: bool) -> None:
        permit = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (0 if final else 1, next(self._order), permit))
        self._serve()
        try:
            await permit
        except asyncio.CancelledError:
            # A permit granted in the very moment of the cancellation stays counted: never too many calls.
            self._serve()
            raise

    def hold(self, seconds: float) -> None:
        self._held_until = max(self._held_until, self._clock() + seconds)

    def _serve(self) -> None:
        """Grant what may be granted now, and come back when the next one may be."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            priority, _, permit = self._waiters[0]
            if permit.done():
                heapq.heappop(self._waiters)
                continue
            wait = self._free_at(final=priority == 0) - self._clock()
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self._serve)
                return
            heapq.heappop(self._waiters)
            self._made.append(self._clock())
            permit.set_result(None)

    def _free_at(self, *, final: bool) -> float:
        """The earliest time of the next call."""
        usable = self._calls if final or self._calls == 1 else self._calls - 1
        times = [self._held_until]
        if len(self._made) >= usable:
            times.append(self._made[-usable] + self._window)
        if self._made and not final:
            times.append(self._made[-1] + self._spacing)
        return max(times)
