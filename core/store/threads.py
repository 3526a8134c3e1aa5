"""Who asked in which thread, in Redis: one small set per channel, of ids alone, that `accept` fills."""

import time
from dataclasses import dataclass
from typing import Any

from core.domain.conversation import Place
from core.store.mailbox import Mailboxes, ms
from core.store.redis.client import guarded


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a question to the bot opened a thread, and whether a person has asked there."""

    opened: bool = False
    asked: bool = False


NO_THREAD = Standing()


class AskedThreads:
    """Reads and forgets what `Turns.accept` notes with each question, for a week. All calls raise StoreError.

    The set of a channel has the id of each thread that a question opened, and `<thread>/<person>` for each person who
    asked in it, each with the time (ms) at which it is forgotten. It is in the partition of the question's
    conversation: that of the channel or of the thread, whichever shared a history then. So both are read, at once.
    """

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes, self._redis = mailboxes, mailboxes.redis

    async def standing(self, place: Place, person: str) -> Standing:
        """What is known of the thread of this place, and of this person in it; one round trip."""
        if not place.thread:
            return NO_THREAD
        keys = self._mailboxes.asked_keys(place)
        async with guarded(), self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.zscore(key, place.thread)
                pipe.zscore(key, f"{place.thread}/{person}")
            found = await pipe.execute()
        now = time.time() * 1000
        return Standing(*(any(score is not None and score > now for score in found[kind::2]) for kind in (0, 1)))

    async def retain(self, channel: str, seconds: float) -> None:
        """Know of the threads of the channel with this scope for so many seconds more at most."""
        latest = (time.time() + seconds) * 1000
        for key in self._mailboxes.asked_in(channel):
            async with guarded():
                members: list[Any] = await self._redis.zrange(key, 0, -1)
                if members:
                    await self._redis.zadd(key, dict.fromkeys(members, latest), xx=True, lt=True)
                    await self._redis.pexpire(key, ms(seconds), lt=True)

    async def forget(self, channel: str, person: str = "") -> None:
        """Forget that this person, or without one anybody, asked in the threads of the channel with this scope."""
        for key in self._mailboxes.asked_in(channel):
            async with guarded():
                if not person:
                    await self._redis.unlink(key)
                    continue
                members: list[Any] = await self._redis.zrange(key, 0, -1)
                if mine := [each for each in members if each.endswith(f"/{person}".encode())]:
                    await self._redis.zrem(key, *mine)
