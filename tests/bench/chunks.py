"""Streamed chunks per second on one core: from Nebula's socket through decoder, reply and painter."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from bots.compose import nebula
from bots.sandbox.nebula.fake_model import tokens
from core.domain.chat import ChatMessage, ChatRequest
from core.domain.conversation import Author, Place
from core.domain.options import Context, Memory, Placement, PlatformDefaults
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.turn_id import TurnId
from core.nebula.client import Nebula
from core.ratelimit.limiter import RateLimiter
from core.reply.latest import Latest
from core.reply.state import Reply
from core.settings.config import Config
from core.settings.parameters import ChannelSettings, resolve
from core.turns.assistant import Assistant
from core.turns.reading import RoomReader
from core.turns.surfaces import Surfaces
from tests.bench.table import Table
from tests.bench.turns import answered
from tests.bench.wire import BenchWire, wire
from tests.core.room import GENEROUS, MemorySurface

BURST_CHUNKS = 10_000  # chunks of the stream without pacing
# Paced streams: how many, chunks per second of each, seconds
STREAMS, PACED_RATE, PACED_SECONDS = 50, 30, 3
MEASURED_ROUNDS = 3  # the best one counts, because other work on the machine can only slow a round down

PARAGRAPHS = """\
A hash table keeps its entries in an array, and a **hash function** turns a key into a place in it. Looking up a key \
costs the same however many there are, as long as the function spreads them evenly.

- `insert` hashes the key and writes the entry into its bucket
- `lookup` hashes the key again and compares what it finds there; see [the article](https://example.com/hash-table)

```python
def bucket(key: str, size: int) -> int:
    return hash(key) % size
```

"""
CHUNKS_QUESTION = "How does a hash table work?"

Read = Callable[[int], Awaitable[int]]


async def measure() -> Table:
    """About 45 s."""
    async with wire(channels=0) as servers, _reads(servers) as reads:
        alone, paced = dict.fromkeys(reads, 0.0), dict.fromkeys(reads, 0.0)
        await servers.answers(markdown(BURST_CHUNKS))
        for read in reads.values():
            await read(0)  # connects, imports, fills caches
        for name, read in [*reads.items()] * MEASURED_ROUNDS:
            alone[name] = max(alone[name], await _rate([read(1)], BURST_CHUNKS))
        await servers.answers(markdown(PACED_RATE * PACED_SECONDS), PACED_RATE)
        for name, read in [*reads.items()] * MEASURED_ROUNDS:
            rate = await _rate([read(number) for number in range(STREAMS)], PACED_RATE * PACED_SECONDS)
            paced[name] = max(paced[name], rate)
    floor = next(iter(reads))
    return Table(
        "Streamed chunks per second of one core",
        f"Chunks of one token by the CPU time of the bot's process; Nebula in another process. Alone: one stream, "
        f"{BURST_CHUNKS:,} chunks as fast as they come. Paced: {STREAMS} streams at once, "
        f"{PACED_RATE} chunks a second each, for {PACED_SECONDS} s. Best of {MEASURED_ROUNDS} rounds. "
        "Rooms are in memory; messages hold 2,000 characters.",
        ("path", "alone: chunks/s", "to the floor", f"{STREAMS} paced: chunks/s", "to the floor"),
        tuple(
            (
                name,
                f"{alone[name]:,.0f}",
                f"{alone[name] / alone[floor]:.2f}",
                f"{paced[name]:,.0f}",
                f"{paced[name] / paced[floor]:.2f}",
            )
            for name in reads
        ),
        ("Alone, one read brings many chunks; paced, nearly every chunk is a read of its own, in the floor too.",),
    )


def markdown(chunks: int) -> str:
    """Markdown of exactly this many tokens."""
    pieces = tokens(PARAGRAPHS.rstrip() + "\n\n")
    return "".join((pieces * (chunks // len(pieces) + 1))[:chunks])


@asynccontextmanager
async def _reads(servers: BenchWire) -> AsyncIterator[dict[str, Read]]:
    """The ways to read one stream, the floor first. Each returns the number of characters of the answer."""
    config = servers.addresses.config(Path("unused")).core
    place = Place("bench", "W", "C")
    defaults = replace(config.defaults, context=Context.OFF)
    settings = resolve(place, defaults, PlatformDefaults(Memory.CHANNEL, Placement.CHANNEL), ())
    async with nebula(config) as model:
        yield {
            "floor: a bare socket, json.loads": lambda number: bare(config),
            "client, decoder, reply": lambda number: _decoded(model, config),
            "the same, painted 1 frame/s": lambda number: _answered(model, settings, place, number, 5),
            "the same, painted 1,000 frames/s": lambda number: _answered(model, settings, place, number, 5_000),
        }


async def _rate(reads: Sequence[Awaitable[int]], chunks: int) -> float:
    """Chunks per second of CPU time."""
    start = time.process_time()
    sizes = await asyncio.gather(*reads)
    spent = time.process_time() - start
    wanted = len(markdown(chunks))
    assert all(abs(size - wanted) <= 2 for size in sizes), f"text was lost: {set(sizes)} of {wanted} characters"
    return len(reads) * chunks / spent


async def bare(config: Config) -> int:
    """Read one answer from a socket, which is the least work possible; returns its number of characters. HTTP/1.0 sends
    the events without framing.
    """
    url = httpx.URL(config.nebula_base_url)
    messages = [{"role": "user", "content": CHUNKS_QUESTION}]
    body = json.dumps({"model": config.nebula_model, "stream": True, "messages": messages}).encode()
    head = f"POST {url.path}/chat/completions HTTP/1.0\r\nHost: bench\r\nAuthorization: Bearer bench\r\n"
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    size, rest = 0, b""
    while data := await reader.read(1 << 16):
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            if event != b"data: [DONE]":
                for choice in json.loads(event[6:])["choices"]:
                    size += len(choice["delta"].get("content", ""))
    writer.close()
    await writer.wait_closed()
    return size


async def _decoded(model: Nebula, config: Config) -> int:
    cell = Latest(Reply())
    request = ChatRequest(config.nebula_model, (ChatMessage("user", CHUNKS_QUESTION),))
    async with model.stream(request) as deltas:
        async for delta in deltas:
            cell.set(cell.value.add(delta, time.monotonic()))
    return len(cell.value.text)


async def _answered(model: Nebula, settings: ChannelSettings, place: Place, number: int, edits: int) -> int:
    """A whole turn without Redis."""
    mention = Question(TurnId(f"bench/{number}"), place, Author("U", "Ann"), CHUNKS_QUESTION, message="Q")
    room = MemorySurface(post_pace=GENEROUS, edit_pace=RateLimit(f"bench/{number}", edits, 5.0))
    exchange = await answered(
        Assistant(model, RateLimiter(), RoomReader(Surfaces({})), context=32_768), mention, settings, room
    )
    return len(exchange.answer) if exchange else 0
