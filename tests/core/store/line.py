"""A line to Redis at which a test stands: it loses an answer, or does something before an answer arrives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from redis.asyncio import Redis

from tests.redis_server import patient_connection


class Line:
    """A line to the server. The next answer to a command with these words is lost if `loses`; before it arrives,
    `meanwhile` happens. Each command has one answer: no pipeline may be used for it."""

    def __init__(self, path: str) -> None:
        self._path, self.lost, self.words = path, 0, b"EVALSHA"
        self.loses, self.meanwhile = False, None

    loses: bool
    meanwhile: Callable[[], Awaitable[object]] | None

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        answers, asks = await asyncio.open_unix_connection(self._path)
        asked = asyncio.Event()

        async def there() -> None:
            while sent := await reader.read(1 << 16):
                if self.words in sent:
                    asked.set()
                asks.write(sent)
            asks.close()

        async def back() -> None:
            while said := await answers.read(1 << 16):
                if asked.is_set() and not said.startswith(b"-NOSCRIPT"):
                    if self.loses:
                        self.loses, self.lost = False, self.lost + 1
                        break
                    if meanwhile := self.meanwhile:
                        self.meanwhile = None
                        await meanwhile()
                asked.clear()
                writer.write(said)
            writer.close()

        try:
            with suppress(OSError):
                await asyncio.gather(there(), back())
        finally:
            for each in (asks, writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


@asynccontextmanager
async def line(url: str) -> AsyncIterator[tuple[Line, Redis]]:
    """A line to this server, which listens at a socket, and a client at its end."""
    parts = urlsplit(url)
    carrier = Line(parts.path)
    listener = await asyncio.start_server(carrier.carry, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, patient_connection(f"redis://127.0.0.1:{port}?{parts.query}") as redis:
        yield carrier, redis
