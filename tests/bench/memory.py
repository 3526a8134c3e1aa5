"""Memory of a bot's process: idle, and while it streams two hundred replies at once."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.table import Table
from tests.bench.wire import Addresses, Event, wire

REPLIES = 200
RATE, TOKENS = 20, 400  # tokens a second of each reply, and tokens of each
SETTLE = 3.0  # seconds after the connection, before the idle figure
WATCH = 15  # seconds in which the replies are watched
RUN = "import sys; from bots.cli import main; sys.exit(main(['run']))"


async def measure() -> Table:
    """About 20 s."""
    with TemporaryDirectory(prefix="nb-") as folder:
        async with wire(channels=REPLIES // 2) as servers, _bot(servers.addresses, Path(folder)) as process:
            await servers.connected()
            await asyncio.sleep(SETTLE)
            idle = _resident(process)
            await servers.answers("word " * TOKENS, RATE)
            await servers.ask_many(Event.SLACK, REPLIES // 2)
            await servers.ask_many(Event.DISCORD, REPLIES // 2)
            at_once = await servers.streams()
            samples, before = [], _cpu(process)
            for _ in range(WATCH):
                await asyncio.sleep(1)
                samples.append(_resident(process))
            busy = (_cpu(process) - before) / WATCH
            at_end = await servers.streams()
    running = max(samples)
    assert at_once == at_end == REPLIES, f"{at_once}, then {at_end} of {REPLIES} replies were running"
    return Table(
        "Memory of a bot's process",
        "`nebula-bot run` with both platforms, resident set; Redis is a process of its own. Running: "
        f"{REPLIES} replies at once, half on each platform, {RATE} tokens a second each; the most within {WATCH} s.",
        ("state", "MB", "KB per reply", "CPU of one core"),
        (
            ("idle, connected to both platforms", f"{idle / 1e6:.0f}", "", ""),
            (
                f"{REPLIES} replies running",
                f"{running / 1e6:.0f}",
                f"{(running - idle) / REPLIES / 1e3:.0f}",
                f"{busy:.0%}",
            ),
        ),
    )


@asynccontextmanager
async def _bot(at: Addresses, folder: Path) -> AsyncIterator[int]:
    """The bot as it is run, knowing nothing of this process's environment; its process id."""
    own = {"DATA_DIR": str(folder), "DRAIN_SECONDS": "0", "LOG_LEVEL": "WARNING", **at.environment()}
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, cwd=folder, env={**paths, **own})
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _resident(process: int) -> int:
    """Bytes of the resident set."""
    return int(_ps(process, "rss")) * 1024


def _cpu(process: int) -> float:
    """Seconds of CPU time so far."""
    stat = Path(f"/proc/{process}/stat")
    if stat.exists():  # finer than what ps tells
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    seconds = 0.0
    for part in _ps(process, "time").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _ps(process: int, column: str) -> str:
    return subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(process)], capture_output=True, check=True
    ).stdout.decode()
