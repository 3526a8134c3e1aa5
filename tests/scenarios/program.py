"""The program itself as a child process, as `make run` starts it, on the sandbox's servers."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAM = (sys.executable, "-m", "bots")
# What a developer's shell may hold must not reach the program.
OURS = (
    *("NEBULA_", "SLACK_", "DISCORD_", "REDIS_", "HEALTH_", "REPLY_", "ACCESS_", "PERSON_", "CHANNEL_", "HISTORY_"),
    *("ENCRYPTION_", "TURN", "LEASE_", "DRAIN_", "MISSED_", "INBOX_", "QUESTION_", "DATA_DIR", "LOG_LEVEL"),
)


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """A clean environment: ours only as the test says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a start without compiled files takes twice as long
    root = Path(__file__).parents[2]
    return {**kept, "PYTHONPATH": str(root), "HOME": str(folder), "DATA_DIR": str(folder / "data"), **settings}


async def run(folder: Path, *arguments: str, said: str = "", **settings: str) -> tuple[int, str, str]:
    """Run a command to its end; returns status, output and errors."""
    async with started(folder, *arguments, **settings) as process:
        out, err = await process.communicate(said.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def started(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Process]:
    """A running command; killed when the context is left, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments, cwd=folder, env=environment(folder, settings), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
