"""A port for HTTP that strangers can reach: few connections, short deadlines, small requests, and a quiet log."""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from core.awake import awake
from core.domain.errors import NebulaBotError
from core.finding import Finding, bad, well
from core.settings.environment import WrongConfig

log = logging.getLogger(__name__)

# The most connections of one port. When there are more, the oldest that has not sent its request yet is closed: whoever
# holds connections open loses their own, while a request that comes at once is served.
MAX_CONNECTIONS = 256
# The most bytes that all requests of one port may have that are not complete yet. When there are more, the largest is
# closed, for the same reason.
MAX_BYTES = 2**25
# What a request may have beside its body: its head, and the marks between the parts of a body without a known length.
_HEAD_BYTES = 2**16
# How much of what came in is parsed in one turn of the event loop. aiohttp keeps parsing after an error, and keeps each
# piece with the error until garbage is collected; this leaves it the turns that it needs to close the connection.
_PARSED_BYTES = 2**15
# How long a client may take to send a request with its body, and then to receive the response.
REQUEST_SECONDS, RESPONSE_SECONDS = 10.0, 30.0

_MEND = "choose another port, or end what uses it"
# How long to wait for whatever serves a port already.
_EXAMINED_SECONDS = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_port(
    routes: Iterable[web.RouteDef],
    variable: str,
    host: str,
    port: int,
    *,
    body_bytes: int,
    closing_seconds: float,
) -> AsyncIterator[None]:
    """Serve while the context is open; closing takes `closing_seconds` at most. Each connection carries one request, of
    at most `body_bytes` as they were sent: a compressed body is not unpacked. `variable`: which sets the port.
    Raises NebulaBotError while somebody else uses the port, and WrongConfig if it can't be opened for another reason.
    """
    connections = _Connections(body_bytes + _HEAD_BYTES)
    application = web.Application(middlewares=[connections.serve], client_max_size=body_bytes)
    application.add_routes(routes)
    runner = web.AppRunner(
        application, access_log=None, logger=_requests, auto_decompress=False, shutdown_timeout=closing_seconds
    )
    await runner.setup()
    try:
        protocol = runner.server
        assert protocol is not None  # after setup
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: _Connection(protocol(), connections), host, port)
        except OSError as error:
            sentence = f"{_closed(variable, host, port, error)}: {_MEND}."
            if error.errno == errno.EADDRINUSE:  # an older process may still be ending
                raise NebulaBotError(sentence) from error
            raise WrongConfig((sentence,)) from error
        try:
            yield
        finally:
            server.close()
    finally:
        await runner.cleanup()


class _Connections:
    """The open connections of a port, the oldest first. `request_bytes`: the most that one of them may send."""

    def __init__(self, request_bytes: int) -> None:
        self.request_bytes = request_bytes
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # At most a quarter of the files that this process may open.
        self._most = min(MAX_CONNECTIONS, max(1, files // 4))
        self._open: dict[asyncio.BaseTransport | None, _Connection] = {}

    def opened(self, connection: "_Connection", transport: asyncio.BaseTransport) -> None:
        """Make room for a new connection."""
        if len(self._open) >= self._most:
            # If all others are being served, the new one has to go.
            waiting = (each for each in self._open.values() if each.sending)
            next(waiting, connection).abort()
        self._open[transport] = connection

    def grown(self) -> None:
        """Make room for what has just come in."""
        sending = [each for each in self._open.values() if each.sending]
        if sum(each.size for each in sending) > MAX_BYTES:
            max(sending, key=lambda each: each.size).abort()

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        self._open.pop(transport, None)

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Read the whole request before anything looks at it, and close the connection after the response."""
        response: web.StreamResponse
        try:
            await _read(request)
            if connection := self._open.get(request.transport):
                connection.received()
            response = await handler(request)
        except web.HTTPException as refusal:
            response = web.Response(status=refusal.status, text=refusal.reason, headers={"Connection": "close"})
        except (web.RequestPayloadError, ConnectionError):  # it broke off, or its parts have no right lengths
            response = web.Response(status=400)
        except Exception:
            log.exception("HTTP: a request could not be served")
            response = web.Response(status=500)
        response.force_close()
        return response


class _Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol, and ends when its time or its bytes are over."""

    def __init__(self, inner: asyncio.Protocol, connections: _Connections) -> None:
        self._inner, self._connections = inner, connections
        self.sending = True  # the client has not sent the whole request yet
        self.size = 0  # what it has sent
        self._unparsed = bytearray()
        self._parsing: asyncio.Handle | None = None
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.abort)
        self._connections.opened(self, transport)
        self._inner.connection_made(transport)

    def received(self) -> None:
        """The request is complete: the time for the response begins."""
        self.sending = False
        self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(RESPONSE_SECONDS, self.abort)

    def abort(self) -> None:
        """Close the connection at once; what was not sent is lost."""
        self._connections.closed(self._transport)
        self._unparsed.clear()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._connections.request_bytes:
            self.abort()
            return
        self._unparsed += data
        if self._parsing is None:
            self._parsing = asyncio.get_running_loop().call_soon(self._parse)
        self._connections.grown()

    def _parse(self) -> None:
        self._parsing = None
        part = bytes(self._unparsed[:_PARSED_BYTES])
        del self._unparsed[:_PARSED_BYTES]
        if self._unparsed:
            self._parsing = asyncio.get_running_loop().call_soon(self._parse)
        if part:
            self._inner.data_received(part)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        self._unparsed.clear()
        self._connections.closed(self._transport)
        self._inner.connection_lost(error)


async def _read(request: web.Request) -> None:
    """Read the whole body. Raises HTTPException, RequestPayloadError and ConnectionError."""
    try:
        await request.read()
    except RuntimeError as error:  # aiohttp's word for a connection that is gone
        raise ConnectionError("the client went away") from error


def _condensed(record: logging.LogRecord) -> bool:
    """Log filter: where something is not HTTP at all, aiohttp logs a traceback; one line is enough."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = "HTTP: this is not HTTP: %s", (type(error).__name__,), None
        record.levelno, record.levelname = logging.INFO, "INFO"
        # It holds what the stranger sent, and itself.
        error.__traceback__ = None
    return True


# What aiohttp says about single requests.
_requests = logging.getLogger(f"{__name__}.requests")
_requests.addFilter(_condensed)


async def examine_port(name: str, variable: str, host: str, number: int, path: str, ours: str) -> Finding:
    """Whether a port can be opened, or a bot serves it already: one that answers a request to `path` with a text that
    begins with `ours`. Never raises."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
        return well(name, f"port {number} on {host} is free")
    except OSError as error:
        closed = _closed(variable, host, number, error)
    asked = "127.0.0.1" if host in ("0.0.0.0", "", "::") else host
    url = f"http://{f'[{asked}]' if ':' in asked else asked}:{number}"
    try:
        async with (
            awake(_EXAMINED_SECONDS),
            aiohttp.ClientSession() as session,
            session.post(url + path) as response,
        ):
            if (await response.text()).startswith(ours):
                return well(name, f"a bot serves port {number} on {host}")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        pass
    return bad(name, closed, _MEND)


def _closed(variable: str, host: str, port: int, error: OSError) -> str:
    return f"{variable} {port} can't be opened on {host} ({error.strerror or type(error).__name__})"
