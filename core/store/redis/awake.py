"""Time limits for Redis that count only while this process runs.

After a stall of the loop (a suspended or overloaded machine), the timers that came due meanwhile run before anybody
sees the answers that arrived meanwhile: with an ordinary timeout, each call of that moment fails although its answer
is here. So a limit is counted in slices, one after the other. A stall, however long, takes no more than a slice of it.
"""

import asyncio
from typing import Any, cast

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection

_SLICES = 10


class awake:
    """As asyncio.timeout, but counts only the time in which the loop runs. Raises the built-in TimeoutError."""

    __slots__ = ("_left", "_loop", "_pause", "_scope", "_timer")

    def __init__(self, seconds: float) -> None:
        self._pause, self._left = seconds / _SLICES, _SLICES

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        await self._scope.__aenter__()
        self._timer = self._loop.call_later(self._pause, self._count)

    async def __aexit__(self, *error: Any) -> None:
        self._timer.cancel()
        await self._scope.__aexit__(*error)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._pause, self._count)
        else:
            self._scope.reschedule(self._loop.time())


class _Awake(AbstractConnection):
    """In front of one of redis-py's connections: its limits for an answer and for connecting are those of `awake`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._answer_timeout, self.socket_timeout = self.socket_timeout, None

    async def read_response(self, disable_decoding: bool = False, timeout: float | None = None, **options: Any) -> Any:
        """As in the library. The end of a `timeout`, which a subscriber's read has, is no error and counts as ever."""
        if timeout is not None or self._answer_timeout is None:
            return await super().read_response(disable_decoding, timeout, **options)
        try:
            async with awake(self._answer_timeout):
                return await super().read_response(disable_decoding, **options)
        except TimeoutError:
            raise exceptions.TimeoutError(f"Timeout reading from {self._host_error()}") from None

    async def _connect(self) -> None:
        connect = super()._connect  # type: ignore[safe-super]  # it stands in front of a class that has it
        timeout = self.socket_connect_timeout
        # Connecting to a local socket never waits, and includes the handshake there.
        if timeout is None or isinstance(self, UnixDomainSocketConnection):
            return cast(None, await connect())  # type: ignore[no-untyped-call]
        self.socket_connect_timeout = None
        try:
            async with awake(timeout):
                await connect()  # type: ignore[no-untyped-call]
        finally:
            self.socket_connect_timeout = timeout  # closing has the same limit


def awakened(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """This class of connections, with limits that count only while this process runs."""
    return type(kind.__name__, (_Awake, kind), {})
