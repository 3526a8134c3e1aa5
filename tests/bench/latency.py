"""The time from an event on the platform to the model's request, compared to the least that a bot could do."""

import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.compose import nebula
from tests.bench.floor import floor
from tests.bench.served import served
from tests.bench.table import Table, ms, percentile, ratio
from tests.bench.wire import AskKind, BenchWire, wire
from tests.configuration import Configuration

LATENCY_TURNS, LATENCY_WARM_UP = 150, 10
EVENT_LABELS = {AskKind.SLACK: "slack", AskKind.DISCORD: "discord", AskKind.DISCORD_SLASH: "discord"}


async def measure() -> Table:
    """About 10 s."""
    with TemporaryDirectory(prefix="nb-") as folder:
        async with wire(channels=LATENCY_TURNS + LATENCY_WARM_UP) as servers:
            await servers.answers("ok")
            config = servers.addresses.config(Path(folder))
            bot = await _bot(servers, config)
            least = await _floor(servers, config)
    rows = []
    for event in EVENT_LABELS:
        ours, theirs = bot[event], least[event]
        median = statistics.median(ours), statistics.median(theirs)
        p95 = percentile(ours, 0.95), percentile(theirs, 0.95)
        rows.append((event.value, *map(ms, (median[0], p95[0], median[1], p95[1])), ratio(*median), ratio(*p95)))
    return Table(
        "Time from event to model request",
        "From the moment the platform sends the event until Nebula has the request's headers: "
        f"{LATENCY_TURNS} turns each, one after the other, each in a channel of its own; the whole bot in one process, "
        "embedded Redis, the platforms and Nebula in another process. Floor: a bare WebSocket "
        "that asks Nebula with the same client at once.",
        ("event", "median ms", "p95 ms", "floor median ms", "floor p95 ms", "median : floor", "p95 : floor"),
        tuple(rows),
    )


async def _bot(servers: BenchWire, config: Configuration) -> dict[AskKind, list[float]]:
    async with served(servers, config) as bot:
        return {event: await _times(servers, event, bot.runner.idle) for event in EVENT_LABELS}


async def _floor(servers: BenchWire, config: Configuration) -> dict[AskKind, list[float]]:
    found = {}
    async with nebula(config.core) as model:
        for event, platform in EVENT_LABELS.items():
            async with floor(model, config.core.nebula_model, servers.addresses, platform) as least:

                async def settled(answered: Callable[[], Awaitable[object]] = least.answered.wait) -> None:
                    await answered()

                found[event] = await _times(servers, event, settled)
    return found


async def _times(servers: BenchWire, event: AskKind, settled: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for number in range(LATENCY_WARM_UP + LATENCY_TURNS):
        asked = await servers.ask(event, number)
        await settled()
        times.append(asked.requested - asked.said)
    return times[LATENCY_WARM_UP:]
