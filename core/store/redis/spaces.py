"""Spaces: which part of Redis belongs to this bot, where other bots of the same platform may use the same server.

The first bot of a platform gets the names that begin with `nb:`; any other one gets `nb~<its id>:`. A marker without a
TTL says who was first. Nothing else tells two bots apart: both hear the same messages in the same places.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.store.redis.client import guarded

FIRST = "nb"
# How often a bot says again which space is its own.
KEEP_SECONDS = 10.0


class Spaces:
    """The spaces of the platforms that this process serves.

    A platform that was not announced has the first space: the console, which has no identity, and tests.
    """

    def __init__(self, expected: Iterable[str] = ()) -> None:
        """`expected`: the platforms of which `settle` will say which bot it is; until then none of their turns run."""
        self._pending = set(expected)
        self._prefixes: dict[str, str] = {}

    def prefix(self, name: str) -> str:
        """What the keys of a platform begin with. `name`: a scope, a conversation or a turn, which name their platform
        first."""
        return self._prefixes.get(name.partition("/")[0], FIRST)

    def own(self, name: str) -> str:
        """A name that only this bot uses, for what is counted beside the counts of other bots."""
        return f"{name.partition('/')[0]}{self.prefix(name).removeprefix(FIRST)}/{name.partition('/')[2]}"

    def is_settled(self, platform: str) -> bool:
        """Whether it is known which bot this process is on this platform."""
        return platform not in self._pending

    async def settle(self, redis: "Redis", platform: str, scope: str, bot: str) -> None:
        """This process is this bot, by the platform's own id, which stays the same with a new token. `scope`: where the
        bot is alone with its id (`slack/T1`, `discord`). Raises StoreError."""
        key = f"nb:owner:{{{scope}}}"
        async with guarded():
            await redis.set(key, bot, nx=True)
            owner = await redis.get(key)
        if owner is not None and owner != bot.encode():
            self._prefixes[platform] = f"{FIRST}~{bot}"
        self._pending.discard(platform)

    async def keep(self, redis: "Redis", platform: str, scope: str, bot: str) -> None:
        """Settle again and again, until cancelled: after the server lost its data, a bot that starts next must not take
        the space in which this one works."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            with suppress(StoreError):
                await self.settle(redis, platform, scope, bot)
