"""Ends a request whose first token, or picture, has not come by its deadline."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult
from core.domain.errors import ModelTimeout
from core.domain.ports import Model


class DeadlineModel:
    """A model that keeps the deadlines of streams and of pictures. An answer that has begun may take any time."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. Raises ModelError; ModelTimeout at the deadline."""
        return aclosing(self._answer(request, beat))

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once, whatever the deadline: it has no first token. Raises ModelError."""
        return await self._model.complete(request)

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture. Raises ModelError; ModelTimeout at the deadline."""
        try:
            async with asyncio.timeout_at(request.deadline):
                return await self._model.imagine(request)
        except TimeoutError as error:
            raise ModelTimeout("no picture within the deadline") from error

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises."""
        return await self._model.catalog()

    async def _answer(self, request: ChatRequest, beat: Beat | None) -> AsyncGenerator[Delta, None]:
        async with self._model.stream(request, beat) as deltas:
            try:
                async with asyncio.timeout_at(request.deadline):
                    delta = await anext(deltas, None)
            except TimeoutError as error:
                raise ModelTimeout("no token within the deadline") from error
            while delta is not None:
                yield delta
                delta = await anext(deltas, None)
