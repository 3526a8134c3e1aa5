"""Steady: a model that keeps within the account's limits, rests when its server fails, and has another stand in."""

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
from core.nebula.account_limits import AccountRateLimits, Booking
from core.nebula.catalog import api_name
from core.nebula.circuit_breaker import CircuitBreaker, Trial

log = logging.getLogger(__name__)

# A server that says why it refuses is alive; these are signs that it is not.
_DOWN = (ServerTrouble, ModelTimeout, BrokenStream)
# What another model may be spared.
_STAND_IN = (*_DOWN, RateLimited, UnknownModel, NoAnswer, Unavailable)
# The part of the deadline that the model asked for may use up where another can stand in.
_OWN_SHARE = 0.75
# So long a model that was refused is waited for where another can stand in. Seconds.
_HELD = 5.0
_MOST_BREAKERS = 256


@dataclass(slots=True)
class _Trial:
    """One request on its way: whether the model began to answer, and what that cost as far as is known."""

    breaker: CircuitBreaker
    begun: bool = False
    usage: Usage | None = None

    def heard(self, usage: Usage | None) -> None:
        if not self.begun:
            self.begun = True
            self.breaker.answered()
        self.usage = usage or self.usage


class ResilientModel:
    """A ChatModel over another. Keeps one circuit breaker for each model, of this process alone."""

    def __init__(
        self,
        model: ChatModel,
        account: AccountRateLimits | None = None,
        *,
        fallback: str = "",
        deadline: float = 120.0,
        breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
    ) -> None:
        """`fallback`: the model that answers where the one asked for fails before its first token, "" for none.
        `deadline`: seconds until the first token, over all attempts and waiting. `breaker` makes a new one."""
        self._model, self._account = model, account
        self._fallback = api_name(fallback)
        self._deadline = deadline
        self._new_breaker = breaker
        self._breakers: dict[str, CircuitBreaker] = {}

    @property
    def resting(self) -> bool:
        """Whether no model that was asked here may be asked at this moment, as each failed too often."""
        now = asyncio.get_running_loop().time()
        return bool(self._breakers) and all(each.wait(now) > 0 for each in self._breakers.values())

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """The answer as it comes; the first delta says so if the fallback gives it. Raises ModelError."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """The whole answer at once. Raises ModelError."""
        try:
            return await self._complete(request)
        except ModelError as error:
            if (second := self._instead_of(request, error)) is None:
                raise
            return await self._complete(second)

    async def catalog(self) -> Catalog:
        """The models on offer, cached; never raises."""
        return await self._model.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        start = asyncio.get_running_loop().time()
        share = _OWN_SHARE if self._spare(request) else 1.0
        begun = False
        try:
            async with aclosing(self._streamed(request, start + share * self._deadline, beat)) as deltas:
                async for delta in deltas:
                    begun = True
                    yield delta
                return
        except ModelError as error:
            second = None if begun else self._instead_of(request, error)
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
            log.warning("%s failed as well: %s: %s", second.model, type(error).__name__, error)
            raise failed from error

    def _spare(self, request: ChatRequest) -> bool:
        """Whether another model can stand in for the one asked for."""
        return self._fallback not in ("", api_name(request.model))

    def _instead_of(self, request: ChatRequest, error: ModelError) -> ChatRequest | None:
        """The request to the fallback after such a failure; None if there is none, or if it would not help."""
        if not self._spare(request) or not isinstance(error, _STAND_IN):
            return None
        if isinstance(error, RateLimited) and error.ours:
            return None
        log.warning("%s failed: %s: %s; %s answers", request.model, type(error).__name__, error, self._fallback)
        return replace(request, model=self._fallback)

    async def _streamed(self, request: ChatRequest, deadline: float, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        """The answer of this model. `deadline` for the first token, by the loop's clock. Raises ModelError."""
        async with self._trial(request, deadline) as trial, self._model.stream(request, beat) as deltas:
            try:
                async with asyncio.timeout_at(deadline):
                    delta = await anext(deltas, None)
            except TimeoutError as error:
                raise ModelTimeout("no token within the deadline") from error
            while delta is not None:
                trial.heard(delta.usage)
                yield delta
                delta = await anext(deltas, None)

    async def _complete(self, request: ChatRequest) -> Completion:
        async with self._trial(request, asyncio.get_running_loop().time() + self._deadline) as trial:
            completion = await self._model.complete(request)
            trial.heard(completion.usage)
            return completion

    @asynccontextmanager
    async def _trial(self, request: ChatRequest, deadline: float) -> AsyncIterator[_Trial]:
        """Around one request: its place in the account's limits and the breaker's leave come first, their account
        of it last. Raises RateLimited, Unavailable and ModelTimeout before the request."""
        clock = asyncio.get_running_loop().time
        breaker = self._breaker(api_name(request.model))
        if wait := breaker.wait(clock()):
            raise Unavailable("let rest", wait)  # nobody waits for a place in vain
        booking = await self._place(request, deadline)
        permit = breaker.enter(clock())
        if permit is None:
            if self._account and booking:
                await self._account.give_back(booking)
            raise Unavailable("let rest meanwhile", breaker.wait(clock()))
        trial = _Trial(breaker)
        try:
            yield trial
        except ModelError as error:
            self._judge(trial, permit, error)
            if self._account and isinstance(error, RateLimited) and not error.ours:
                await self._account.hold(api_name(request.model), error)
            # a model that kept silent for long may have read the question
            if self._account and booking and not trial.begun and not isinstance(error, ModelTimeout):
                await self._account.settle(booking, None)
            raise
        finally:
            breaker.given_up(permit, clock())  # no news, if it was told before
            if self._account and booking and trial.usage:
                await self._account.settle(booking, trial.usage)

    async def _place(self, request: ChatRequest, deadline: float) -> Booking | None:
        if self._account is None:
            return None
        held = _HELD if self._spare(request) else None
        try:
            async with asyncio.timeout_at(deadline):
                return await self._account.take(request, held=held)
        except TimeoutError as error:
            raise RateLimited("no place within the deadline", ours=True) from error

    def _judge(self, trial: _Trial, permit: Trial, error: ModelError) -> None:
        """What a failure says of the server; after the first token it said enough."""
        if trial.begun or (isinstance(error, RateLimited) and error.ours):
            return
        if isinstance(error, _DOWN):
            trial.breaker.failed(permit, asyncio.get_running_loop().time())
        else:
            trial.breaker.answered()

    def _breaker(self, model: str) -> CircuitBreaker:
        if model not in self._breakers and len(self._breakers) >= _MOST_BREAKERS:
            self._breakers.pop(next(iter(self._breakers)))  # names are what people set: any number of them
        return self._breakers.setdefault(model, self._new_breaker())
