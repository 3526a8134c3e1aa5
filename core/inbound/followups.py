"""FollowUps: whether the bot listens to somebody who did not mention it, at the cost of one read where it may."""

import asyncio

from cachetools import TTLCache

from core.domain.conversation import Place
from core.inbound.listening import Listening, Remark, rule_of_message, rule_of_place
from core.store.settings import SettingsStore
from core.store.threads import AskedThreads

# How long, and for how many places, it is remembered that nobody is heard there without a mention. A change of a
# setting ends it at once, in all processes; a question that opens a thread does in the one that accepts it.
DEAF_SECONDS, _DEAF_PLACES = 10.0, 10_000
# How many looks use a connection at once; the others are for what must not wait.
_AT_ONCE = 8


class FollowUps:
    """One per process."""

    def __init__(self, settings: SettingsStore, threads: AskedThreads) -> None:
        self._settings, self._threads = settings, threads
        self._deaf: TTLCache[str, int] = TTLCache(_DEAF_PLACES, DEAF_SECONDS)  # as of this count of changes
        self._opened = 0
        self._looks = asyncio.Semaphore(_AT_ONCE)

    def may_be_meant(self, said: Remark, place: Place) -> bool:
        """Whether `is_meant` is worth a look: what is known without one says nothing against it."""
        return rule_of_message(said) is None and not self._is_deaf(place)

    async def is_meant(self, said: Remark, place: Place, person: str) -> bool:
        """Whether this message is a question or a command to the bot. Raises StoreError."""
        return rule_of_message(said) is None and await self.listens(place, person)

    async def listens(self, place: Place, person: str) -> bool:
        """Whether the bot listens to this person here without a mention. Raises StoreError."""
        if self._is_deaf(place):
            return False
        changes, opened = self._settings.changes, self._opened
        async with self._looks:
            settings, known = await asyncio.gather(self._settings.of(place), self._threads.standing(place, person))
        rule = rule_of_place(Listening(settings.listen, bool(settings.muted), known.opened, known.asked))
        if not rule.meant and rule.everybody and opened == self._opened:
            self._deaf[place.name] = changes
        return rule.meant

    def opened(self, place: Place, message: str) -> None:
        """This process accepted a question: a thread may follow it."""
        self._deaf.pop(place.name if place.thread else f"{place.name}/{message}", None)
        self._opened += 1

    def _is_deaf(self, place: Place) -> bool:
        return self._deaf.get(place.name) == self._settings.changes
