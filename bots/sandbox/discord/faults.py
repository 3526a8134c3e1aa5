"""Faults that can be switched on, per route: refused, failing, slow or half-done requests."""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from bots.sandbox.hold import Hold


class FaultKind(StrEnum):
    """What goes wrong."""

    RATE_LIMIT = "rate limit"  # 429 outside every bucket
    CLOUDFLARE = "cloudflare"  # 429 in HTML, without Via
    ERROR = "error"  # any status with a JSON error, not applied
    SLOW = "slow"  # applied, answered late
    LATE = "late"  # applied late, perhaps after requests that were sent after it
    RESET = "reset"  # applied, then the connection is reset instead of an answer


@dataclass(frozen=True, slots=True)
class DiscordFault:
    """One fault, for `times` requests (None: until cleared) to routes like "PATCH /channels/{channel}/messages/*".

    `seconds` is the retry_after of a rate limit, or the delay of a slow or late request, which may have a `hold`
    instead; `scope` is user, shared or global; the first `before` requests pass.
    """

    kind: FaultKind
    route: str
    times: int | None = 1
    seconds: float = 0.0
    scope: str = "user"
    status: int = 0
    code: int = 0
    message: str = ""
    before: int = 0
    hold: Hold | None = None

    async def wait(self) -> None:
        """Delay a slow or late request."""
        if self.hold:
            await self.hold.wait()
        else:
            await asyncio.sleep(self.seconds)


class DiscordFaults:
    """The active faults, oldest first. A request meets at most one."""

    def __init__(self) -> None:
        self._faults: list[DiscordFault] = []

    def rate_limit(
        self, route: str, retry_after: float, times: int | None = 1, *, scope: str = "user", before: int = 0
    ) -> None:
        """Answer 429 with `retry_after` seconds; `scope` global also says so in the body."""
        self._add(DiscordFault(FaultKind.RATE_LIMIT, route, times, retry_after, scope, before=before))

    def cloudflare(self, route: str, times: int | None = 1, *, before: int = 0) -> None:
        """Answer 429 as Cloudflare does to a banned address: HTML, no Via, no retry_after."""
        self._add(DiscordFault(FaultKind.CLOUDFLARE, route, times, before=before))

    def error(
        self, route: str, status: int, times: int | None = 1, *, code: int = 0, message: str = "", before: int = 0
    ) -> None:
        """Answer with `status` (5xx, or 4xx with a JSON `code`) without doing anything."""
        self._add(DiscordFault(FaultKind.ERROR, route, times, status=status, code=code, message=message, before=before))

    def slow(self, route: str, seconds: float, times: int | None = 1, *, before: int = 0) -> None:
        """Apply the request and answer it `seconds` later."""
        self._add(DiscordFault(FaultKind.SLOW, route, times, seconds, before=before))

    def late(self, route: str, seconds: float, times: int | None = 1, *, before: int = 0) -> None:
        """Apply the request `seconds` later, then answer it."""
        self._add(DiscordFault(FaultKind.LATE, route, times, seconds, before=before))

    def hold(self, route: str, *, late: bool = False, before: int = 0) -> Hold:
        """Apply one request, and keep its answer back until the hold is released. `late`: keep its effect back too."""
        held = Hold()
        self._add(DiscordFault(FaultKind.LATE if late else FaultKind.SLOW, route, before=before, hold=held))
        return held

    def reset(self, route: str, times: int | None = 1, *, before: int = 0) -> None:
        """Apply the request, then reset the connection: the caller can't know that it took effect."""
        self._add(DiscordFault(FaultKind.RESET, route, times, before=before))

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def meet(self, route: str) -> DiscordFault | None:
        """Take the fault that this request meets."""
        for index, fault in enumerate(self._faults):
            if not fnmatchcase(route, fault.route):
                continue
            if fault.before:
                self._faults[index] = replace(fault, before=fault.before - 1)
                return None
            if fault.times is not None:
                if fault.times > 1:
                    self._faults[index] = replace(fault, times=fault.times - 1)
                else:
                    del self._faults[index]
            if fault.hold:
                fault.hold.met = True
            return fault
        return None

    def _add(self, fault: DiscordFault) -> None:
        self._faults.append(fault)
