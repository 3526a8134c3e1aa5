"""Slots for work of which only some may run at once, shared fairly among the people who wait for it."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairSlots:
    """A free slot goes to whoever holds the fewest, in turn."""

    def __init__(self, count: int, each: int | None = None) -> None:
        """`count` slots, of which one person holds `each` at most, so that the others are free for somebody else."""
        self._free, self._each = count, each or count
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # whose turn it is comes first

    @asynccontextmanager
    async def one(self, person: str) -> AsyncIterator[None]:
        """Wait for a slot of this person's, and hold it."""
        slot = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(person, deque()).append(slot)
        self._assign()
        try:
            await slot
        except asyncio.CancelledError:
            if not slot.cancelled():  # it was given just before
                self._give_back(person)
            raise
        try:
            yield
        finally:
            self._give_back(person)

    def _give_back(self, person: str) -> None:
        self._free += 1
        self._held[person] -= 1
        if not self._held[person]:
            del self._held[person]
        if person in self._waiting:  # it was theirs: now it is the turn of others
            self._waiting[person] = self._waiting.pop(person)
        self._assign()

    def _assign(self) -> None:
        while self._free:
            able = [person for person in self._waiting if self._held[person] < self._each]
            if not able:
                return
            person = min(able, key=self._held.__getitem__)
            queue = self._waiting.pop(person)
            slot = queue.popleft()
            if queue:
                self._waiting[person] = queue  # behind the others
            if not slot.cancelled():
                self._free -= 1
                self._held[person] += 1
                slot.set_result(None)
