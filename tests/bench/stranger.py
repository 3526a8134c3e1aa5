"""The time to the first word of ordinary answers beside a stranger who sends what hurts most, compared with the time
without one, and the leases that this costs."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.compose import Bot
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.slack.server import SlackServer
from core.metrics import REGISTRY
from tests.bench.served import served
from tests.bench.table import Table, ms, percentile, ratio
from tests.bench.wire import BENCH_WAIT_SECONDS, AskKind, BenchScene, BenchWire, process
from tests.chaos.stranger import OddModel, Stranger

EVENTS = (AskKind.SLACK, AskKind.DISCORD)
STRANGER_TURNS, STRANGER_WARM_UP = 40, 5  # questions of each kind, with and without the stranger
LONG_TURNS, LONG_TOKENS, LONG_PACE = 4, 600, 20.0  # answers that are written meanwhile, so that leases are held
TURN_SECONDS, ACT_PAUSE_SECONDS = 0.3, 0.3  # from one question to the next; between two acts of the stranger
MAX_SECONDS = 45.0  # of the part beside the stranger: a bot that stands still is asked less often
IDLE_SECONDS = 20.0  # for the stranger's own answers to end
FIRST_WORD = "immediately"
MAX_RATIO = 1.2


class StrangerScene(BenchScene):
    """The servers, ordinary people and a stranger."""

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        super().__init__(slack, discord, channels)
        self.nebula = OddModel(answer=self._answer)
        self._stranger = Stranger(slack, discord)
        self._acts = self._stranger.acts()
        self._acting: asyncio.Task[None] | None = None

    async def first_word(self, event: AskKind, number: int) -> float:
        """Ask in channel `number`; returns how many seconds it took until the answer's first word could be read."""
        begun = time.monotonic()
        await self._say(event, number)
        with suppress(TimeoutError):
            if event is AskKind.SLACK:
                return await self._slack.until(lambda: self._first(event, number), BENCH_WAIT_SECONDS) - begun
            return await self._discord.until(lambda: self._first(event, number), BENCH_WAIT_SECONDS) - begun
        return BENCH_WAIT_SECONDS

    def trouble(self, on: bool) -> None:
        """Let the stranger begin, or stop."""
        if self._acting:
            self._acting.cancel()
        self._acting = asyncio.get_running_loop().create_task(self._act()) if on else None

    async def _act(self) -> None:
        for _, act in self._acts:
            await act("")
            await asyncio.sleep(ACT_PAUSE_SECONDS)

    def _first(self, event: AskKind, number: int) -> float:
        """When the first word could be read, 0 for not yet."""
        frames = (
            [(each.at, each.shown) for said in self._slack.messages(self._rooms[number]) for each in said.frames]
            if event is AskKind.SLACK
            else [
                (each.at, each.content)
                for said in self._discord.messages(self._channels[number])
                for each in said.frames
            ]
        )
        return min((at for at, text in frames if FIRST_WORD in text), default=0.0)


async def measure() -> Table:
    """About 60 s."""
    channels = LONG_TURNS + STRANGER_WARM_UP + 2 * STRANGER_TURNS
    with TemporaryDirectory(prefix="nb-") as folder:
        async with process(StrangerScene, channels) as (pipe, addresses):
            servers = BenchWire(pipe, addresses)
            config = addresses.config(Path(folder))
            async with served(servers, config) as bot:
                without, beside, lost = await _both(servers, bot)
    rows = []
    for event in EVENTS:
        plain, troubled = without[event], beside[event]
        median = statistics.median(troubled), statistics.median(plain)
        p95 = percentile(troubled, 0.95), percentile(plain, 0.95)
        rows.append(
            (
                f"{event.value}, {len(troubled)} beside",
                *map(ms, (median[1], p95[1], median[0], p95[0])),
                ratio(*median),
                ratio(*p95),
            )
        )
    return Table(
        "Time to the first word beside a hostile person",
        "From the moment the platform sends the event until the answer's first word can be read: "
        f"{STRANGER_TURNS} questions each, every {TURN_SECONDS:g} s in a channel of its own, without and then beside "
        "a stranger who sends everything in tests/chaos/stranger.py; the whole bot in one process, platforms without "
        "rate limits.",
        ("event", "median ms", "p95 ms", "beside: median ms", "p95 ms", "median", "p95"),
        tuple(rows),
        (
            f"Target for the median: at most {MAX_RATIO:g} ×.",
            f"Leases lost: {lost:.0f} (target 0), of these and of {LONG_TURNS} answers that were written meanwhile.",
        ),
    )


Times = dict[AskKind, Sequence[float]]


async def _both(servers: BenchWire, bot: Bot) -> tuple[Times, Times, float]:
    """The times without and beside the stranger, and how many leases were lost."""
    await servers.answers(FIRST_WORD)
    number = LONG_TURNS
    await _times(servers, number, STRANGER_WARM_UP)
    number += STRANGER_WARM_UP
    without = await _times(servers, number, STRANGER_TURNS)
    number += STRANGER_TURNS
    await servers.answers("word " * LONG_TOKENS, LONG_PACE)
    await servers.ask_many(AskKind.DISCORD, LONG_TURNS)
    await servers.answers(FIRST_WORD)
    before = _takeovers()
    await servers.call("trouble", True)
    beside = await _times(servers, number, STRANGER_TURNS)
    await servers.call("trouble", False)
    with suppress(TimeoutError):
        async with asyncio.timeout(IDLE_SECONDS):
            await bot.runner.idle()
    return without, beside, _takeovers() - before


async def _times(servers: BenchWire, first: int, turns: int) -> Times:
    found: dict[AskKind, list[float]] = {event: [] for event in EVENTS}
    end = time.monotonic() + MAX_SECONDS
    for number in range(first, first + turns):
        begun = time.monotonic()
        if begun > end:
            break
        for event in EVENTS:
            found[event].append(await servers.call("first_word", event, number))
        await asyncio.sleep(begun + TURN_SECONDS - time.monotonic())
    return dict(found)


def _takeovers() -> float:
    """In one process without a restart, each of them is a turn whose lease was lost."""
    return REGISTRY.get_sample_value("nebula_bot_takeovers_total") or 0.0
