"""Latest[T]: a cell that holds only the newest value; writing never waits, reading waits for something new."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A one-slot cell between one writer and one reader on the same loop. A value not read in time is replaced."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._news = asyncio.Event()
        self._closed = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()

    def set(self, value: T) -> None:
        """Replace the value. Never waits."""
        self.value = value
        self._news.set()

    def close(self, value: T) -> None:
        """Replace the value for the last time."""
        self.set(value)
        self._closed.set()
        for scope in self._waits:
            scope.reschedule(asyncio.get_running_loop().time())

    async def next(self) -> T:
        """The newest value, as soon as there is one that was not returned before."""
        await self._news.wait()
        self._news.clear()
        return self.value

    async def newer(self) -> T:
        """The next value that is set after this call."""
        self._news.clear()
        return await self.next()

    async def closed(self) -> None:
        """Wait for the last value. Earlier ones do not wake the caller."""
        await self._closed.wait()

    @asynccontextmanager
    async def until_closed(self) -> AsyncIterator[None]:
        """Limit what is awaited inside: when the last value comes, it is given up with TimeoutError."""
        async with asyncio.timeout(0 if self._closed.is_set() else None) as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)
