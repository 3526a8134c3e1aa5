"""The bot as a process of its own, and the cost of that process."""

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

RUN = ("-c", "import sys; from bots.cli import main; sys.exit(main(['run']))")


@asynccontextmanager
async def program(settings: Mapping[str, str], folder: Path, *arguments: str) -> AsyncIterator[int]:
    """Run `nebula-bot run` without this process's environment; yields its process id. `arguments`: for Python, to start
    it in another way."""
    own = {"DATA_DIR": str(folder), "DRAIN_SECONDS": "0", "LOG_LEVEL": "WARNING", **settings}
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *(arguments or RUN), cwd=folder, env={**paths, **own}
    )
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


def resident(process: int) -> int:
    """Bytes of the process's resident set."""
    return int(_ps(process, "rss")) * 1024


def cpu_seconds(process: int) -> float:
    """The process's CPU time until now, in seconds."""
    schedule = Path(f"/proc/{process}/schedstat")
    if schedule.exists():  # finer than the output of ps; for the main thread, where the loop runs
        return int(schedule.read_text().split()[0]) / 1e9
    seconds = 0.0
    for part in _ps(process, "time").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def machine_seconds() -> float:
    """The CPU time of the whole machine until now, in seconds of one core; nan where it does not say."""
    counts = Path("/proc/stat")
    if not counts.exists():
        return math.nan
    user, nice, system, _idle, _waiting, *others = map(int, counts.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def _ps(process: int, column: str) -> str:
    return subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(process)], capture_output=True, check=True
    ).stdout.decode()
