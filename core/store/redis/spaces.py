"""Spaces: which part of Redis belongs to this bot, where other bots of the same platform may use the same server.

The first bot of a platform gets the names that begin with `nb:`; any other one gets `nb~<its id>:`. A marker without a
TTL says who was first. Nothing else tells two bots apart: both hear the same messages in the same places.
"""

from collections.abc import Iterable

from redis.asyncio import Redis

from core.store.redis.client import guarded

FIRST = "nb"


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
