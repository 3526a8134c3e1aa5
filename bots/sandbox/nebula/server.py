"""The sandbox's Nebula: an OpenAI-compatible server on loopback that imitates the real one and its faults."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, cast

from aiohttp import web
from multidict import CIMultiDict

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.fake_model import MODELS, FakeModel, fake_answer, fake_thought, tokens
from bots.sandbox.nebula.faults import ModelAnswer, NebulaFault, Received, Thought
from bots.sandbox.nebula.pictures import FakePainter
from bots.sandbox.nebula.writer import Between, Cut, Writer, deltas
from core.domain.chat import ChatMessage, Picture

MAX_BODY_BYTES = 32 << 20  # of a request


@dataclass
class _Switched:
    fault: NebulaFault
    times: int | None


class NebulaServer:
    """Use as `async with NebulaServer() as server`. A fake model answers, unless a test scripts the answers."""

    def __init__(
        self,
        *,
        answer: Callable[[tuple[ChatMessage, ...]], str] = fake_answer,
        keys: Collection[str] | None = None,
        pace: float = 0.0,
        first_token: float = 0.0,
        requests_per_minute: int | None = None,
        minute: float = 60.0,
        port: int = 0,
        models: Sequence[FakeModel] = MODELS,
    ) -> None:
        """`answer`: returns the model's answer to these messages. `keys`: the valid keys, None for any. `pace`: tokens
        per second, 0 for as fast as possible. `first_token`: seconds until the first token. `requests_per_minute`: for
        all keys together, None for no limit. `minute`: its length in seconds. `models`: the catalog."""
        self._keys, self._rpm, self._port = keys, requests_per_minute, port
        self.say = answer  # may be replaced at any time
        self._minute = minute
        self.models = models  # may be replaced at any time
        self.pace, self.first_token = pace, first_token
        self.between: Between | None = None  # for requests from now on
        self._received: list[Received] = []
        self._scripted: deque[ModelAnswer] = deque()
        self._switched: deque[_Switched] = deque()
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.base_url = self.platform_url = ""
        self.catalog_requests = 0
        self.catalog_status = 0  # with which both lists of models are refused; 0: they are not
        self.whole: Hold | None = None  # holds answers that are not streamed
        # refuses requests in its own words: returns a response, or None to answer
        self.refuse: Callable[[Received], web.Response | None] = lambda received: None
        self._connections: set[object] = set()
        self.painter = FakePainter(self._locked, self._changed.set)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._served_models)
        app.router.add_get("/api/v1/serverless/models", self._catalog)
        app.router.add_post("/api/v1/images/generation", self.painter.draw)
        # cancelling handlers shows at once that a client hung up, even while nothing is being written
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.base_url, self.platform_url = f"{address}/v1", f"{address}/api/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def requests(self) -> tuple[Received, ...]:
        """The chat requests, oldest first, including refused ones."""
        return tuple(self._received)

    @property
    def connections(self) -> int:
        """How many connections chat requests have used."""
        return len(self._connections)

    def answer_next(
        self, text: str, *, thought: str = "", style: Thought = Thought.TAGS, finish: str | None = "stop"
    ) -> None:
        """Script the answer to the next request that has none yet."""
        self._scripted.append(ModelAnswer(text, thought, style, finish))

    def fault(self, fault: NebulaFault, times: int | None = 1) -> None:
        """Apply a fault to the next requests (None: to all, until `heal`). Several faults apply one after another."""
        self._switched.append(_Switched(fault, times))

    def heal(self) -> None:
        """Remove all faults."""
        self._switched.clear()

    def hold(self, after: int | None = None, times: int | None = 1) -> Hold:
        """Hold the next streams after this many tokens. After release the rest comes at once, whatever the pace."""
        self.fault(NebulaFault(hold_after=after, hold=(held := Hold())), times)
        return held

    async def until(self, predicate: Callable[[], bool], timeout: float = 120.0) -> None:
        """Wait for a condition on this server. Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while not predicate():
                self._changed.clear()
                await self._changed.wait()

    def _note(self, number: int, **changes: Any) -> None:
        self._received[number] = replace(self._received[number], **changes)
        self._changed.set()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._connections.add(request.transport)
        received, body = await self._read(request)
        number = len(self._received)
        self._received.append(received)
        self._changed.set()
        fault = self._due()
        try:
            if fault.body is not None or fault.status != 200:
                await asyncio.sleep(fault.first_token)
                return _raw(fault)
            refusal = self._refuse(request, received, body)
            if refusal is not None:
                return refusal
            answer = self._answer(received, fault)
            await asyncio.sleep(self.first_token + fault.first_token)
            response = await self._send(request, received, answer, fault, number)
        except asyncio.CancelledError:
            self._note(number, closed_early=True)
            raise
        except ConnectionError:  # the client hung up between two chunks; if raised, aiohttp would log it as our failure
            self._note(number, closed_early=True)
            return web.Response()
        self._note(number, finished=True)
        return response

    async def _send(
        self, request: web.Request, received: Received, answer: ModelAnswer, fault: NebulaFault, number: int
    ) -> web.StreamResponse:
        said = deltas(answer)
        finish = answer.finish
        if received.max_tokens is not None and received.max_tokens < len(said):
            said, finish = said[: received.max_tokens], "length"
        prompt = sum(len(tokens(message.content)) for message in received.messages)
        usage = {"prompt_tokens": prompt, "completion_tokens": len(said), "total_tokens": prompt + len(said)}
        if not received.stream:
            if self.whole:
                await self.whole.wait()
            return _whole(said, finish, usage, received.model, number)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        writer = Writer(response, fault, received.model, number)
        try:
            await writer.write(said, finish, usage if received.include_usage else None, self.pace, self.between)
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            self._note(number, written=tuple(writer.written))
        await response.write_eof()
        return response

    def _answer(self, received: Received, fault: NebulaFault) -> ModelAnswer:
        if fault.empty:
            return ModelAnswer("")
        if self._scripted:
            return self._scripted.popleft()
        thinks = "r1" in received.model.lower()
        return ModelAnswer(self.say(received.messages), fake_thought(received.messages) if thinks else "")

    def _due(self) -> NebulaFault:
        if not self._switched:
            return NebulaFault()
        switched = self._switched[0]
        if switched.times is not None:
            switched.times -= 1
            if switched.times <= 0:
                self._switched.popleft()
        return switched.fault

    async def _read(self, request: web.Request) -> tuple[Received, dict[str, Any] | None]:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        now = asyncio.get_running_loop().time()
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return Received(now, key, "", ()), None
        options = body.get("stream_options")
        messages = body.get("messages")
        return Received(
            now,
            key,
            str(body.get("model")),
            tuple(_message(item) for item in messages if isinstance(item, dict)) if isinstance(messages, list) else (),
            body.get("stream") is True,
            body.get("max_tokens"),
            body.get("temperature"),
            body.get("top_p"),
            isinstance(options, dict) and options.get("include_usage") is True,
            tuple(body),
        ), body

    def _refuse(
        self, request: web.Request, received: Received, body: dict[str, Any] | None
    ) -> web.StreamResponse | None:
        """The refusals of LiteLLM and vLLM, in their wording."""
        refusal = self._locked(request)
        if refusal is not None:
            return refusal
        if body is None:
            return _error(400, "Invalid JSON payload", "invalid_request_error")
        if own := self.refuse(received):
            return own
        if not received.messages:
            return _error(400, "Missing required parameter: 'messages'.", "invalid_request_error", "messages")
        model = next((item for item in self.models if item[0] == received.model), None)
        if model is None:
            return _error(400, f"Invalid model name passed in model={received.model}", "invalid_request_error")
        if any(each.pictures for each in received.messages) and "-VL-" not in received.model:
            return _error(400, f"{received.model} is not a multimodal model", "BadRequestError")
        for name, least, most in (("max_tokens", 1, 1e9), ("temperature", 0, 2), ("top_p", 1e-9, 1)):
            value = body.get(name)
            if value is not None and not (isinstance(value, int | float) and least <= value <= most):
                return _error(400, f"{name} is out of range. (parameter={name})", "BadRequestError", name)
        size = sum(len(tokens(message.content)) for message in received.messages)
        if model[3] is not None and size > model[3]:
            words = f"This model's maximum context length is {model[3]} tokens. However, your prompt has {size}."
            return _error(400, words, "BadRequestError", "input_text")
        recent = sum(received.at - other.at < self._minute for other in self._received)
        if self._rpm is not None and recent > self._rpm:
            words = (
                f"Rate limit exceeded for api_key: 0. Limit type: requests. Current limit: {self._rpm}, Remaining: 0."
            )
            return _error(
                429,
                words,
                "throttling_error",
                headers={"retry-after": f"{self._minute:g}", "rate_limit_type": "requests"},
            )
        return None

    def _locked(self, request: web.Request) -> web.Response | None:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key and (self._keys is None or key in self._keys):
            return None
        return _error(401, "Authentication Error, Invalid proxy server token passed.", "auth_error")

    def _no_list(self, request: web.Request) -> web.Response | None:
        return web.Response(status=self.catalog_status) if self.catalog_status else self._locked(request)

    async def _served_models(self, request: web.Request) -> web.Response:
        self.catalog_requests += 1
        items = [{"id": item[0], "object": "model", "owned_by": "openai"} for item in self.models if item[2] == "Text"]
        return self._no_list(request) or web.json_response({"data": items, "object": "list"})

    async def _catalog(self, request: web.Request) -> web.Response:
        self.catalog_requests += 1
        names = ("model_name", "model_alias", "model_type", "context_length", "max_completion_tokens")
        items = [dict(zip(names, item, strict=True)) for item in self.models]
        body = {"data": {"models": items}, "message": "Models retrieved successfully", "status": "success"}
        return self._no_list(request) or web.json_response(body)


def _message(item: dict[str, Any]) -> ChatMessage:
    content, pictures = item.get("content"), []
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = "".join(str(part.get("text", "")) for part in parts)
        pictures = [_picture(part["image_url"]) for part in parts if isinstance(part.get("image_url"), dict)]
    text = content if isinstance(content, str) else ""
    return ChatMessage(cast(Any, item.get("role")), text, tuple(pictures))


def _picture(image: dict[str, Any]) -> Picture:
    """The picture in a data URL; without bytes if it is any other."""
    kind, _, data = str(image.get("url", "")).partition(";base64,")
    return Picture("", base64.b64decode(data), kind.removeprefix("data:"))


def _raw(fault: NebulaFault) -> web.Response:
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body or b""
    headers = CIMultiDict(fault.headers)
    headers.setdefault("Content-Type", "application/json")
    return web.Response(status=fault.status, body=body, headers=headers)


def _error(
    status: int, message: str, kind: str, param: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": str(status)}
    return web.json_response({"error": error}, status=status, headers=headers)


def _whole(
    said: Sequence[dict[str, str]], finish: str | None, usage: dict[str, int], model: str, number: int
) -> web.Response:
    """A `chat.completion`, in the form that the Nebula documentation shows."""
    message: dict[str, Any] = {"content": "".join(delta.get("content", "") for delta in said), "role": "assistant"}
    for name in (Thought.REASONING_CONTENT, Thought.REASONING):
        thought = "".join(delta.get(name, "") for delta in said)
        if thought:
            message[name] = thought
    choice = {"finish_reason": finish, "index": 0, "message": {**message, "tool_calls": None, "function_call": None}}
    head = {"id": f"chatcmpl-{number:032x}", "created": 1740006821, "model": model, "object": "chat.completion"}
    return web.json_response({**head, "choices": [choice], "usage": usage, "service_tier": None})
