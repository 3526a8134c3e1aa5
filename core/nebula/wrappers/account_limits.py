"""Queues requests under the Nebula account's rate limits, across all processes, instead of running into HTTP 429."""

import asyncio
import logging
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.domain.chat import ChatRequest, Usage
from core.domain.errors import ModelError, RateLimited, StoreError
from core.prompt.tokens import PICTURE_TOKENS, TokenEstimator
from core.store.quotas import Demand, Granted, QuotaLimit, QuotaRefused, Quotas

log = logging.getLogger(__name__)

DEFAULT_OUTPUT_TOKENS = 1024  # the estimate for an answer when the request sets no max_tokens
DEFAULT_HOLD_SECONDS = 5.0  # how long to leave a model alone after a 429 that does not say
# How long to leave Redis alone after it failed, so that answers do not wait for it again and again.
UNCOUNTED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tier:
    """The limits of an account; None means no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None


# Nebula's documentation, Tier Overview (February 2026); a day begins at 00:00 UTC.
TIERS = {
    "engineer1": Tier(60, 60_000, 200),
    "engineer2": Tier(300, 150_000, 1_000),
    "engineer3": Tier(600, 200_000, 2_000),
    "expert1": Tier(1_500, 500_000),
    "expert2": Tier(3_000, 800_000),
}


@dataclass(frozen=True, slots=True)
class Reservation:
    """The capacity reserved for one request. The number of tokens is an estimate."""

    name: str
    request: ChatRequest
    demands: tuple[Demand, ...]


class AccountRateLimits:
    """Reserves capacity under an account's limits. Without Redis, requests go out uncounted rather than wait."""

    def __init__(self, quotas: Quotas, tier: Tier = Tier(), *, patience: float = 60.0, minute: float = 60.0) -> None:
        """`patience`: how long a request may wait for capacity, in seconds. `minute`: how many seconds a minute has."""
        self._quotas, self._patience = quotas, patience
        rpm, tpm, rpd = tier.requests_per_minute, tier.tokens_per_minute, tier.requests_per_day
        self._requests = [QuotaLimit.smooth("account/requests", rpm, minute)] if rpm else []
        if rpd:
            self._requests.append(QuotaLimit.daily("account/day", rpd))
        self._tokens = QuotaLimit.smooth("account/tokens", tpm, minute) if tpm else None
        # After a hold, waiting requests leave no faster than the limit allows; without a limit, not all at once.
        self._step = 1 / self._requests[0].per_second if rpm else 0.2
        self._estimator = TokenEstimator()
        self._uncounted_until = 0.0

    async def reserve(
        self, request: ChatRequest, *, held: float | None = None, patience: float | None = None
    ) -> Reservation:
        """Wait until the request may be sent, behind a hold at most `held` seconds. Raises RateLimited if there is no
        capacity within that time and the `patience`; None: the account's."""
        demands = [Demand(limit, 1) for limit in self._requests]
        if self._tokens:
            demands.append(Demand(self._tokens, self._estimate(request)))
        reservation = Reservation(uuid.uuid4().hex, request, tuple(demands))
        await self._wait(reservation, held, patience)
        return reservation

    async def reserve_retry(self, model: str, error: ModelError) -> None:
        """Wait until a retry after this error may be sent: it counts as another request. Raises RateLimited."""
        if isinstance(error, RateLimited):
            await self.hold(model, error)
        demands = tuple(Demand(limit, 1) for limit in self._requests)
        await self._wait(Reservation(uuid.uuid4().hex, ChatRequest(model, ()), demands))

    async def cancel(self, reservation: Reservation) -> None:
        """Give the capacity back: the request was not sent."""
        await self._settle(reservation, [replace(demand, cost=-demand.cost) for demand in reservation.demands])

    async def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Correct the estimate: the request cost these tokens; None if it failed before it cost any."""
        spent = usage.prompt + usage.completion if usage else 0
        if usage and usage.prompt and not reservation.request.pictures:
            texts = [message.content for message in reservation.request.messages]
            self._estimator.learn(reservation.request.model, texts, usage.prompt)
        await self._settle(
            reservation,
            [Demand(each.limit, spent - each.cost) for each in reservation.demands if each.limit is self._tokens],
        )

    async def hold(self, model: str, error: RateLimited) -> None:
        """After a refusal by the server: all processes leave this model alone for as long as it says."""
        seconds = DEFAULT_HOLD_SECONDS if error.retry_after is None else error.retry_after
        if self._uncounted:
            return
        try:
            await self._quotas.hold(f"account/{model}", seconds)
        except StoreError as failure:
            self._stop_counting(failure)

    async def _wait(self, reservation: Reservation, held: float | None = None, patience: float | None = None) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + (self._patience if patience is None else patience)
        try:
            while not self._uncounted:
                left = max(0.0, until - clock())
                answer = await self._quotas.take(
                    reservation.name,
                    reservation.demands,
                    patience=left,
                    hold=f"account/{reservation.request.model}",
                    held=held,
                    step=self._step,
                )
                match answer:
                    case Granted(0.0):
                        return
                    case Granted(wait):
                        await asyncio.sleep(wait)  # then check again: a hold may have begun meanwhile
                    case QuotaRefused(limit, wait) if wait > left or limit is None:
                        raise _refusal(limit, wait)
                    case QuotaRefused(wait=wait):  # a new day begins soon; spread the requests over its first second
                        await asyncio.sleep(wait + random.uniform(0, 1))
        except StoreError as failure:
            self._stop_counting(failure)
        except BaseException:
            await self.cancel(reservation)
            raise

    async def _settle(self, reservation: Reservation, differences: Sequence[Demand]) -> None:
        if self._uncounted:
            return
        try:
            await self._quotas.settle(reservation.name, differences)
        except StoreError as failure:
            self._stop_counting(failure)

    @property
    def _uncounted(self) -> bool:
        return asyncio.get_running_loop().time() < self._uncounted_until

    def _stop_counting(self, failure: StoreError) -> None:
        log.warning("cannot count requests in Redis; sending them uncounted for %g s: %s", UNCOUNTED_SECONDS, failure)
        self._uncounted_until = asyncio.get_running_loop().time() + UNCOUNTED_SECONDS

    def _estimate(self, request: ChatRequest) -> int:
        prompt = sum(self._estimator.count(request.model, message.content) for message in request.messages)
        output = DEFAULT_OUTPUT_TOKENS if request.max_tokens is None else request.max_tokens
        return prompt + PICTURE_TOKENS * request.pictures + output


def _refusal(limit: QuotaLimit | None, wait: float) -> RateLimited:
    """`ours` only for a limit: all models share the account, but a hold concerns one model alone."""
    return RateLimited(
        f"no capacity for {wait:.0f} s under {limit.name if limit else 'a hold'}", wait, ours=limit is not None
    )
