"""Wraps a ChatModel with the account's rate limits, a circuit breaker for each model, and a fallback model."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from core.domain.beat import Beat
from core.domain.chat import Catalog, ChatRequest, Completion, Delta, Usage
from core.domain.errors import (
    BrokenStream,
    ModelError,
    ModelTimeout,
    NoAnswer,
    RateLimited,
    ServerTrouble,
    Unavailable,
    UnknownModel,
)
from core.domain.ports import ChatModel
from core.nebula.account_limits import AccountRateLimits, Reservation
from core.nebula.catalog import api_name
from core.nebula.circuit_breaker import BreakerPermit, CircuitBreaker

log = logging.getLogger(__name__)

# A server that gives a reason for its refusal is up; these errors suggest that it is down.
_OUTAGE_ERRORS = (ServerTrouble, ModelTimeout, BrokenStream)
# Failures that another model may not have.
_FALLBACK_ERRORS = (*_OUTAGE_ERRORS, RateLimited, UnknownModel, NoAnswer, Unavailable)
# The share of the deadline that the requested model may use up if there is a fallback.
_PRIMARY_SHARE = 0.75
# How long a request waits for a model that the server has refused, if there is a fallback.
_HOLD_WAIT_SECONDS = 5.0
_MAX_BREAKERS = 256


@dataclass(slots=True)
class _Call:
    """A request under way: whether the model has begun to answer, and the usage reported so far."""

    breaker: CircuitBreaker
    begun: bool = False
    usage: Usage | None = None

    def record(self, usage: Usage | None) -> None:
        if not self.begun:
            self.begun = True
            self.breaker.answered()
        self.usage = usage or self.usage


class ResilientModel:
    """A ChatModel on top of another. Each process has its own circuit breaker for each model."""

    def __init__(
        self,
        model: ChatModel,
        account: AccountRateLimits | None = None,
        *,
        fallback: str = "",
        deadline: float = 120.0,
        breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    ) -> None:
        """`fallback`: the model that answers if the requested one fails before its first token; "" for none.
        `deadline`: seconds until the first token, all attempts and waiting included. `breaker`: makes a new breaker."""
        self._model, self._account = model, account
        self._fallback = api_name(fallback)
        self._deadline = deadline
        self._new_breaker = breaker
        self._breakers: dict[str, CircuitBreaker] = {}

    @property
    def unavailable(self) -> bool:
        """Whether the breaker of every model that this process has used forbids requests at this moment."""
        now = asyncio.get_running_loop().time()
        return bool(self._breakers) and all(each.wait(now) > 0 for each in self._breakers.values())

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. If the fallback answers, the first delta names it. Raises ModelError."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises ModelError."""
        try:
            return await self._complete(request)
        except ModelError as error:
            if (second := self._fallback_request(request, error)) is None:
                raise
            return await self._complete(second)

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises."""
        return await self._model.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        start = asyncio.get_running_loop().time()
        share = _PRIMARY_SHARE if self._has_fallback(request) else 1.0
        begun = False
        try:
            async with aclosing(self._streamed(request, start + share * self._deadline, beat)) as deltas:
                async for delta in deltas:
                    begun = True
                    yield delta
                return
        except ModelError as error:
            second = None if begun else self._fallback_request(request, error)
            if second is None:
                raise
            failed = error
        try:
            async with aclosing(self._streamed(second, start + self._deadline, beat)) as deltas:
                async for delta in deltas:
                    yield delta if begun else replace(delta, model=second.model)
                    begun = True
        except ModelError as error:
            if begun:
                raise
            log.warning("the fallback %s failed too: %s: %s", second.model, type(error).__name__, error)
            raise failed from error

    def _has_fallback(self, request: ChatRequest) -> bool:
        """Whether there is a fallback, and it is not the requested model itself."""
        return self._fallback not in ("", api_name(request.model))

    def _fallback_request(self, request: ChatRequest, error: ModelError) -> ChatRequest | None:
        """The request to send to the fallback after this failure; None without a fallback, or if it would not help."""
        if not self._has_fallback(request) or not isinstance(error, _FALLBACK_ERRORS):
            return None
        if isinstance(error, RateLimited) and error.ours:
            return None
        log.warning("%s failed: %s: %s; asking %s instead", request.model, type(error).__name__, error, self._fallback)
        return replace(request, model=self._fallback)

    async def _streamed(self, request: ChatRequest, deadline: float, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        """Stream this model's answer. `deadline`: for the first token, on the loop's clock. Raises ModelError."""
        async with self._call(request, deadline) as call, self._model.stream(request, beat) as deltas:
            try:
                async with asyncio.timeout_at(deadline):
                    delta = await anext(deltas, None)
            except TimeoutError as error:
                raise ModelTimeout("no token within the deadline") from error
            while delta is not None:
                call.record(delta.usage)
                yield delta
                delta = await anext(deltas, None)

    async def _complete(self, request: ChatRequest) -> Completion:
        async with self._call(request, asyncio.get_running_loop().time() + self._deadline) as call:
            completion = await self._model.complete(request)
            call.record(completion.usage)
            return completion

    @asynccontextmanager
    async def _call(self, request: ChatRequest, deadline: float) -> AsyncIterator[_Call]:
        """Surround one request: reserve capacity and get the breaker's permit before it, report to both after it.

        Raises RateLimited and Unavailable before the request.
        """
        clock = asyncio.get_running_loop().time
        breaker = self._breaker(api_name(request.model))
        if wait := breaker.wait(clock()):
            raise Unavailable("circuit breaker open", wait)  # do not wait for capacity first, for nothing
        reservation = await self._reserve(request, deadline)
        permit = breaker.enter(clock())
        if permit is None:
            if self._account and reservation:
                await self._account.cancel(reservation)
            raise Unavailable("circuit breaker opened meanwhile", breaker.wait(clock()))
        call = _Call(breaker)
        try:
            yield call
        except ModelError as error:
            self._report(call, permit, error)
            if self._account and isinstance(error, RateLimited) and not error.ours:
                await self._account.hold(api_name(request.model), error)
            # After a timeout the model may have read the prompt, so the tokens stay counted.
            if self._account and reservation and not call.begun and not isinstance(error, ModelTimeout):
                await self._account.settle(reservation, None)
            raise
        finally:
            breaker.given_up(permit, clock())  # does nothing if the outcome was reported already
            if self._account and reservation and call.usage:
                await self._account.settle(reservation, call.usage)

    async def _reserve(self, request: ChatRequest, deadline: float) -> Reservation | None:
        if self._account is None:
            return None
        held = _HOLD_WAIT_SECONDS if self._has_fallback(request) else None
        try:
            async with asyncio.timeout_at(deadline):
                return await self._account.reserve(request, held=held)
        except TimeoutError as error:
            raise RateLimited("no capacity within the deadline", ours=True) from error

    def _report(self, call: _Call, permit: BreakerPermit, error: ModelError) -> None:
        """Report a failure to the breaker. After the first token the breaker already knows that the server is up."""
        if call.begun or (isinstance(error, RateLimited) and error.ours):
            return
        if isinstance(error, _OUTAGE_ERRORS):
            call.breaker.failed(permit, asyncio.get_running_loop().time())
        else:
            call.breaker.answered()

    def _breaker(self, model: str) -> CircuitBreaker:
        if model not in self._breakers and len(self._breakers) >= _MAX_BREAKERS:
            self._breakers.pop(next(iter(self._breakers)))  # people choose the names, so there may be any number
        return self._breakers.setdefault(model, self._new_breaker())
