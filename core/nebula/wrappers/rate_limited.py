"""Sends requests within the account's rate limits: reserves capacity before each, and settles its cost after it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass

from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult, Usage
from core.domain.errors import ModelError, ModelTimeout, RateLimited, Unavailable
from core.domain.ports import Model
from core.nebula.catalog import api_name
from core.nebula.wrappers.account_limits import AccountRateLimits, Reservation


@dataclass(slots=True)
class _Cost:
    """A request under way: whether the model has begun to answer, and the usage reported so far."""

    begun: bool = False
    usage: Usage | None = None

    def record(self, usage: Usage | None) -> None:
        self.begun = True
        self.usage = usage or self.usage


class RateLimitedModel:
    """A model whose requests wait for capacity, until their deadline at most."""

    def __init__(
        self,
        model: Model,
        account: AccountRateLimits,
        *,
        before_wait: Callable[[str], None] | None = None,
        hold_wait: float | None = None,
    ) -> None:
        """`before_wait`: called with the model's name before each wait; raises ModelError if the request would wait for
        nothing. `hold_wait`: how long a request waits for a model that the server has refused, in seconds; None for
        as long as for capacity."""
        self._model, self._account = model, account
        self._before_wait, self._hold_wait = before_wait, hold_wait

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. Raises ModelError; RateLimited with `ours` if there is no capacity in time."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises the same errors as `stream`."""
        async with self._counted(request) as cost:
            completion = await self._model.complete(request)
            cost.record(completion.usage)
            return completion

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture: it counts as one request and no tokens, since nobody says how many it costs. Raises the
        same errors as `stream`."""
        counted = ChatRequest(request.model, (), max_tokens=0, deadline=request.deadline)
        async with self._counted(counted):
            return await self._model.imagine(request)

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises."""
        return await self._model.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        async with self._counted(request) as cost, self._model.stream(request, beat) as deltas:
            async for delta in deltas:
                cost.record(delta.usage)
                yield delta

    @asynccontextmanager
    async def _counted(self, request: ChatRequest) -> AsyncIterator[_Cost]:
        model = api_name(request.model)
        if self._before_wait:
            self._before_wait(model)
        reservation = await self._reserve(request)
        cost = _Cost()
        try:
            yield cost
        except Unavailable:  # it was not sent
            await self._account.cancel(reservation)
            raise
        except ModelError as error:
            if isinstance(error, RateLimited) and not error.ours:
                await self._account.hold(model, error)
            # After a timeout the model may have read the prompt, so the tokens stay counted.
            if not cost.begun and not isinstance(error, ModelTimeout):
                await self._account.settle(reservation, None)
            raise
        finally:
            if cost.usage:
                await self._account.settle(reservation, cost.usage)

    async def _reserve(self, request: ChatRequest) -> Reservation:
        try:
            async with asyncio.timeout_at(request.deadline):
                if not request.urgent:
                    return await self._account.reserve(request, held=0.0, patience=0.0)
                return await self._account.reserve(request, held=self._hold_wait)
        except TimeoutError as error:
            raise RateLimited("no capacity within the deadline", ours=True) from error
