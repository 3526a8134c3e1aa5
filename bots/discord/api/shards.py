"""Shards: the share of the guilds that one connection serves, and the queue in which connections sign in."""

import asyncio
import re
from dataclasses import dataclass

from bots.discord.api.names import NAME

# Discord lets one connection sign in per 5 s (docs.discord.com, Gateway, Rate Limiting: max_concurrency, which is 1
# for all but the largest bots); we add a margin. We count from Discord's answer to the previous one: on a busy
# machine much time passes between leaving our queue and the moment at which Discord sees the sign-in.
IDENTIFY_SECONDS = 5.25
# A connection that gets no answer blocks the others for at most this long.
UNANSWERED_SECONDS = 30.0
_RANGE = re.compile(r"(\d+)(?:-(\d+))?/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One share: its number and the count of all; None for a bot with one connection."""

    id: int | None = None
    count: int | None = None

    @property
    def first(self) -> bool:
        """Whether this shard does the work that a bot does only once."""
        return not self.id

    @property
    def name(self) -> str:
        """The name under which the core records when this shard was last connected."""
        return NAME if self.id is None else f"{NAME}/{self.id}"


def shards_of(text: str | None) -> tuple[Shard, ...]:
    """Parse `0-3/8`: this process serves shards 0 to 3 of 8. None: one connection for all. Raises ValueError."""
    if not text:
        return (Shard(),)
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if not found:
        raise ValueError(text)
    first, count = int(found[1]), int(found[3])
    last = int(found[2] or first)
    if not first <= last < count:
        raise ValueError(text)
    return tuple(Shard(each, count) for each in range(first, last + 1))


class IdentifyQueue:
    """Lets one connection of this process sign in at a time.

    It does not know other processes: Discord refuses a connection that comes too early, which then tries again.
    """

    def __init__(self, connections: int) -> None:
        self._several = connections > 1
        self._lock = asyncio.Lock()
        self._free = 0.0  # when the next connection may sign in, by the loop's clock
        self._holder: object = None
        self._until: asyncio.TimerHandle | None = None

    async def wait(self, who: object) -> None:
        """Wait until this connection may sign in, which lasts until `done`. A single connection need not wait."""
        if not self._several:
            return
        loop = asyncio.get_running_loop()
        if self._holder is not who:  # otherwise its attempt failed before Discord answered
            await self._lock.acquire()
            self._holder = who
        self._watch(loop.call_later(UNANSWERED_SECONDS, self.done, who))
        await asyncio.sleep(max(0.0, self._free - loop.time()))
        self._free = loop.time() + IDENTIFY_SECONDS

    def done(self, who: object) -> None:
        """Discord answered, or the connection ended: start the wait of the next connection."""
        if self._holder is not who:
            return
        self._free = asyncio.get_running_loop().time() + IDENTIFY_SECONDS
        self._watch(None)
        self._holder = None
        self._lock.release()

    def _watch(self, until: asyncio.TimerHandle | None) -> None:
        if self._until:
            self._until.cancel()
        self._until = until
