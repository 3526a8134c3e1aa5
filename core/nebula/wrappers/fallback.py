"""Asks another model if the requested one fails before its first token, and divides the deadline between the two."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace

from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult
from core.domain.errors import CantSee, ContextTooLong, ModelError, NoAnswer, RateLimited, Unavailable, UnknownModel
from core.domain.ports import Model
from core.nebula.catalog import api_name
from core.nebula.wrappers.breaking import OUTAGE_ERRORS

log = logging.getLogger(__name__)

# Failures that another model may not have.
_FALLBACK_ERRORS = (*OUTAGE_ERRORS, RateLimited, UnknownModel, NoAnswer, Unavailable)
# The share of the deadline that the requested model may use up if there is a fallback.
_PRIMARY_SHARE = 0.75


class FallbackModel:
    """A model that has a second one. It gives every request its deadline; one without a stream may have its own."""

    def __init__(self, first: Model, last: Model, *, fallback: str = "", deadline: float = 120.0) -> None:
        """`first` answers requests that have a fallback; `last` answers for the fallback, and requests that have none.

        `fallback`: the name of the second model; "" for none. `deadline`: seconds until the first token, all attempts
        and waiting included.
        """
        self._first, self._last = first, last
        self._fallback = api_name(fallback)
        self._deadline = deadline

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. If the fallback answers, the first delta names it. Raises ModelError."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises ModelError."""

        def in_time(request: ChatRequest) -> ChatRequest:
            return request if request.deadline else replace(request, deadline=self._after(self._deadline))

        if not self._has_fallback(request):
            return await self._last.complete(in_time(request))
        try:
            return await self._first.complete(in_time(request))
        except ModelError as error:
            if not _may_help(error):
                raise
            return await self._last.complete(in_time(self._second(request, error)))

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture of the requested model: the fallback writes. Raises ModelError."""
        return await self._last.imagine(replace(request, deadline=self._after(self._deadline)))

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises."""
        return await self._last.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        end = self._after(self._deadline)
        if not self._has_fallback(request):
            async with self._last.stream(replace(request, deadline=end), beat) as deltas:
                async for delta in deltas:
                    yield delta
            return
        begun = False
        try:
            first = replace(request, deadline=self._after(_PRIMARY_SHARE * self._deadline))
            async with self._first.stream(first, beat) as deltas:
                async for delta in deltas:
                    begun = True
                    yield delta
            return
        except ModelError as error:
            if begun or not _may_help(error):
                raise
            failed = error
        second = replace(self._second(request, failed), deadline=end)
        try:
            async with self._last.stream(second, beat) as deltas:
                async for delta in deltas:
                    yield delta if begun else replace(delta, model=second.model)
                    begun = True
        except ModelError as error:
            if begun:
                raise
            if isinstance(error, ContextTooLong | CantSee):  # a request without so much text or pictures may help
                error.fallback = True
                raise
            log.warning("the fallback %s failed too: %s: %s", second.model, type(error).__name__, error)
            raise failed from error

    def _has_fallback(self, request: ChatRequest) -> bool:
        """Whether there is a fallback, and it is not the requested model itself."""
        return self._fallback not in ("", api_name(request.model))

    def _second(self, request: ChatRequest, error: ModelError) -> ChatRequest:
        """The request to send to the fallback after this failure."""
        log.warning("%s failed: %s: %s; asking %s instead", request.model, type(error).__name__, error, self._fallback)
        return replace(request, model=self._fallback)

    def _after(self, seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds


def _may_help(error: ModelError) -> bool:
    """Whether another model may answer after this failure: all models share the account's limits."""
    return isinstance(error, _FALLBACK_ERRORS) and not (isinstance(error, RateLimited) and error.ours)
