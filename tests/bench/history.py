"""The cost of a turn in Redis by the amount of stored data: it must be constant."""

import asyncio
import math
import statistics
import time
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from core.domain.conversation import Author, Conversation, Exchange, Lane, Place
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.settings.encryption import NO_ENCRYPTION
from core.store.entries import Entries
from core.store.mailbox import Retention
from core.store.redis.client import connection
from core.store.redis.embedded import embedded
from core.store.turns import Claimed, Turns
from tests.bench.table import Table, ratio, us

HISTORY_TURNS, WARM_UP_TURNS = 300, 30
# Exchanges stored in one channel, by the size of the window
WINDOW_SIZES = {10: (10, 100_000), 100: (10, 100, 100_000)}
FULL_CHANNELS = 1_000  # channels of the store with the most exchanges
ANN = Author("U1", "Ann")
EXCHANGE = Exchange(
    TurnId("bench"), ANN, "How does it work? " * 7, "It keeps its entries in an array. " * 18, ("q", "a"), 1.0
)
NUMBERS = count()


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds of one turn: on the clock (median), of the server's CPU and of the bot's (means)."""

    wall: float
    server: float
    client: float


async def measure() -> Table:
    """About 5 s."""
    with TemporaryDirectory(prefix="nb-") as folder:
        async with embedded(Path(folder)) as server, connection(server.url, answer_timeout=10) as redis:
            rows = []
            for window, sizes in WINDOW_SIZES.items():
                costs = {size: await _one(redis, size, window) for size in sizes}
                rows += [_row(f"{size:,} in the channel", window, costs[size], costs[sizes[0]]) for size in sizes]
            few = await _many(redis, 10)
            many = await _many(redis, FULL_CHANNELS)
            rows.append(_row("1,000 in all, in 10 channels", 100, few, few))
            rows.append(_row(f"{FULL_CHANNELS * 100:,} in all, in {FULL_CHANNELS:,} channels", 100, many, few))
    size = len(Entries(NO_ENCRYPTION).exchange(Conversation("bench"), EXCHANGE))
    return Table(
        "Cost of a turn by the exchanges stored",
        f"Accept, claim, read the history and commit, {HISTORY_TURNS} turns one after the other, embedded "
        f"{server.version} with its append-only file, {size:,} bytes an exchange. The window is what "
        "a turn reads at most (HISTORY_EXCHANGES); CPU of the bot includes decoding it.",
        ("stored exchanges", "window", "median us", "ratio", "server CPU us", "ratio", "bot CPU us", "ratio"),
        tuple(rows),
        (
            "Ratios are to the smaller store above with the same window.",
            "10 exchanges do not fill the default window of 100: what grows from there to 100 is what is read.",
        ),
    )


def _row(name: str, window: int, cost: _Cost, floor: _Cost) -> tuple[str, ...]:
    pairs = ((cost.wall, floor.wall), (cost.server, floor.server), (cost.client, floor.client))
    return (name, str(window), *(cell for pair in pairs for cell in (us(pair[0]), ratio(*pair))))


async def _one(redis: "Redis", stored: int, window: int) -> _Cost:
    """Store all exchanges in one channel. A commit keeps their number, so that the list does not grow."""
    await redis.flushall()
    await _seed(redis, "bench", stored)
    return await _turns(redis, ["bench"], Retention(exchanges=window), Retention(exchanges=stored))


async def _many(redis: "Redis", channels: int) -> _Cost:
    """Store a hundred exchanges in each of these channels, as many as the program keeps."""
    await redis.flushall()
    names = [f"bench/{number}" for number in range(channels)]
    for name in names:
        await _seed(redis, name, 100)
    return await _turns(redis, names, Retention(), Retention())


async def _seed(redis: "Redis", conversation: str, exchanges: int) -> None:
    entry = Entries(NO_ENCRYPTION).exchange(Conversation(conversation), EXCHANGE)
    for begun in range(0, exchanges, 1000):
        await redis.rpush(f"nb:{{0}}:h:{conversation}", *[entry] * min(1000, exchanges - begun))
    while (await redis.info("persistence"))["aof_rewrite_in_progress"]:
        await asyncio.sleep(0.05)


async def _turns(redis: "Redis", conversations: list[str], reading: Retention, writing: Retention) -> _Cost:
    accepting, committing = Turns(redis, reading), Turns(redis, writing)
    times: list[float] = []
    server = client = math.nan
    for number in range(WARM_UP_TURNS + HISTORY_TURNS):
        if number == WARM_UP_TURNS:
            server, client = await _server_cpu(redis), time.process_time()
        conversation = conversations[number * 7 % len(conversations)]
        name = f"bench/{next(NUMBERS)}"
        mention = Question(TurnId(name), Place("bench", "W", "C"), ANN, EXCHANGE.question, message="q")
        start = time.perf_counter()
        accepted = await accepting.accept(Lane(Conversation(conversation)), mention, name)
        assert isinstance(accepted, Claimed)
        assert len(accepted.turn.history) > 0
        await committing.commit(accepted.turn, replace(EXCHANGE, turn=TurnId(name)))
        times.append(time.perf_counter() - start)
    client = time.process_time() - client
    server = await _server_cpu(redis) - server
    return _Cost(statistics.median(times[WARM_UP_TURNS:]), server / HISTORY_TURNS, client / HISTORY_TURNS)


async def _server_cpu(redis: "Redis") -> float:
    info = await redis.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
