"""A time limit that counts only while this process runs.

After a stall of the loop (a suspended or overloaded machine), the timers that came due meanwhile run before anybody
sees the answers that arrived meanwhile: with an ordinary timeout, each call of that moment fails although its answer
is here. So a limit is counted in slices, one after the other. A stall, however long, takes no more than a slice of it.
It is for answers of other programs; what somebody else ends at a time of the clock has an ordinary timeout.
"""

import asyncio
from typing import Any

_SLICES = 10


class awake:
    """As asyncio.timeout, but counts only the time in which the loop runs. `seconds`: None is no limit. Raises the
    built-in TimeoutError."""

    __slots__ = ("_left", "_loop", "_pause", "_scope", "_timer")

    def __init__(self, seconds: float | None) -> None:
        self._pause = None if seconds is None else seconds / _SLICES
        self._left = _SLICES
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        await self._scope.__aenter__()
        self._go_on()

    async def __aexit__(self, *error: Any) -> None:
        if self._timer:
            self._timer.cancel()
        await self._scope.__aexit__(*error)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self._go_on()
        else:
            self._scope.reschedule(self._loop.time())

    def _go_on(self) -> None:
        if self._pause is not None:
            self._timer = self._loop.call_later(self._pause, self._count)
