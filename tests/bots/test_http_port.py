"""A port that strangers can reach: whatever they hold open or send, the next good request is served at once."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import web

from bots import http_port as edge
from bots.http_port import http_port
from tests.bounds import HANG_SECONDS
from tests.ports import free_port

GOOD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def far_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is cut because a busy machine took long to send or to parse it."""
    monkeypatch.setattr(edge, "REQUEST_SECONDS", 2 * HANG_SECONDS)


@asynccontextmanager
async def port(seen: list[bytes] | None = None, body_bytes: int = 100) -> AsyncIterator[int]:
    """Serve a port that remembers the bodies that it received."""

    async def serve(request: web.Request) -> web.Response:
        body = await request.read()
        if body == b"no":
            raise RuntimeError("a defect")
        if seen is not None:
            seen.append(body)
        return web.Response(text="thanks")

    number = free_port()
    async with http_port(
        [web.post("/", serve)],
        "ITS_PORT",
        "127.0.0.1",
        number,
        body_bytes=body_bytes,
        closing_seconds=1,
    ):
        yield number


async def opened(number: int, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and send this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def answer(number: int, data: bytes) -> bytes:
    """Return the status line of the response to this request, whose connection the server closes."""
    async with asyncio.timeout(HANG_SECONDS):
        reader, writer = await opened(number, data)
        try:
            return (await reader.read()).partition(b"\r\n")[0]
        finally:
            writer.close()


@pytest.mark.usefixtures("far_deadline")
async def test_a_flood_of_half_requests_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of them is closed for the newest, so that a request that comes at once is served."""
    monkeypatch.setattr(edge, "MAX_CONNECTIONS", 20)
    halves = (b"", b"POST / HT", b"POST / HTTP/1.1\r\nX: ", GOOD[:-1])
    async with port() as number, AsyncExitStack() as stack:
        held = []
        for half in halves * 25:
            reader, writer = await opened(number, half)
            stack.callback(writer.close)
            held.append(reader)
        assert await answer(number, GOOD) == b"HTTP/1.1 200 OK"
        async with asyncio.timeout(HANG_SECONDS):
            for reader in held[: -edge.MAX_CONNECTIONS]:
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
        assert not held[-1].at_eof()


@pytest.mark.usefixtures("far_deadline")
async def test_large_requests_displace_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is not complete yet has a bound together; when it is reached, the largest goes."""
    monkeypatch.setattr(edge, "MAX_BYTES", 200_000)
    part = GOOD.replace(b"Length: 2", b"Length: 90000")
    async with port(body_bytes=100_000) as number, AsyncExitStack() as stack:
        held = []
        for size in (60_000, 50_000, 50_000, 50_000):
            reader, writer = await opened(number, part + b"x" * (size - len(part)))
            stack.callback(writer.close)
            held.append(reader)
        async with asyncio.timeout(HANG_SECONDS):
            with suppress(ConnectionResetError):
                assert await held[0].read() == b""
        assert not any(reader.at_eof() for reader in held[1:])
        assert await answer(number, GOOD) == b"HTTP/1.1 200 OK"


ENDLESS = {
    "head": (b"POST / HTTP/1.1\r\nX: ", b"b"),
    "empty lines": (b"", b"\r\n"),
    "body": (GOOD.replace(b"Length: 2", b"Length: 999999999"), b"x"),
    "small parts": (GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2], b"1\r\na\r\n"),
    "size of a part": (GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2], b"0"),
    "name of a part": (GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2] + b"1;", b"x"),
    "upgrade": (b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"x"),
}


@pytest.mark.usefixtures("far_deadline")
@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_request_without_an_end_is_cut(kind: str) -> None:
    """Long before its deadline, whatever of it is endless; a refused body is not read to its end either."""
    begin, more = ENDLESS[kind]
    async with port() as number, asyncio.timeout(edge.REQUEST_SECONDS / 2):
        _, writer = await opened(number, begin)
        with suppress(ConnectionError):
            while True:
                writer.write(more * 10_000)
                await writer.drain()
        writer.close()


async def test_what_is_no_http_leaves_no_memory_behind() -> None:
    """Even before garbage is collected: errors would hold all that was sent."""
    async with port() as number:
        await answer(number, GOOD)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(20):
                _, writer = await opened(number)
                with suppress(ConnectionError):
                    writer.write(b"\x16\x03" * 1_000_000)
                    await writer.drain()
                writer.transport.abort()
            await answer(number, GOOD)
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert size < 20 * 200_000


@pytest.mark.parametrize("half", [b"", b"POST / HTTP/1.1\r\n", GOOD[:-1]])
async def test_a_request_has_a_deadline(monkeypatch: pytest.MonkeyPatch, half: bytes) -> None:
    """From the connection's first moment to the last byte of the body, however slowly it comes."""
    monkeypatch.setattr(edge, "REQUEST_SECONDS", 0.2)
    async with port() as number:
        assert await answer(number, half) == b""


async def test_a_response_that_nobody_reads_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is gone when its time is over, even if its client takes nothing."""
    monkeypatch.setattr(edge, "RESPONSE_SECONDS", 0.0)
    begun = asyncio.Event()

    async def serve(request: web.Request) -> web.Response:
        begun.set()
        await asyncio.get_running_loop().create_future()
        return web.Response()

    number = free_port()
    async with http_port([web.post("/", serve)], "ITS_PORT", "127.0.0.1", number, body_bytes=9, closing_seconds=1):
        assert await answer(number, GOOD) == b""
        assert begun.is_set()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GOOD, b"200 OK"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"405 Method Not Allowed"),
        (b"POST /other HTTP/1.1\r\nHost: x\r\n\r\n", b"404 Not Found"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n" + b"x" * 101, b"413 Request Entity Too Large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400 Bad Request"),
        (GOOD.replace(b"hi", b"no"), b"500 Internal Server Error"),
    ],
)
async def test_each_request_gets_a_response_and_the_log_stays_quiet(
    request_: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no HTTP or too large is refused without a traceback; a defect of ours has one."""
    async with port() as number:
        assert (await answer(number, request_)).partition(b" ")[2] == status
    defects = [record for record in caplog.records if record.exc_info]
    assert len(defects) == (status.startswith(b"500"))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING and not record.exc_info]


async def test_a_compressed_body_is_not_unpacked() -> None:
    """Whoever may look at it gets the bytes that were sent."""
    seen: list[bytes] = []
    request = GOOD.replace(b"Host: x", b"Host: x\r\nContent-Encoding: deflate")
    async with port(seen) as number:
        assert await answer(number, request) == b"HTTP/1.1 200 OK"
    assert seen == [b"hi"]


async def test_a_request_that_breaks_off_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Clients go away in the middle all the time."""
    async with port() as number:
        for _ in range(5):
            _, writer = await opened(number, GOOD[:-1])
            writer.close()
            await writer.wait_closed()
        assert await answer(number, GOOD) == b"HTTP/1.1 200 OK"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
