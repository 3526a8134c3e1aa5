"""Latest[T]: a cell that holds the newest value; writing never waits, reading waits for something new."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A one-slot cell between one writer and one reader on the same loop. What was not read in time is replaced."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._news = asyncio.Event()

    def set(self, value: T) -> None:
        """Replace the value. Never waits."""
        self.value = value
        self._news.set()

    async def next(self) -> T:
        """The newest value, once there is one that was not returned before."""
        await self._news.wait()
        self._news.clear()
        return self.value
