"""Long work in short pieces, so that all others on the loop run in between."""

import asyncio
from collections.abc import Generator
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

Pausing = Generator[None, None, T]
"""Work that yields wherever it can be paused, and returns its result. Whoever drops it loses nothing but that."""

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def at_once(work: Pausing[T]) -> T:
    """The result of the work, without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


async def with_pauses(work: Pausing[T]) -> T:
    """The result of the work. Other tasks run at each of its pauses."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        await pause()


async def pause() -> None:
    """Let all other tasks run. Of those that pause, one at a time goes on in a round of the loop, in order: however
    many do long work, the others wait for one piece of it.
    """
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
