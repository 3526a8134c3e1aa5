"""The cost of durability: the bot with Redis, as one replica and as three, compared to the same parts without
storage."""

import asyncio
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from core.store.redis.client import connection
from core.store.redis.embedded import EmbeddedServer, embedded
from tests.bench.durability_replica import CONVERSATIONS
from tests.bench.table import Table, ms, percentile, ratio, us
from tests.bench.wire import BENCH_WAIT_SECONDS, Addresses, BenchScene, BenchWire, process

# In each round: concurrent turns, and turns one after the other
ROUNDS, CONCURRENT_TURNS, ALONE, MAX_CONCURRENT = 6, 90, 15, 40
LEAST, LONGEST = 3, 25.0  # the fewest rounds, and seconds after which none begins any more, for a busy machine
MODEL_ANSWER = "ok"
REPLICAS = 3


class _Scene(BenchScene):
    """Reports when the model was asked."""

    def requests(self) -> int:
        return len(self.nebula.requests)

    def requested(self, since: int) -> list[float]:
        return [each.at for each in self.nebula.requests[since:]]


@dataclass(frozen=True, slots=True)
class _Done:
    """A reply: its replica, and when that replica read the question, 0 if another one had read it."""

    replica: int
    asked: float


class _Replica:
    """A process that answers questions."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        assert running.stdin
        assert running.stdout
        self._running, self._input, self._output = running, running.stdin, running.stdout
        self._ready: asyncio.Queue[None] = asyncio.Queue()
        self._rests: asyncio.Queue[float] = asyncio.Queue()

    def ask(self, number: int) -> None:
        self._input.write(f"{number}\n".encode())

    async def rest(self) -> float:
        """Wait until nothing runs in the process; returns its CPU time until now, in seconds."""
        self._input.write(b"rest\n")
        return await self._rests.get()

    async def ready(self) -> None:
        async with asyncio.timeout(BENCH_WAIT_SECONDS):
            await self._ready.get()

    async def read(self, number: int, done: "asyncio.Queue[_Done]") -> None:
        """Read the lines of the process until cancelled."""
        async for line in self._output:
            word, *rest = line.decode().strip().split(" ", 3)
            match word, rest:
                case "ready", []:
                    self._ready.put_nowait(None)
                case "rest", [seconds]:
                    self._rests.put_nowait(float(seconds))
                case "done", [_, asked, text] if text == MODEL_ANSWER:
                    done.put_nowait(_Done(number, float(asked)))
                case _:
                    raise RuntimeError(f"a replica said: {line!r}")
        raise RuntimeError("a replica ended")

    async def end(self) -> None:
        self._input.close()
        try:
            async with asyncio.timeout(10):
                await self._running.wait()
        except TimeoutError:
            self._running.kill()
            await self._running.wait()


@dataclass
class _Path:
    """One way to answer, with its measurements. Without Redis nothing is stored."""

    name: str
    replicas: list[_Replica]
    redis: "Redis | None"
    done: "asyncio.Queue[_Done]" = field(default_factory=asyncio.Queue)
    numbers: "count[int]" = field(default_factory=count)
    bot: list[float] = field(default_factory=list)  # seconds of CPU per turn, of each round
    server: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # from event to model request
    served: Counter[int] = field(default_factory=Counter)  # turns by replica
    spent: Counter[int] = field(default_factory=Counter)  # milliseconds of CPU by replica

    async def warm(self) -> None:
        """Wait for the processes and run the first turns, which are slower. Nothing is recorded."""
        for replica in self.replicas:
            await replica.ready()
        await self._turns(CONVERSATIONS, MAX_CONCURRENT)
        await self._rest()

    async def alone(self, servers: BenchWire) -> None:
        """Ask questions one after the other, each after the end of the turn before."""
        since, asked = await servers.call("requests"), []
        for _ in range(ALONE):
            asked += [each.asked for each in await self._turns(1, 1)]
            await self._rest()
        requested = await servers.call("requested", since)
        self.delays += [at - begun for begun, at in zip(asked, requested, strict=True)]

    async def at_once(self) -> None:
        """Keep this many questions running at once: ask the next one as soon as one has its answer."""
        bots, server = await self._rest()
        done = await self._turns(CONCURRENT_TURNS, MAX_CONCURRENT)
        bots_after, server_after = await self._rest()
        own = [after - before for before, after in zip(bots, bots_after, strict=True)]
        self.bot.append(sum(own) / CONCURRENT_TURNS)
        self.server.append((server_after - server) / CONCURRENT_TURNS)
        self.served.update(each.replica for each in done)
        self.spent.update({number: round(seconds * 1e3) for number, seconds in enumerate(own)})

    async def _turns(self, turns: int, at_once: int) -> list[_Done]:
        """Send each question to the next replica, and in the next conversation."""
        done: list[_Done] = []
        async with asyncio.timeout(BENCH_WAIT_SECONDS):
            for _ in range(min(turns, at_once)):
                self._ask()
            for left in range(turns - at_once, -at_once, -1):
                done.append(await self.done.get())
                if left > 0:
                    self._ask()
        return done

    def _ask(self) -> None:
        number = next(self.numbers)
        self.replicas[number % len(self.replicas)].ask(number)

    async def _rest(self) -> tuple[list[float], float]:
        """The CPU seconds until now of each replica and of Redis, once nothing runs."""
        bots = [await replica.rest() for replica in self.replicas]
        info = await self.redis.info("cpu") if self.redis else {}
        return bots, float(info.get("used_cpu_user", 0)) + float(info.get("used_cpu_sys", 0))


async def measure() -> Table:
    """Takes about 20 s if nothing else runs."""
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="nb-")))
        pipe, addresses = await stack.enter_async_context(process(_Scene, 1))
        servers = BenchWire(pipe, addresses)
        await servers.answers(MODEL_ANSWER)
        redis = [await stack.enter_async_context(embedded(folder / name)) for name in ("one", "three")]
        kinds = (
            ("in process, nothing kept", 1, None),
            ("1 replica", 1, redis[0]),
            (f"{REPLICAS} replicas", REPLICAS, redis[1]),
        )
        paths = [
            await stack.enter_async_context(_path(name, many, server, addresses, folder))
            for name, many, server in kinds
        ]
        for path in paths:
            await path.warm()
        rounds = 0
        while rounds < LEAST or (rounds < ROUNDS and time.monotonic() - begun < LONGEST):
            rounds += 1
            for path in paths:
                await path.alone(servers)
                await path.at_once()
    bare = paths[0]
    exchanges = (CONVERSATIONS + rounds * (CONCURRENT_TURNS + ALONE)) // CONVERSATIONS
    return Table(
        "Overhead of durability",
        "The same assistant, client and surfaces in memory: with queue, lease, history, settings and shared budgets in "
        f"Redis (embedded {redis[0].version} with its append-only file), and without all that. The model answers at "
        f"once, in a process of its own. {rounds} rounds, the paths in turn in each: {ALONE} questions one after the "
        f"other for the time from event to model request, then {CONCURRENT_TURNS} with {MAX_CONCURRENT} at once "
        f"for the turns per CPU second; {CONVERSATIONS} conversations, "
        "each question to the next replica and the next conversation.",
        (
            "path",
            "event to request, median ms",
            "ratio",
            "p95 ms",
            "ratio",
            "turns per CPU second",
            "ratio",
            "with Redis's CPU",
            "ratio",
            "Redis CPU us a turn",
        ),
        tuple(_row(path, bare) for path in paths),
        (
            f"The turns of each of the {REPLICAS} replicas: {_shares(paths[2].served)}; of their CPU time: "
            f"{_shares(paths[2].spent)}.",
            f"With Redis a request carries the history, here up to {exchanges} short exchanges; without, the question "
            "alone.",
            "A CPU second is one of the processes of that row together, user and system, Redis apart or with it: what "
            "one core does; median of the rounds, as are its ratios.",
            "The same time with a platform's SDK before it, against a bot without any of it, is in the case latency.",
        ),
    )


def _row(path: _Path, bare: _Path) -> tuple[str, ...]:
    median, least = statistics.median(path.delays), statistics.median(bare.delays)
    p95, least_p95 = percentile(path.delays, 0.95), percentile(bare.delays, 0.95)
    both = [own + server for own, server in zip(path.bot, path.server, strict=True)]
    return (
        path.name,
        *(ms(median), ratio(median, least), ms(p95), ratio(p95, least_p95)),
        *(*_rate(path.bot, bare.bot), *_rate(both, bare.bot)),
        us(statistics.median(path.server)) if path.redis else "",
    )


def _rate(costs: Sequence[float], floor: Sequence[float]) -> tuple[str, str]:
    """Turns per second at these costs, and their ratio to the floor in the same round."""
    ratios = [least / cost for cost, least in zip(costs, floor, strict=True)]
    return f"{1 / statistics.median(costs):.0f}", f"{statistics.median(ratios):.2f} ×"


def _shares(counts: Counter[int]) -> str:
    return ", ".join(f"{counts[number] / counts.total():.1%}" for number in sorted(counts))


@asynccontextmanager
async def _path(
    name: str, replicas: int, redis: EmbeddedServer | None, at: Addresses, folder: Path
) -> AsyncIterator[_Path]:
    """Start this many processes; `warm` waits for them."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **at.environment(),
        **({"REDIS_URL": redis.url} if redis else {}),
    }
    command = (sys.executable, "-m", "tests.bench.durability_replica", "durable" if redis else "bare")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connection(redis.url)) if redis else None
        path = _Path(name, [], client)
        for _ in range(replicas):
            running = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, cwd=folder, env=environment
            )
            path.replicas.append(_Replica(running))
            stack.push_async_callback(path.replicas[-1].end)
        async with asyncio.TaskGroup() as group:
            reading = [
                group.create_task(replica.read(number, path.done)) for number, replica in enumerate(path.replicas)
            ]
            yield path
            for task in reading:
                task.cancel()
