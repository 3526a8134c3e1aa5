"""Handing questions to the core: in the order in which Discord sent them, and patiently while Redis is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

import stamina

from core.errors import StoreError

T = TypeVar("T")

# The gateway does not deliver an event again: how long a question that could not be stored is tried. Seconds.
STORE_PATIENCE = 10.0


class Arrivals:
    """One for all events of a client."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def in_turn(self, channel: int) -> AsyncIterator[None]:
        """One event of a channel at a time, first come, first served.

        discord.py runs every event in a task of its own; without this, two questions could overtake each other on
        their way to Redis. To be entered before anything else is awaited.
        """
        lock = self._locks.setdefault(channel, asyncio.Lock())
        async with lock:
            yield

    async def store(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do what stores a question, again and again for STORE_PATIENCE. Raises StoreError after that."""
        async for attempt in stamina.retry_context(on=StoreError, attempts=None, timeout=STORE_PATIENCE, wait_max=2):
            with attempt:
                return await step()
        raise AssertionError  # stamina returns or raises
