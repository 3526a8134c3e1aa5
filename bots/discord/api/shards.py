"""Shards: the share of the guilds that one connection hears of, and the line in which connections sign in."""

import asyncio
import re
from dataclasses import dataclass

from bots.discord.api.names import NAME

# One connection may sign in per so many seconds (docs.discord.com, Gateway, Rate Limiting: max_concurrency, which is 1
# for all but the largest bots), with a margin. They are counted from Discord's answer to the one before: on a busy
# machine much time passes between a turn in the line and the moment at which Discord sees it used.
IDENTIFY_SECONDS = 5.25
# Who is not answered keeps the others waiting no longer than that. Seconds.
HOLD_SECONDS = 30.0
_RANGE = re.compile(r"(\d+)(?:-(\d+))?/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """A share by its number and the number of all; None for a bot with one connection."""

    id: int | None = None
    count: int | None = None

    @property
    def first(self) -> bool:
        """Whether it is the one that does what is done once for a bot."""
        return not self.id

    @property
    def name(self) -> str:
        """What it is called for being away and present."""
        return NAME if self.id is None else f"{NAME}/{self.id}"


def shards_of(text: str | None) -> tuple[Shard, ...]:
    """`0-3/8`: the shards 0 to 3 of 8, which this process serves; None: all in one connection. Raises ValueError."""
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


class Queue:
    """Lets one connection of this process sign in at a time. Other processes are not known of: whoever comes too early
    is told so by Discord, and tries again."""

    def __init__(self, connections: int) -> None:
        self._several = connections > 1
        self._lock = asyncio.Lock()
        self._free = 0.0  # when the next may, by the loop's clock
        self._holder: object = None
        self._until: asyncio.TimerHandle | None = None

    async def turn(self, who: object) -> None:
        """Wait for one's turn, which lasts until `done`; at once where there is but one connection."""
        if not self._several:
            return
        loop = asyncio.get_running_loop()
        if self._holder is not who:  # else its try failed before Discord answered
            await self._lock.acquire()
            self._holder = who
        self._watch(loop.call_later(HOLD_SECONDS, self.done, who))
        await asyncio.sleep(max(0.0, self._free - loop.time()))
        self._free = loop.time() + IDENTIFY_SECONDS

    def done(self, who: object) -> None:
        """Discord answered it, or its connection ended: the next one's time begins."""
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
