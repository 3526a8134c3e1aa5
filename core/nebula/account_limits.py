"""The Nebula account's own limits, counted for all processes together: a request waits for its place, not for a 429."""

import asyncio
import logging
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.domain.chat import ChatRequest, Usage
from core.domain.errors import ModelError, RateLimited, StoreError
from core.prompt.tokens import TokenEstimator
from core.store.quotas import Demand, Granted, Limit, Quotas, Refused

log = logging.getLogger(__name__)

OUTPUT = 1024  # tokens that an answer is reckoned with when no limit is set
UNTOLD = 5.0  # seconds for which a model rests after a 429 that does not say how long
# After a failure Redis is not asked for so long: an answer must not wait for it again and again. Seconds.
BLIND = 5.0


@dataclass(frozen=True, slots=True)
class Tier:
    """The limits of an account; None for none."""

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
class Booking:
    """A request's place; what it demands of tokens is an estimate."""

    name: str
    request: ChatRequest
    demands: tuple[Demand, ...]


class AccountRateLimits:
    """Places within an account's limits. Without Redis requests go on uncounted: no answer waits for a count."""

    def __init__(self, quotas: Quotas, tier: Tier = Tier(), *, patience: float = 60.0, minute: float = 60.0) -> None:
        """`patience`: the longest that a request waits for its place, in seconds. `minute`: the length of a minute."""
        self._quotas, self._patience = quotas, patience
        rpm, tpm, rpd = tier.requests_per_minute, tier.tokens_per_minute, tier.requests_per_day
        self._requests = [Limit.smooth("account/requests", rpm, minute)] if rpm else []
        if rpd:
            self._requests.append(Limit.daily("account/day", rpd))
        self._tokens = Limit.smooth("account/tokens", tpm, minute) if tpm else None
        # Those who were held up leave no faster than the limit lets them; without one, not all at once.
        self._step = 1 / self._requests[0].per_second if rpm else 0.2
        self._estimator = TokenEstimator()
        self._blind_until = 0.0

    async def take(self, request: ChatRequest, *, held: float | None = None) -> Booking:
        """Wait for the request's place, for one behind a hold at most `held` seconds. Raises RateLimited when none is
        free within that time and the patience."""
        demands = [Demand(limit, 1) for limit in self._requests]
        if self._tokens:
            demands.append(Demand(self._tokens, self._estimate(request)))
        booking = Booking(uuid.uuid4().hex, request, tuple(demands))
        await self._wait(booking, held)
        return booking

    async def again(self, model: str, error: ModelError) -> None:
        """Wait for the place of another attempt after this error: it is a request more. Raises RateLimited."""
        if isinstance(error, RateLimited):
            await self.hold(model, error)
        demands = tuple(Demand(limit, 1) for limit in self._requests)
        await self._wait(Booking(uuid.uuid4().hex, ChatRequest(model, ()), demands))

    async def give_back(self, booking: Booking) -> None:
        """The request was not made."""
        await self._settle(booking, [replace(demand, cost=-demand.cost) for demand in booking.demands])

    async def settle(self, booking: Booking, usage: Usage | None) -> None:
        """The request was made and cost these tokens; None when it failed before it cost any."""
        spent = usage.prompt + usage.completion if usage else 0
        if usage and usage.prompt:
            texts = [message.content for message in booking.request.messages]
            self._estimator.learn(booking.request.model, texts, usage.prompt)
        await self._settle(
            booking,
            [Demand(each.limit, spent - each.cost) for each in booking.demands if each.limit is self._tokens],
        )

    async def hold(self, model: str, error: RateLimited) -> None:
        """The server refused: all processes leave this model alone for as long as it says."""
        seconds = UNTOLD if error.retry_after is None else error.retry_after
        if self._blind:
            return
        try:
            await self._quotas.hold(f"account/{model}", seconds)
        except StoreError as failed:
            self._close_eyes(failed)

    async def _wait(self, booking: Booking, held: float | None = None) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience
        try:
            while not self._blind:
                left = max(0.0, until - clock())
                answer = await self._quotas.take(
                    booking.name,
                    booking.demands,
                    patience=left,
                    hold=f"account/{booking.request.model}",
                    held=held,
                    step=self._step,
                )
                match answer:
                    case Granted(0.0):
                        return
                    case Granted(wait):
                        await asyncio.sleep(wait)  # and look again: a hold may have come in between
                    case Refused(limit, wait) if wait > left or limit is None:
                        raise _refusal(limit, wait)
                    case Refused(wait=wait):  # a new day begins soon: not for all at its first moment
                        await asyncio.sleep(wait + random.uniform(0, 1))
        except StoreError as failed:
            self._close_eyes(failed)
        except BaseException:
            await self.give_back(booking)
            raise

    async def _settle(self, booking: Booking, differences: Sequence[Demand]) -> None:
        if self._blind:
            return
        try:
            await self._quotas.settle(booking.name, differences)
        except StoreError as failed:
            self._close_eyes(failed)

    @property
    def _blind(self) -> bool:
        return asyncio.get_running_loop().time() < self._blind_until

    def _close_eyes(self, failed: StoreError) -> None:
        log.warning("requests go on uncounted for %g s: %s", BLIND, failed)
        self._blind_until = asyncio.get_running_loop().time() + BLIND

    def _estimate(self, request: ChatRequest) -> int:
        prompt = sum(self._estimator.count(request.model, message.content) for message in request.messages)
        return prompt + (request.max_tokens or OUTPUT)


def _refusal(limit: Limit | None, wait: float) -> RateLimited:
    """Another model has limits of its own for what its server refuses, but draws on the same account."""
    return RateLimited(
        f"no place for {wait:.0f} s under {limit.name if limit else 'a hold'}", wait, ours=limit is not None
    )
