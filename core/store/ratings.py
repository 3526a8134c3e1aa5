"""Ratings in Redis: people's votes on a channel's answers, counted by model, one per person and answer."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.store.redis.client import guarded
from core.store.redis.scripts import load
from core.store.redis.spaces import Spaces


@dataclass(frozen=True, slots=True)
class Rating:
    """The votes on one model's answers."""

    model: str
    good: int
    bad: int


def _rate(votes: str, counts: str, /, *, person: str, vote: str, model: str, ttl_ms: int) -> Any:
    """Count a vote; it replaces an earlier one."""


class Ratings:
    """Counts votes and keeps them for `keep` seconds after the last one. All calls raise StoreError."""

    def __init__(self, redis: "Redis", keep: float, spaces: Spaces | None = None) -> None:
        self._redis, self._keep, self._spaces = redis, keep, spaces or Spaces()
        self._rate = load(redis, _rate)

    async def rate(self, scope: str, message: str, model: str, person: str, *, good: bool) -> None:
        """Count a vote on the answer in this message, for the channel with this scope."""
        votes, vote = f"{self._key(scope)}:votes:{message}", "good" if good else "bad"
        ttl = round(self._keep * 1000)
        async with guarded():
            await self._rate(votes, f"{self._key(scope)}:ratings", person=person, vote=vote, model=model, ttl_ms=ttl)

    async def of(self, scope: str) -> tuple[Rating, ...]:
        """The votes in this channel, by model."""
        async with guarded():
            counts: dict[Any, Any] = await self._redis.hgetall(f"{self._key(scope)}:ratings")
        found: dict[str, dict[str, int]] = {}
        for field, number in counts.items():
            with suppress(ValueError):  # a count that can't be read hides no others
                vote, _, model = field.decode().partition(" ")
                found.setdefault(model, {})[vote] = int(number)
        return tuple(Rating(name, votes.get("good", 0), votes.get("bad", 0)) for name, votes in sorted(found.items()))

    def _key(self, scope: str) -> str:
        return f"{self._spaces.prefix(scope)}:u:{{{scope}}}"
