"""The client of the Nebula API: a ChatModel over HTTP with deadlines, retries before the first token, and a catalog."""

import asyncio
import functools
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import httpx
from cachetools import TTLCache
from httpx_aiohttp import HttpxAiohttpClient

from core import metrics
from core.awake import awake
from core.domain.chat import (
    Beat,
    Catalog,
    ChatRequest,
    Completion,
    Delta,
    Finish,
    ImageRequest,
    ImageResult,
    ModelInfo,
    Usage,
)
from core.domain.errors import BadRequest, BrokenStream, CantSee, ModelError, ModelTimeout, ServerTrouble, WrongAddress
from core.nebula import catalog
from core.nebula.dialect import STANDARD, Dialect, adapted
from core.nebula.failures import (
    AttemptFailed,
    WebPage,
    base_of,
    from_response,
    refusal_words,
    unreachable,
    wrong_path,
)
from core.nebula.http import private_api
from core.nebula.http.bodies import CONNECTION_ERRORS, error_body, gather, next_piece, types, whole_body
from core.nebula.http.bodies import encoding as encoding_of
from core.nebula.images.wire import ANSWER_BYTES, answered, asked
from core.nebula.response import ResponseDecoder
from core.nebula.retries import Before, RetryPolicy
from core.nebula.wire import request_body, request_fields

BASE_URL = "https://inference.nebulablock.com/v1"
PLATFORM_URL = "https://api.nebulablock.com/api/v1"
AFTER_FINISH_SECONDS = 2.0  # of silence: for the token counts and the end mark, once the model has finished
CATALOG_BYTES = 8 << 20
DIALECT_SECONDS = 3600.0  # how long to remember what a server takes
MAX_ADAPTIONS = 4  # of one request to what a server takes
DRAIN_SECONDS = 0.25  # for the rest of the body, so that the connection can be reused


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The authorities that we trust, for all clients of the process: reading them takes 20 ms of CPU time."""
    return httpx.create_ssl_context()


class Nebula:
    """The Nebula API, or any server with the same protocol. Use as `async with Nebula(...) as model`."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        platform_url: str = PLATFORM_URL,
        connect: float = 5.0,
        first_token: float = 90.0,
        between_tokens: float = 60.0,
        whole: float = 300.0,
        retries: int = 3,
        backoff: float = 0.5,
        max_streams: int = 64,
        catalog_seconds: float = 600.0,
        catalog_patience: float = 4.0,
        before_retry: Before | None = None,
    ) -> None:
        """Times are in seconds.

        `connect`: to reach the server. `first_token`: from the request to the first token of an answer or a thought;
        comments and empty chunks do not count. `between_tokens`: from one token to the next. `whole`: for an answer
        that is not streamed. `retries`: attempts before the first token, including the first. `backoff`: the longest
        first pause between attempts; it doubles. `max_streams`: requests at the same time; others wait.
        `catalog_seconds`: how long the list of models counts as fresh. `catalog_patience`: how long one caller waits
        for it. `before_retry`: awaited before each retry, so that whoever counts requests can count the retries too.
        """
        self._key = api_key.strip()
        self._base = base_of(base_url)
        self._answered = False  # whether the API has ever answered since the start
        self._platform = platform_url.strip().rstrip("/")
        self._connect, self._first_token, self._between, self._whole = connect, first_token, between_tokens, whole
        self._retries, self._backoff = max(1, retries), backoff
        self._max_streams = max_streams
        self._slots = asyncio.Semaphore(max_streams)
        self._dialects: TTLCache[str, Dialect] = TTLCache(256, DIALECT_SECONDS)  # by the models' names in the API
        self._before_retry = before_retry
        self._http: httpx.AsyncClient | None = None
        sources = (self._platform_models, self._served_models)
        self._catalog = catalog.CatalogCache(sources, seconds=catalog_seconds, patience=catalog_patience)

    async def __aenter__(self) -> Self:
        context = await asyncio.to_thread(_certificates)
        self._http = HttpxAiohttpClient(
            verify=context,
            headers={"Authorization": f"Bearer {self._key}", "User-Agent": "nebula-bot", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(None, connect=self._connect, pool=self._connect),
            # more than our own limit: the pool must never become a queue
            limits=httpx.Limits(max_connections=self._max_streams + 8, keepalive_expiry=30.0),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def stream(
        self, request: ChatRequest, beat: Beat | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta]]:
        """Stream the answer. Leaving the context closes the request on the server.

        The last delta carries the finish and, if the server counts tokens, the usage. If the model may be thinking
        without an opening tag and never closes the thought, all the text comes with the last delta (see
        core.nebula.reasoning). Raises ModelError, after the deltas that arrived before it.
        """
        return aclosing(self._answer(request, beat or Beat()))

    async def check(self) -> tuple[ModelInfo, ...]:
        """Ask for the list of models, to see whether the API takes our key, and return it. Raises ModelError."""
        try:
            async with awake(self._first_token):
                return (await self._served_models()).models
        except TimeoutError as error:
            raise ModelTimeout("no list of models in time") from error
        except CONNECTION_ERRORS as error:
            raise self._no_connection(error) from error
        except (ValueError, RecursionError) as error:
            said = wrong_path(self._base)
            raise WrongAddress(f"what answers has no list of models: {said}") from error

    async def complete(self, request: ChatRequest) -> Completion:
        """Return the whole answer at once. Raises ModelError."""
        model = catalog.api_name(request.model)
        policy = RetryPolicy(self._retries, self._backoff, model, self._before_retry)
        while True:
            try:
                async with self._slots:
                    deltas = [delta async for delta in self._attempt(request, model)]
            except AttemptFailed as failed:
                await policy.pause(failed)
                continue
            begins = max((index for index, delta in enumerate(deltas) if delta.restart), default=0)
            return Completion(
                "".join(delta.text for delta in deltas[begins:]).lstrip(),
                "".join(delta.thought for delta in deltas),
                deltas[-1].finish or Finish.STOP,
                deltas[-1].usage or Usage(),
            )

    async def imagine(self, request: ImageRequest) -> ImageResult:
        """Return a picture, from the platform API. Raises ModelError. Cancelling it closes the request."""
        policy = RetryPolicy(self._retries, self._backoff, request.model, self._before_retry)
        while True:
            try:
                async with self._slots:
                    return await self._draw(request)
            except AttemptFailed as failed:
                await policy.pause(failed)

    async def _draw(self, request: ImageRequest) -> ImageResult:
        """One request for a picture. It is told to nobody but the API: we follow no redirect, and the answer holds the
        picture itself. Raises AttemptFailed and ModelError."""
        deadline = asyncio.get_running_loop().time() + self._whole
        url = f"{self._platform}/images/generation"
        async with self._post(url, asked(request), "application/json", deadline) as response:
            if not response.is_success:
                body = await error_body(response)
                raise from_response(response.status_code, body, response.headers, request.model, time.time())
            try:
                answer = await whole_body(response, ANSWER_BYTES, deadline)
            except TimeoutError as error:
                raise AttemptFailed(ModelTimeout("no picture in time")) from error
            except CONNECTION_ERRORS as error:
                raise AttemptFailed(BrokenStream(types(error)), again=True) from error
        return await asyncio.to_thread(answered, answer)

    async def catalog(self) -> Catalog:
        """Return the models on offer, from the cache. Never raises, and takes a few seconds at most."""
        return await self._catalog.get()

    async def _answer(self, request: ChatRequest, beat: Beat) -> AsyncGenerator[Delta, None]:
        model = catalog.api_name(request.model)
        policy = RetryPolicy(self._retries, self._backoff, model, self._before_retry)
        begun = False
        while True:
            try:
                async with self._slots, aclosing(self._attempt(request, model, beat)) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield delta
                    return
            except AttemptFailed as failed:
                if begun:  # people have read the beginning, and another attempt would say something else
                    metrics.MODEL_FAILURES.labels(type(failed.error).__name__).inc()
                    raise failed.error from failed.__cause__
                reason = failed
            await policy.pause(reason)

    async def _attempt(self, request: ChatRequest, model: str, beat: Beat | None = None) -> AsyncGenerator[Delta, None]:
        """One request: streamed in this beat or, without a beat, answered as a whole. Raises AttemptFailed."""
        streamed = beat is not None
        clock = asyncio.get_running_loop().time
        deadline = clock() + (self._first_token if streamed else self._whole)
        async with (
            self._ask(request, model, streamed, deadline) as (response, sent),
            aclosing(private_api.pieces(response)) as body,
        ):
            decoder = ResponseDecoder(model, sent)
            while not decoder.ended:
                if beat:
                    await gather(beat, response)
                try:
                    data = await next_piece(body, deadline)
                except TimeoutError as error:
                    if decoder.model_finished:
                        break
                    raise AttemptFailed(ModelTimeout("no token in time")) from error
                except CONNECTION_ERRORS as error:
                    if decoder.model_finished:
                        break
                    raise AttemptFailed(BrokenStream(types(error)), again=True) from error
                if data is None:
                    break
                try:
                    delta = decoder.feed(data)
                except AttemptFailed as failed:
                    raise self._judged(failed, request) from None
                if decoder.alive:
                    deadline = clock() + self._between
                    if beat:
                        beat.heard(len(data))
                if decoder.nearly_over:
                    deadline = min(deadline, clock() + AFTER_FINISH_SECONDS)
                if delta is not None:
                    yield delta
            try:
                last = decoder.close()
            except AttemptFailed as failed:
                raise self._judged(failed, request) from None
            self._answered = True
            yield last
            with suppress(TimeoutError, *CONNECTION_ERRORS):
                drained = clock() + DRAIN_SECONDS
                while await next_piece(body, drained) is not None:
                    pass

    @asynccontextmanager
    async def _ask(
        self, request: ChatRequest, model: str, streamed: bool, deadline: float
    ) -> AsyncIterator[tuple[httpx.Response, int]]:
        """The response to a request, if its status is a success, and the size of the request. Raises AttemptFailed."""
        dialect, adaptions = self._dialects.get(model, STANDARD), 0
        while True:
            fields = request_fields(request, model, dialect, stream=streamed and dialect.stream)
            content = request_body(fields)
            kinds = "text/event-stream, application/json" if streamed else "application/json"
            async with self._post(f"{self._base}/chat/completions", content, kinds, deadline) as response:
                if response.is_success:  # some frameworks say 201
                    if adaptions:
                        self._dialects[model] = dialect
                    yield response, len(content)
                    return
                body = await error_body(response)
                failed = _possible(self._refusal(response, body, model), request)
            unset = frozenset(name for name, value in fields.items() if value is None)
            other = adapted(dialect, response.status_code, refusal_words(body), frozenset(fields), unset)
            if (
                type(failed.error) not in (BadRequest, ServerTrouble)
                or other is None
                or other == dialect
                or adaptions == MAX_ADAPTIONS
            ):
                raise failed
            dialect, adaptions = other, adaptions + 1

    @asynccontextmanager
    async def _post(self, url: str, content: bytes, accept: str, deadline: float) -> AsyncIterator[httpx.Response]:
        headers = {"Content-Type": "application/json", "Accept": accept}
        request = self._client.build_request("POST", url, content=content, headers=headers)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise AttemptFailed(ModelTimeout("no answer in time")) from error
        except CONNECTION_ERRORS as error:
            raise AttemptFailed(self._no_connection(error), again=True) from error
        try:
            if encoding := encoding_of(response):
                raise AttemptFailed(ServerTrouble(f"HTTP {response.status_code} in the encoding {encoding}"))
            yield response
        finally:
            await response.aclose()

    @property
    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            raise RuntimeError("use Nebula inside `async with`")
        return self._http

    def _judged(self, failed: AttemptFailed, request: ChatRequest) -> AttemptFailed:
        """What a failure of an answer means: a web page, that the address is wrong, unless the API answered before."""
        if isinstance(failed.error, WebPage):
            said = f"{failed.error}: {wrong_path(self._base)}"
            failed.error = ServerTrouble(str(failed.error)) if self._answered else WrongAddress(said)
        return _possible(failed, request)

    def _no_connection(self, error: Exception) -> ModelError:
        """What it means that no response came. Before there ever was one, the address may be wrong: nobody should be
        asked to try again in a moment."""
        said, nothing = unreachable(self._base, error)
        return WrongAddress(said, unanswered=True) if nothing and not self._answered else ServerTrouble(said)

    def _refusal(self, response: httpx.Response, body: bytes, model: str = "") -> AttemptFailed:
        """What a response other than a success means."""
        failed = from_response(response.status_code, body, response.headers, model, time.time())
        if isinstance(failed.error, WrongAddress):
            said = wrong_path(self._base, response.status_code)
            failed.error = WrongAddress(f"{failed.error}: {said}")
        return failed

    async def _platform_models(self) -> Catalog:
        return await self._models(f"{self._platform}/serverless/models")

    async def _served_models(self) -> Catalog:
        models = await self._models(f"{self._base}/models")
        self._answered = True
        return models

    async def _models(self, url: str) -> Catalog:
        """The models of a list. Raises ModelError if it is refused, and ValueError if it is none, or too large."""
        request = self._client.build_request("GET", url, headers={"Accept": "application/json"})
        response = await self._client.send(request, stream=True)
        try:
            if not response.is_success:
                raise self._refusal(response, await error_body(response)).error
            if encoding := encoding_of(response):
                raise ValueError(f"a list of models in the encoding {encoding}")
            if (body := await whole_body(response, CATALOG_BYTES)) is None:
                raise ValueError("the list of models is too large")
        finally:
            await response.aclose()
        # a large list takes a while, and answers must not wait for it
        return await asyncio.to_thread(_offered, body)


def _possible(failed: AttemptFailed, request: ChatRequest) -> AttemptFailed:
    """The failure, in which a request without pictures can't be refused for them."""
    blind = isinstance(failed.error, CantSee) and not request.pictures
    return AttemptFailed(BadRequest(str(failed))) if blind else failed


def _offered(body: bytes) -> Catalog:
    listed = json.loads(body)
    return Catalog(catalog.parse(listed), pictures=catalog.pictures(listed))
