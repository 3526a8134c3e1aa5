"""httpx on its own transport compared to httpx on aiohttp's: `python -m tests.bench.transport`.

Three questions: CPU per chunk of 50 paced streams, CPU per chunk of one stream without pacing, and whether the client
still works after requests were cancelled with its pool full (https://github.com/encode/httpcore/issues/1093). A bare
asyncio connection is the floor. Only the ratios are meaningful. The run takes less than 40 seconds.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from core.nebula.response import ResponseDecoder

STREAMS, EVENTS_PER_SECOND, STREAM_SECONDS = 50, 30, 4.0  # paced: streams, events per second of each, seconds
BURST_EVENTS = 15_000  # events of one stream
POOL, SOAK = 10, 3.0  # connections, seconds of cancelling
EVENT = (
    b'data: {"id":"chatcmpl-86800105604e81c7918d10b45fd46fa3","created":1740006821,"model":"meta-llama/Llama-3.1-8B-'
    b'Instruct","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _serve(pipe: Connection) -> None:
    """Run the server, in its own process so that its CPU time does not count."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1]
                writer.write(HEAD)
                chunk = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
                if path == b"/paced":
                    start = time.monotonic()
                    for number in range(int(EVENTS_PER_SECOND * STREAM_SECONDS)):
                        await asyncio.sleep(start + number / EVENTS_PER_SECOND - time.monotonic())
                        writer.write(chunk)
                elif path == b"/burst":
                    for _ in range(BURST_EVENTS):
                        writer.write(chunk)
                        await writer.drain()
                elif path == b"/hang":
                    await asyncio.sleep(0.05)
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _default(limits: httpx.Limits) -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(30, pool=1))


def _on_aiohttp(limits: httpx.Limits) -> httpx.AsyncClient:
    return HttpxAiohttpClient(limits=limits, timeout=httpx.Timeout(30, pool=1))


async def _read(client: httpx.AsyncClient, url: str) -> int:
    """Read one stream as the Nebula client does; returns the number of characters of its text."""
    answer, size = ResponseDecoder("bench"), 0
    async with client.stream("GET", url) as response:
        async for data in response.aiter_bytes():
            delta = answer.feed(data)
            size += len(delta.text) if delta is not None else 0
    return size


async def _read_bare(url: str) -> int:
    """The floor: a socket, a split, no client."""
    answer, size = ResponseDecoder("bench"), 0
    port = httpx.URL(url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {httpx.URL(url).path} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    while (line := await reader.readline()) != b"0\r\n":
        delta = answer.feed((await reader.readexactly(int(line, 16) + 2))[:-2])
        size += len(delta.text) if delta is not None else 0
    writer.close()
    return size


async def _cost(reads: list[Callable[[], Awaitable[int]]], chunks: int) -> float:
    """CPU microseconds of this process per chunk."""
    start = time.process_time()
    sizes = await asyncio.gather(*(read() for read in reads))
    assert sum(sizes) == chunks * len(" word") - len(sizes), "text was lost"
    return (time.process_time() - start) / chunks * 1e6


async def _soak(make: Callable[[httpx.Limits], httpx.AsyncClient], base: str) -> int:
    """How many of POOL requests succeed after SOAK seconds of cancelling twice as many as the pool holds."""
    async with make(httpx.Limits(max_connections=POOL)) as client:

        async def churn(number: int) -> None:
            pause = 0.001 * (1 + number % 7)
            while time.monotonic() < end:
                task = asyncio.create_task(_read(client, base + "/hang"))
                await asyncio.sleep(pause)
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()  # twice, like a stop during a shutdown
                await asyncio.wait([task])
                if not task.cancelled():
                    task.exception()

        end = time.monotonic() + SOAK
        await asyncio.gather(*(churn(number) for number in range(2 * POOL)))
        after = await asyncio.gather(*(_read(client, base + "/hang") for _ in range(POOL)), return_exceptions=True)
        return sum(not isinstance(result, BaseException) for result in after)


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


async def main() -> None:
    """Measure and print."""
    transports = {"httpx, own transport": _default, "httpx on aiohttp": _on_aiohttp}
    limits = httpx.Limits(max_connections=STREAMS + 8)
    paced, burst = int(STREAMS * EVENTS_PER_SECOND * STREAM_SECONDS), BURST_EVENTS
    async with _server() as base:
        costs = {
            "bare asyncio (floor)": (
                await _cost([lambda: _read_bare(base + "/paced")] * STREAMS, paced),
                await _cost([lambda: _read_bare(base + "/burst")], burst),
            )
        }
        for name, make in transports.items():
            async with make(limits) as client:
                await _read(client, base + "/hang")  # connects

                def read(path: str, client: httpx.AsyncClient = client) -> Callable[[], Awaitable[int]]:
                    return lambda: _read(client, base + path)

                costs[name] = (await _cost([read("/paced")] * STREAMS, paced), await _cost([read("/burst")], burst))
        unit = costs["httpx, own transport"]
        print(f"CPU per chunk, as a ratio to httpx on its own transport ({unit[0]:.0f} and {unit[1]:.0f} us)")
        print(f"{'':24}{f'{STREAMS} streams at {EVENTS_PER_SECOND}/s':>20}{'one, unpaced':>16}")
        for name, (slow, fast) in costs.items():
            print(f"{name:24}{slow / unit[0]:20.2f}{fast / unit[1]:16.2f}")
        print(f"After {SOAK:.0f} s of cancelling with a full pool, requests of {POOL} that still work:")
        for name, make in transports.items():
            print(f"{name:24}{await _soak(make, base):20d}")


if __name__ == "__main__":
    asyncio.run(main())
