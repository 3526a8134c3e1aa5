"""Quotas in Redis: reserves what people and the whole account may use, under several limits in one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from core.store.redis.client import guarded
from core.store.redis.scripts import Script, ceil_ms, load

# An answer must not wait long for a count; a caller that gets none in time goes on without it. This is the same timeout
# as for any answer of a healthy server: on a busy machine the round trip can take half a second, and a caller that
# goes on uncounted soon exceeds the limit.
ANSWER_TIMEOUT_SECONDS = 2.0
# All limits of a step must be in one Cluster slot, and any limit may be combined with any other.
_TAG = "nb:{q}"


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """A bucket that allows `most` at once and refills by `per_second`; 0.0: all of it at 00:00 UTC."""

    name: str
    most: float
    per_second: float

    @classmethod
    def smooth(cls, name: str, most: float, seconds: float) -> "QuotaLimit":
        """A limit that no window of this many seconds exceeds: a fifth at once, the rest evenly. A full bucket that
        refills at the rate of the whole limit would let twice as much into one window."""
        return cls(name, 0.2 * most, 0.8 * most / seconds)

    @classmethod
    def refilled(cls, name: str, most: float, seconds: float) -> "QuotaLimit":
        """A limit that can be used up at once and refills within this many seconds."""
        return cls(name, most, most / seconds)

    @classmethod
    def daily(cls, name: str, most: float) -> "QuotaLimit":
        """A limit for each day in UTC."""
        return cls(name, most, 0.0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What to use under a limit. A cost of 0 only requires that there is no debt."""

    limit: QuotaLimit
    cost: float


@dataclass(frozen=True, slots=True)
class Granted:
    """Reserved: the request may start in `wait` seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class QuotaRefused:
    """Nothing was used. `limit` refused, None for a hold; there is room in `wait` seconds."""

    limit: QuotaLimit | None
    wait: float


def _bucket() -> None:
    """The functions that the steps share."""


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
    """Whether it is granted, the wait in milliseconds, and which limit refuses (from 1; 0: the hold)."""


def _settle(
    mark: str, record: str, limits: Sequence[str], /, *, remember_ms: int, taken: int, numbers: Sequence[float]
) -> Any:
    """Use more or give back, once for each mark."""


def _hold(hold: str, /, *, hold_ms: int) -> Any:
    """Let no request start for this long."""


class Quotas:
    """Reserves quotas with Lua steps: one round trip each, by the server's clock. All raise StoreError."""

    def __init__(
        self, redis: "Redis", *, remember: float = 3600, answer_timeout: float = ANSWER_TIMEOUT_SECONDS
    ) -> None:
        """`remember`: a step with the same name counts as a repetition for this many seconds, as a question does.
        `answer_timeout`: see ANSWER_TIMEOUT_SECONDS."""
        self._remember, self._answer_timeout = remember, answer_timeout
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
    ) -> Granted | QuotaRefused:
        """Reserve the demands under all limits, or nothing under any.

        Requests get their start times in the order of the calls; one that would start later than in `patience` seconds
        is refused. A repetition with the same `request` uses nothing again and returns the remaining wait: a longer one
        if there was a `hold` of this name in between, after which the waiting requests start `step` seconds apart.
        A request waits at most `held` seconds for a hold, if that is less than `patience`.
        """
        async with guarded(self._answer_timeout):
            granted, wait, which = await self._take(
                f"{_TAG}:r:{request}",
                f"{_TAG}:h:{hold}",
                _keys(demands),
                patience_ms=ceil_ms(patience),
                held_ms=ceil_ms(min(patience, patience if held is None else held)),
                remember_ms=ceil_ms(self._remember),
                step_ms=ceil_ms(step),
                numbers=_numbers(demands),
            )
        if granted:
            return Granted(wait / 1000)
        return QuotaRefused(demands[which - 1].limit if which else None, wait / 1000)

    async def settle(self, request: str, differences: Sequence[Demand], *, taken: bool = True) -> None:
        """Use more, even if that makes a debt, or give back where the cost is negative; once per `request`.

        `taken`: do so only if this request was granted, because the differences relate to what it reserved.
        """
        if differences:
            async with guarded(self._answer_timeout):
                await self._settle(
                    f"{_TAG}:s:{request}",
                    f"{_TAG}:r:{request}",
                    _keys(differences),
                    remember_ms=ceil_ms(self._remember),
                    taken=int(taken),
                    numbers=_numbers(differences),
                )

    async def hold(self, name: str, seconds: float) -> None:
        """Let no request under this name start within this many seconds, in any process."""
        async with guarded(self._answer_timeout):
            await self._hold(f"{_TAG}:h:{name}", hold_ms=ceil_ms(seconds))


def _keys(demands: Sequence[Demand]) -> list[str]:
    return [f"{_TAG}:l:{demand.limit.name}" for demand in demands]


def _numbers(demands: Sequence[Demand]) -> list[float]:
    return [number for demand in demands for number in (demand.limit.most, demand.limit.per_second / 1000, demand.cost)]
