"""`make bench-rooms`: many rooms on many processes; how the work is shared, how long questions wait, and what a turn
costs.

`python -m tests.bench.rooms --rate 10 --seconds 30` asks less. The bots are processes on one Redis; the platforms with
their limits, the model and the people are a process of their own, whose CPU time is not counted. The exit status is 1
if the bots don't hold the rate.
"""

import argparse
import asyncio
import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from bots.sandbox.slack.methods.limits import of_workspaces
from core.store.redis.client import connection
from core.store.redis.embedded import embedded
from tests.bench.crowd_scene import CROWD_ROUND_TRIP, TOKENS_A_WORD, Ask, AskSeen, CrowdScene, CrowdSeen, Spot
from tests.bench.program import cpu_seconds, machine_seconds, program, resident
from tests.bench.table import Table, machine, percentile
from tests.bench.wire import BenchWire, process
from tests.ports import free_port

ROOMS_PACE, ROOMS_SECONDS = 20.0, 5.0  # of an answer: tokens per second, and how long it takes
DISCORD_SHARE = 0.25  # of the questions: Discord allows a bot 50 calls a second, about eight for a growing answer
WARM_UP_SECONDS = 3.0
ROOMS_PATIENCE_SECONDS = 30.0
MOST = 0.95  # of the questions
# The bots hold the rate if no answer is missing, no call gets 429, nothing is taken over, and of MOST of the questions
# the first word comes within this time and the end within so many times the answer's own; and only then the rate was
# asked at all if MOST of them came on time.
HELD_SECONDS, HELD_RATIO, ON_TIME_SECONDS = 2.0, 1.5, 0.1
MAX_QUESTIONS = 9_000  # the numbers of questions have four digits
WAIT, STEPS = "nebula_bot_turn_wait_seconds", "nebula_bot_redis_seconds"


class RoomsScene(CrowdScene):
    """A Slack that may have the limits of many workspaces."""

    def widen(self, workspaces: int) -> None:
        """From now on it has those of this many."""
        self._slack.limits = of_workspaces(workspaces)


@dataclass(frozen=True, slots=True)
class RoomsLoad:
    """Questions a second and for how many seconds, the share of them in Discord, channels of both platforms together,
    Slack's workspaces, and bots."""

    rate: float
    seconds: float
    discord: float
    rooms: int
    workspaces: int
    processes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process and its metrics say at one moment."""

    cpu: float
    memory: float
    metrics: Mapping[str, float]

    def since(self, before: "Figures") -> "Figures":
        """The change since then; the memory as it is."""
        changes = {name: value - before.metrics.get(name, 0.0) for name, value in self.metrics.items()}
        return Figures(self.cpu - before.cpu, self.memory, changes)

    def sum(self, name: str) -> float:
        """The sum of a metric over its labels."""
        return sum(value for key, value in self.metrics.items() if key.partition("{")[0] == name)


@dataclass(frozen=True, slots=True)
class RoomsRun:
    """A run: what people saw, and what each process, Redis and the whole machine spent on it."""

    seen: CrowdSeen
    bots: Mapping[str, Figures]  # by the process's key
    redis: Figures
    machine: float  # CPU seconds
    seconds: float

    @property
    def others(self) -> float:
        """How many cores everything else took that ran on the machine."""
        ours = sum(each.cpu for each in self.bots.values()) + self.redis.cpu
        return (self.machine - ours) / self.seconds - self.seen.busy


def asked(load: RoomsLoad, seconds: float, rng: random.Random) -> tuple[Ask, ...]:
    """Questions at an even rate for so long, in any room by anybody."""
    return tuple(
        Ask(
            number / load.rate,
            Spot.DISCORD if int((number + 1) * load.discord) > int(number * load.discord) else Spot.SLACK,
            rng.randrange(load.rooms // 2),
            rng.randrange(load.rooms // 2),
        )
        for number in range(round(load.rate * seconds))
    )


async def run(load: RoomsLoad) -> RoomsRun:
    """Start everything, and ask."""
    rng, half = random.Random(1), load.rooms // 2
    words = round((ROOMS_SECONDS * ROOMS_PACE + 1) / TOKENS_A_WORD)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="nb-")))
        pipe, addresses = await stack.enter_async_context(process(RoomsScene, 1))
        servers = BenchWire(pipe, addresses)
        await servers.call("furnish", half, half, words, ROOMS_PACE)
        await servers.call("widen", load.workspaces)
        server = await stack.enter_async_context(embedded(folder / "redis"))
        redis = await stack.enter_async_context(connection(server.url))
        ports = {f"r{number}": free_port() for number in range(1, load.processes + 1)}
        bots = {}
        for key, port in ports.items():
            own = {"REDIS_URL": server.url, "NEBULA_API_KEY": key, "HEALTH_PORT": str(port)}
            (folder / key).mkdir()
            replica = ("-m", "tests.bench.rooms_replica", str(load.workspaces))
            running = program(addresses.environment() | own, folder / key, *replica)
            bots[key] = await stack.enter_async_context(running)
        await servers.call("ready", load.processes, load.processes)
        await servers.call("play", asked(load, WARM_UP_SECONDS, rng), ROOMS_PATIENCE_SECONDS)
        before = {key: await _figures(bot, ports[key]) for key, bot in bots.items()}, await _redis(redis)
        spent, begun = machine_seconds(), time.monotonic()
        seen = await servers.call("play", asked(load, load.seconds, rng), ROOMS_PATIENCE_SECONDS)
        spent, begun = machine_seconds() - spent, time.monotonic() - begun
        after = {key: await _figures(bot, ports[key]) for key, bot in bots.items()}, await _redis(redis)
    figures = {key: after[0][key].since(before[0][key]) for key in bots}
    return RoomsRun(seen, figures, after[1].since(before[1]), spent, begun)


async def _figures(bot: int, port: int) -> Figures:
    def read() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return str(answer.read().decode())

    pairs = (line.rsplit(" ", 1) for line in (await asyncio.to_thread(read)).splitlines() if not line.startswith("#"))
    return Figures(cpu_seconds(bot), resident(bot), {name: float(value) for name, value in pairs})


async def _redis(redis: Any) -> Figures:
    cpu, memory, stats = await redis.info("cpu"), await redis.info("memory"), await redis.info("commandstats")
    calls = {name: float(each["calls"]) for name, each in stats.items() if name != "cmdstat_info"}
    return Figures(cpu["used_cpu_user"] + cpu["used_cpu_sys"], memory["used_memory"], calls)


def table(done: RoomsRun, load: RoomsLoad) -> Table:
    """All figures of a run."""
    keys, asks = tuple(done.bots), done.seen.asks
    mine = {key: [each for each in asks if each.key == key] for key in keys}

    def waits(what: str, until: Callable[[AskSeen], float]) -> tuple[str, ...]:
        return (what, *(_spread([until(each) for each in some]) for some in (*mine.values(), asks)), "")

    def each_bot(what: str, figure: Callable[[Sequence[str]], str], redis: str = "") -> tuple[str, ...]:
        return (what, *(figure([key]) for key in keys), figure(keys), redis)

    def turns(some: Sequence[str]) -> int:
        return max(1, sum(len(mine[key]) for key in some))

    def total(some: Sequence[str], name: str) -> float:
        return sum(done.bots[key].sum(name) for key in some)

    def claimed(some: Sequence[str]) -> str:
        many = max(1.0, total(some, f"{WAIT}_count"))
        slow = (
            1
            - sum(
                value
                for key in some
                for name, value in done.bots[key].metrics.items()
                if 'le="0.25"' in name and WAIT in name
            )
            / many
        )
        return f"{total(some, f'{WAIT}_sum') / many * 1e3:.0f}; {slow:.1%}"

    def cpu(some: Sequence[str]) -> float:
        return sum(done.bots[key].cpu for key in some)

    commands = sum(done.redis.metrics.values())
    rows = (
        each_bot("answers", lambda some: f"{turns(some)}, {turns(some) / len(asks):.0%}"),
        each_bot("question to claim: mean, ms; later than 0.25 s", claimed),
        waits("question to the model's request, s", lambda each: each.requested - each.said),
        waits("question to first word, s", lambda each: each.first - each.said),
        waits("question to end ÷ own time", lambda each: (each.complete - each.said) / each.own),
        each_bot("takeovers", lambda some: f"{total(some, 'nebula_bot_takeovers_total'):.0f}"),
        each_bot(
            "Redis steps a turn; commands",
            lambda some: f"{total(some, f'{STEPS}_count') / turns(some):.1f}",
            f"{commands / len(asks):.0f}",
        ),
        each_bot(
            "mean of a step, ms",
            lambda some: f"{total(some, f'{STEPS}_sum') / max(1.0, total(some, f'{STEPS}_count')) * 1e3:.1f}",
        ),
        each_bot(
            "CPU a turn, ms",
            lambda some: f"{cpu(some) / turns(some) * 1e3:.1f}",
            f"{done.redis.cpu / len(asks) * 1e3:.1f}",
        ),
        each_bot(
            "share of a core", lambda some: f"{cpu(some) / done.seconds:.0%}", f"{done.redis.cpu / done.seconds:.0%}"
        ),
        each_bot(
            "memory, MB",
            lambda some: f"{sum(done.bots[key].memory for key in some) / 1e6:.0f}",
            f"{done.redis.memory / 1e6:.1f}",
        ),
    )
    return Table(
        "Many rooms on many processes",
        f"{len(keys)} processes on one Redis, {load.rooms:,} channels, {load.rate:g} questions a second, "
        f"{load.discord:.0%} of them in Discord and the others in Slack, answers of {ROOMS_SECONDS:g} s at "
        f"{ROOMS_PACE:g} tokens a second. The platforms have their limits, those of Slack for {load.workspaces} "
        f"workspaces, and are {CROWD_ROUND_TRIP * 1000:.0f} ms away. Discord sends every event to every process. "
        "Waits: median / 95 % / longest. Steps: whole round trips, the search for lapsed turns included; commands: "
        "what Redis counts, those in scripts included.",
        ("what", *keys, "all", "Redis"),
        rows,
        _notes(done),
    )


def _notes(done: RoomsRun) -> tuple[str, ...]:
    late, refused = [each.late for each in done.seen.asks], done.seen.refused
    begun = min(each.said for each in done.seen.asks)
    slow = [each.said - begun for each in done.seen.asks if each.first - each.said > HELD_SECONDS]
    when = Counter(int(said / 10) * 10 for said in slow)
    return (
        f"First words later than {HELD_SECONDS:g} s: {len(slow) / len(done.seen.asks):.1%}; by when asked, in "
        f"steps of ten seconds: {', '.join(f'{at} s {many}' for at, many in sorted(when.items())) or 'none'}.",
        f"The questions came {percentile(late, MOST):.2f} s late (95 %; at most {max(late):.2f} s). Platforms, model "
        f"and people took {done.seen.busy:.0%} of a core, and what else ran on the machine {done.others:.0%}.",
        f"429: {', '.join(f'{name} {many}' for name, many in refused) or 'none'}.",
        f"Calls: {', '.join(f'{name} {many}' for name, many in done.seen.calls)}.",
    )


def failures(done: RoomsRun) -> list[str]:
    """Why the bots did not hold the rate; nothing if they did."""
    asks, found = done.seen.asks, []
    if missing := sum(each.complete == math.inf for each in asks):
        found.append(f"{missing} of {len(asks)} answers were not complete")
    if (first := percentile([each.first - each.said for each in asks], MOST)) > HELD_SECONDS:
        found.append(f"95 % of the first words came within {first:.1f} s (target {HELD_SECONDS:g} s)")
    if (end := percentile([(each.complete - each.said) / each.own for each in asks], MOST)) > HELD_RATIO:
        found.append(f"95 % of the answers ended within {end:.1f} × their own time (target {HELD_RATIO:g} ×)")
    if done.seen.refused:
        found.append(f"{sum(many for _, many in done.seen.refused)} calls got 429")
    if taken := sum(each.sum("nebula_bot_takeovers_total") for each in done.bots.values()):
        found.append(f"{taken:.0f} turns were taken over")
    if (late := percentile([each.late for each in asks], MOST)) > ON_TIME_SECONDS:
        found.append(f"the load itself was {late:.1f} s late: this machine can't drive it")
    return found


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{statistics.median(values):.2f} / {percentile(values, MOST):.2f} / {max(values):.2f}"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rooms", description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0, help="questions a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they come")
    parser.add_argument("--discord", type=float, default=DISCORD_SHARE, help="share of them in Discord, not in Slack")
    parser.add_argument("--rooms", type=int, default=1_000, help="channels of both platforms together")
    parser.add_argument("--workspaces", type=int, default=20, help="of Slack, whose limits are added up")
    parser.add_argument("--processes", type=int, default=3, help="bots")
    options = parser.parse_args(arguments)
    if options.rate * (options.seconds + WARM_UP_SECONDS) > MAX_QUESTIONS:
        parser.error(f"these are more than {MAX_QUESTIONS:,} questions")
    load = RoomsLoad(**vars(options))
    done = asyncio.run(run(load))
    print(f"{machine()}.\n\n{table(done, load)}\n")
    found = failures(done)
    print(f"{load.rate:g} questions a second: {'; '.join(found) if found else 'held'}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
