"""Keeps a circuit breaker for each model: one that seems to be down is not asked for a while."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass

from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult
from core.domain.errors import (
    BrokenStream,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerTrouble,
    Unavailable,
    WrongAddress,
)
from core.domain.ports import Model
from core.nebula.catalog import api_name
from core.nebula.wrappers.circuit_breaker import CircuitBreaker

# A server that gives a reason for its refusal is up; these errors suggest that it is down.
OUTAGE_ERRORS = (ServerTrouble, ModelTimeout, BrokenStream)
_MAX_BREAKERS = 256


class Breakers:
    """The circuit breakers of one process, by the models' names in the API."""

    def __init__(self, new: Callable[[], CircuitBreaker] = CircuitBreaker) -> None:
        """`new`: makes a new breaker."""
        self._new = new
        self._breakers: dict[str, CircuitBreaker] = {}
        self.answered = False  # whether any model has begun an answer since the start

    def of(self, model: str) -> CircuitBreaker:
        """The breaker of this model."""
        if model not in self._breakers and len(self._breakers) >= _MAX_BREAKERS:
            self._breakers.pop(next(iter(self._breakers)))  # people choose the names, so there may be any number
        return self._breakers.setdefault(model, self._new())

    def check(self, model: str) -> None:
        """Raises Unavailable if this model's breaker forbids requests at this moment."""
        if wait := self.of(model).wait(_now()):
            raise Unavailable("circuit breaker open", wait)

    def unavailable(self) -> bool:
        """Whether the breaker of every model that this process has used forbids requests at this moment."""
        now = _now()
        return bool(self._breakers) and all(each.wait(now) > 0 for each in self._breakers.values())


@dataclass(slots=True)
class _Call:
    """A request under way, and whether the model has begun to answer."""

    breakers: Breakers
    breaker: CircuitBreaker
    begun: bool = False

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.breaker.answered()
            self.breakers.answered = True


class BreakingModel:
    """A model that asks a model only while its breaker permits that, and reports the outcome to the breaker."""

    def __init__(self, model: Model, breakers: Breakers) -> None:
        self._model, self._breakers = model, breakers

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. Raises ModelError; Unavailable before the request, if the breaker forbids it."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises the same errors as `stream`."""
        async with self._permitted(request) as call:
            completion = await self._model.complete(request)
            call.begin()
            return completion

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture. Raises the same errors as `stream`."""
        async with self._permitted(request) as call:
            picture = await self._model.imagine(request)
            call.begin()
            return picture

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises."""
        return await self._model.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        async with self._permitted(request) as call, self._model.stream(request, beat) as deltas:
            async for delta in deltas:
                call.begin()
                yield delta

    @asynccontextmanager
    async def _permitted(self, request: ChatRequest | ImageRequest) -> AsyncIterator[_Call]:
        breaker = self._breakers.of(api_name(request.model))
        permit = breaker.enter(_now())
        if permit is None:
            raise Unavailable("circuit breaker open", breaker.wait(_now()))
        call = _Call(self._breakers, breaker)
        try:
            yield call
        except ModelError as error:
            # After the first token the breaker knows already that the server is up.
            silent = isinstance(error, WrongAddress) and error.unanswered
            if not call.begun and (silent or isinstance(error, OUTAGE_ERRORS)):
                breaker.failed(permit, _now())
            elif not (call.begun or (isinstance(error, RateLimited) and error.ours)):
                breaker.answered()
            raise
        finally:
            breaker.given_up(permit, _now())  # does nothing if the outcome was reported already


def _now() -> float:
    return asyncio.get_running_loop().time()
