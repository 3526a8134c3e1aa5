"""Quotas in Redis: what people and the whole account may use, reserved under several limits in one step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.store.redis.client import guarded
from core.store.scripts import Script, load

# An answer must not wait long for a count; whoever gets none in time goes on without it. As long as any answer of a
# server that is not lost: on a busy machine half a second passes on the way, and who goes on uncounted soon breaks the
# limit. Seconds.
ANSWER = 2.0
# All limits of a step must be in one Cluster slot, and any may meet any other.
_TAG = "nb:{q}"


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket: at most `most` used at once, of which `per_second` comes back; 0.0: all of it at 00:00 UTC."""

    name: str
    most: float
    per_second: float

    @classmethod
    def smooth(cls, name: str, most: float, seconds: float) -> "Limit":
        """A limit that no window of so many seconds exceeds: a fifth at once, the rest evenly. A full bucket that
        refills with the whole limit would let twice as much into one window."""
        return cls(name, 0.2 * most, 0.8 * most / seconds)

    @classmethod
    def refilled(cls, name: str, most: float, seconds: float) -> "Limit":
        """All of it at once, after which it comes back within so many seconds."""
        return cls(name, most, most / seconds)

    @classmethod
    def daily(cls, name: str, most: float) -> "Limit":
        """So much on each day, by UTC."""
        return cls(name, most, 0.0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be used under a limit. A cost of 0 asks only that there is no debt."""

    limit: Limit
    cost: float


@dataclass(frozen=True, slots=True)
class Granted:
    """Reserved; the place begins in `wait` seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was used. `limit` refuses, None for a hold; there is a place in `wait` seconds."""

    limit: Limit | None
    wait: float


def _bucket() -> None:
    """What the steps share."""


def _take(
    record: str,
    hold: str,
    limits: Sequence[str],
    /,
    *,
    patience_ms: int,
    held_ms: int,
    remember_ms: int,
    step_ms: int,
    numbers: Sequence[float],
) -> Any:
    """Whether a place was given, the wait in milliseconds, and which limit refuses (from 1; 0: the hold)."""


def _settle(
    mark: str, record: str, limits: Sequence[str], /, *, remember_ms: int, taken: int, numbers: Sequence[float]
) -> Any:
    """Use more, or give back, once for each mark."""


def _hold(hold: str, /, *, hold_ms: int) -> Any:
    """Let nobody go on for so long."""


class Quotas:
    """The typed stubs of the Lua steps: one round trip each, by the server's clock. All raise StoreError."""

    def __init__(self, redis: "Redis", *, remember: float = 3600) -> None:
        """`remember`: seconds for which a step of the same name is known to be the same; as long as a mention's."""
        self._remember = remember
        bucket = Script(_bucket)
        self._take, self._settle = load(redis, _take, bucket), load(redis, _settle, bucket)
        self._hold = load(redis, _hold, bucket)

    async def take(
        self,
        request: str,
        demands: Sequence[Demand],
        *,
        patience: float = 0.0,
        hold: str = "",
        held: float | None = None,
        step: float = 0.2,
    ) -> Granted | Refused:
        """Reserve what is demanded under all limits, or nothing under any.

        Places are given in the order of the calls, the first beginning later than in `patience` seconds is refused.
        Repeated with the same `request`, it uses nothing again and says how long there still is to wait: more than
        before if there was a `hold` of this name in between, after which those who waited leave `step` seconds apart.
        For a hold it waits `held` seconds at most, if that is less than the patience.
        """
        async with guarded(ANSWER):
            granted, wait, which = await self._take(
                f"{_TAG}:r:{request}",
                f"{_TAG}:h:{hold}",
                _keys(demands),
                patience_ms=_ms(patience),
                held_ms=_ms(min(patience, patience if held is None else held)),
                remember_ms=_ms(self._remember),
                step_ms=_ms(step),
                numbers=_numbers(demands),
            )
        if granted:
            return Granted(wait / 1000)
        return Refused(demands[which - 1].limit if which else None, wait / 1000)

    async def settle(self, request: str, differences: Sequence[Demand], *, taken: bool = True) -> None:
        """Use so much more, also where it makes a debt, or give back where the cost is negative; once per `request`.

        `taken`: only if a place was given to this request, as the differences are to what it took.
        """
        if differences:
            async with guarded(ANSWER):
                await self._settle(
                    f"{_TAG}:s:{request}",
                    f"{_TAG}:r:{request}",
                    _keys(differences),
                    remember_ms=_ms(self._remember),
                    taken=int(taken),
                    numbers=_numbers(differences),
                )

    async def hold(self, name: str, seconds: float) -> None:
        """No place under this name begins within so many seconds, in all processes."""
        async with guarded(ANSWER):
            await self._hold(f"{_TAG}:h:{name}", hold_ms=_ms(seconds))


def _keys(demands: Sequence[Demand]) -> list[str]:
    return [f"{_TAG}:l:{demand.limit.name}" for demand in demands]


def _numbers(demands: Sequence[Demand]) -> list[float]:
    return [number for demand in demands for number in (demand.limit.most, demand.limit.per_second / 1000, demand.cost)]


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
