"""The Redis round trips of one turn: at its start, while it runs, and at its end."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.compose import Bot
from core.store.redis.client import connection
from core.store.redis.embedded import SOCKET, embedded
from tests.bench.served import served_from
from tests.bench.table import Table
from tests.bench.tap import Tap, Trip, tap
from tests.bench.wire import AskKind, AskTimes, BenchWire, wire

LOADING_TURNS = 2  # turns of each kind to load the scripts and open the connections
PACE, SHORT_TOKENS, LONG = 20, 20, 180  # tokens per second, and tokens of answers that take one second and nine
SWEEP = {"TIME", "ZRANGEBYSCORE"}  # the search for lapsed turns, once a second in any case


@dataclass(frozen=True, slots=True)
class _Turn:
    asked: AskTimes
    over: float
    trips: Sequence[Trip]


async def measure() -> Table:
    """About 15 s."""
    with TemporaryDirectory(prefix="nb-") as folder:
        async with wire(channels=LOADING_TURNS + 1) as servers, embedded(Path(folder)) as server:
            config = servers.addresses.config(Path(folder))
            async with (
                tap(server.data / SOCKET, Path(folder, "tap")) as line,
                connection(f"unix://{folder}/tap") as redis,
                served_from(redis, servers, config) as bot,
            ):
                rows = []
                for event in AskKind:
                    await servers.answers("ok")
                    for number in range(LOADING_TURNS):
                        await _turn(servers, bot, line, event, number)
                    rows.append(await _row(servers, bot, line, event, SHORT_TOKENS))
                rows.append(await _row(servers, bot, line, AskKind.DISCORD, LONG))
    return Table(
        "Redis round trips per turn",
        "Counted on the socket between the whole bot and its Redis, connections and scripts warm. Start: until Nebula "
        "has the request. Finish: from the commit on.",
        ("turn", "start", "running", "finish", "which"),
        tuple(rows),
        (
            "While it runs: one for each message that the reply takes, so that another process could go on with it, "
            f"one each third of the lease ({config.core.lease_seconds:g} s) to renew it, and one for each budget that "
            "a call to the platform draws on (its own, and mostly the whole bot's).",
            "Beside all turns, a process looks for lapsed ones once a second, with one round trip for each partition.",
        ),
    )


async def _row(servers: BenchWire, bot: Bot, line: Tap, event: AskKind, answer: int) -> tuple[str, ...]:
    await servers.answers("word " * answer, PACE)
    turn = await _turn(servers, bot, line, event, LOADING_TURNS)
    own = [trip for trip in turn.trips if not SWEEP & set(trip.commands)]
    end = next(index for index, trip in enumerate(own) if trip.name == "commit")
    start = [trip for trip in own[:end] if trip.at <= turn.asked.requested]
    running, finish = own[len(start) : end], own[end:]
    which = "; ".join(filter(None, map(_names, (start, running, finish))))
    length = f"{event.value}, answer of {answer // PACE} s"
    return (length, str(len(start)), str(len(running)), str(len(finish)), which)


async def _turn(servers: BenchWire, bot: Bot, line: Tap, event: AskKind, number: int) -> _Turn:
    known = len(line.trips)
    asked = await servers.ask(event, number)
    await bot.runner.idle()
    return _Turn(asked, time.monotonic(), line.trips[known:])


def _names(trips: Sequence[Trip]) -> str:
    counts = Counter(trip.name for trip in trips)
    return ", ".join(name if many == 1 else f"{name} ({many})" for name, many in counts.items())
