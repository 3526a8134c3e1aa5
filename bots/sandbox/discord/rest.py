"""The common part of the REST API: reads, delays, limits, authorises, answers and records requests as Discord does."""

import asyncio
import json
import mimetypes
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import BodyPartReader, web

from bots.sandbox.discord.faults import DiscordFault, DiscordFaults, FaultKind
from bots.sandbox.discord.limits import DiscordLimiter, refused
from bots.sandbox.discord.world.cdn import ROUTES, Cdn
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.validation import MAX_FILE, ApiError, invalid
from bots.sandbox.discord.world.values import DiscordCall, DiscordUpload, Json

PREFIX = "/api/v10"
MAX_DESCRIPTION = 1024  # characters (resources/message#attachment-object)
CLOUDFLARE = "<!doctype html><html><head><title>Access denied</title></head><body>error code: 1015</body></html>"


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One request for a handler: path and query parameters, JSON body, files."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    files: tuple[DiscordUpload, ...] = ()


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A handler's answer. The payload None is sent as 204 without a body."""

    payload: Any = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route: `limit` names its rate limit, counted per `key` (a path parameter); `bot`: whether it needs the bot's
    token.

    A route without the token does not count towards the global limit either (topics/rate-limits#global-rate-limit).
    """

    method: str
    path: str
    handler: Callable[[RestRequest], RestAnswer]
    limit: str = ""
    key: str = "channel"
    bot: bool = True

    @property
    def route(self) -> str:
        """Its name: "METHOD /template"."""
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class _Out:
    """An answer on its way out."""

    status: int
    payload: Any
    headers: dict[str, str] = field(default_factory=dict)
    html: str = ""


class DiscordRest:
    """Serves endpoints. `invalid` counts the answers that lead to a ban by Discord (401, 403, 429).

    `latency`: seconds of a round trip, half of them before a request is applied and half before its answer leaves.
    """

    def __init__(
        self, world: DiscordWorld, cdn: Cdn, token: str, limiter: DiscordLimiter, faults: DiscordFaults
    ) -> None:
        self._world, self._cdn, self._token, self._limiter, self._faults = world, cdn, token, limiter, faults
        self.latency = 0.0
        self.invalid = 0
        self.calls: list[DiscordCall] = []

    def add(self, app: web.Application, endpoints: Sequence[Endpoint]) -> None:
        """Add endpoints, and an answer for all other paths, to an application."""
        for endpoint in endpoints:
            app.router.add_route(endpoint.method, PREFIX + endpoint.path, self._serve(endpoint))
        for path in ROUTES:
            app.router.add_get(path, self._file(path))
        app.router.add_route("*", "/{path:.*}", self._nowhere)

    def _file(self, path: str) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            fault = self._faults.meet(f"GET {path}")
            if fault and fault.hold:
                self._world.watch.changed()
            if fault and fault.kind in (FaultKind.LATE, FaultKind.SLOW):
                await fault.wait()
            if fault and fault.kind is FaultKind.RESET:
                _reset(request)
            if fault and (out := _refusal(fault)):
                self._cdn.record(request, out.status)
                return _response(out)
            return await self._cdn.serve(request)

        return serve

    async def _nowhere(self, request: web.Request) -> web.Response:
        self._record(request.method, f"{request.method} *", request.path, {}, time.monotonic(), 404, 0)
        return _response(_Out(404, {"message": "404: Not Found", "code": 0}))

    def _serve(self, endpoint: Endpoint) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.Response:
            at = time.monotonic()
            body: Any = {}
            files: tuple[DiscordUpload, ...] = ()
            broken: ApiError | None = None
            try:
                body, files = await _read(request)
            except ApiError as error:
                broken = error
            fault = self._faults.meet(endpoint.route)
            if fault and fault.hold:
                self._world.watch.changed()  # wakes a test that waits until a request meets this hold
            if self.latency:
                await asyncio.sleep(self.latency / 2)
            if fault and fault.kind is FaultKind.LATE:
                await fault.wait()
            ask = RestRequest(request.match_info, request.query, body, files)
            out = self._answer(endpoint, ask, request.headers.get("Authorization", ""), fault, broken)
            code = out.payload.get("code", 0) if isinstance(out.payload, dict) and out.status >= 400 else 0
            self._record(endpoint.method, endpoint.route, request.path, body, at, out.status, code)
            if self.latency:
                await asyncio.sleep(self.latency / 2)
            if fault and fault.kind is FaultKind.SLOW:
                await fault.wait()
            if fault and fault.kind is FaultKind.RESET:
                _reset(request)
            return _response(out)

        return serve

    def _answer(
        self,
        endpoint: Endpoint,
        ask: RestRequest,
        authorization: str,
        fault: DiscordFault | None,
        broken: ApiError | None,
    ) -> _Out:
        if fault and (out := _refusal(fault)):
            return out
        if endpoint.bot and authorization != f"Bot {self._token}":
            return _Out(401, {"message": "401: Unauthorized", "code": 0})
        key = ask.path.get(endpoint.key, "")
        verdict = self._limiter.take(endpoint.limit, key, counted_globally=endpoint.bot)
        if not verdict.ok:
            return _Out(429, verdict.body, dict(verdict.headers))
        headers = dict(verdict.headers)
        try:
            if broken:
                raise broken
            answer = endpoint.handler(ask)
        except ApiError as error:
            if error.status == 429:
                headers |= refused(error.retry_after, "user")
            return _Out(error.status, error.body, headers)
        return _Out(204 if answer.payload is None else answer.status, answer.payload, headers)

    def _record(self, method: str, route: str, path: str, body: Any, at: float, status: int, code: int) -> None:
        self.invalid += status in (401, 403, 429)
        recorded: Json = body if isinstance(body, dict) else {"items": body}
        self.calls.append(DiscordCall(method, route, path, recorded, at, status, code))
        self._world.watch.changed()


def _refusal(fault: DiscordFault) -> _Out | None:
    if fault.kind is FaultKind.CLOUDFLARE:
        return _Out(429, None, html=CLOUDFLARE)
    if fault.kind is FaultKind.RATE_LIMIT:
        everywhere = fault.scope == "global"
        text = "The resource is being rate limited." if fault.scope == "shared" else "You are being rate limited."
        body: Json = {"message": text, "retry_after": fault.seconds, "global": everywhere}
        headers = refused(fault.seconds, fault.scope)
        return _Out(429, body, headers | {"X-RateLimit-Global": "true"} if everywhere else headers)
    if fault.kind is FaultKind.ERROR:
        if fault.code:
            error = ApiError(fault.code, status=fault.status, message=fault.message or f"Error {fault.code}")
            return _Out(fault.status, error.body)
        return _Out(fault.status, {"message": fault.message or f"{fault.status}: Server Error", "code": 0})
    return None


async def _read(request: web.Request) -> tuple[Any, tuple[DiscordUpload, ...]]:
    """The JSON body and the files of a request (reference#uploading-files)."""
    if not request.content_type.startswith("multipart/"):
        raw = await request.read()
        return _decode(raw), ()
    body: Any = {}
    files: list[DiscordUpload] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        data = bytes(await part.read())
        if part.name == "payload_json":
            body = _decode(data)
        else:
            name = part.filename or "unknown"
            files.append(DiscordUpload(name, data, mimetypes.guess_type(name)[0] or "application/octet-stream"))
    if any(len(file.data) > MAX_FILE for file in files):
        raise ApiError(40005)
    return body, tuple(_described(body, files))


def _described(body: Any, files: Iterable[DiscordUpload]) -> Iterator[DiscordUpload]:
    """The files with the descriptions that the body gives them (reference#uploading-files)."""
    found = body.get("attachments") if isinstance(body, dict) else None
    named = {each.get("id"): each for each in found if isinstance(each, dict)} if isinstance(found, list) else {}
    for number, file in enumerate(files):
        about = named.get(number) or named.get(str(number)) or {}
        description = str(about.get("description") or "")
        if len(description) > MAX_DESCRIPTION:
            raise invalid(
                f"attachments.{number}.description", "BASE_TYPE_MAX_LENGTH", "Must be 1024 or fewer in length."
            )
        yield replace(file, description=description)


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else {}
    except ValueError:
        raise ApiError(50109) from None


def _reset(request: web.Request) -> None:
    """Abort the connection with a RST, so that the peer sees ECONNRESET and not an orderly end."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _response(out: _Out) -> web.Response:
    if out.html:
        return web.Response(status=out.status, text=out.html, content_type="text/html")
    if out.payload is None:
        return web.Response(status=out.status, headers=out.headers)
    # Clients compare the whole type: with a charset after it, discord.py reads the body as text.
    body = json.dumps(out.payload).encode()
    return web.Response(status=out.status, body=body, headers=out.headers | {"Content-Type": "application/json"})


def form(ask: RestRequest) -> Json:
    """The body, which must be an object. Raises ApiError 50035."""
    if not isinstance(ask.body, dict):
        raise invalid("_", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    return ask.body
