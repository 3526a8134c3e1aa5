"""Runs the program itself as a child process, as `make run` does, with the sandbox's servers."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAM = (sys.executable, "-m", "bots")
# Settings in a developer's shell must not reach the program.
OUR_PREFIXES = (
    *("NEBULA_", "SLACK_", "DISCORD_", "REDIS_", "HEALTH_", "REPLY_", "ACCESS_", "PERSON_", "CHANNEL_", "HISTORY_"),
    *("ENCRYPTION_", "TURN", "LEASE_", "DRAIN_", "MISSED_", "INBOX_", "QUESTION_", "DATA_DIR", "LOG_LEVEL"),
)


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """A clean environment: of our own variables, only those that the test sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OUR_PREFIXES)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # without compiled files the start takes twice as long
    root = Path(__file__).parents[2]
    return {**kept, "PYTHONPATH": str(root), "HOME": str(folder), "DATA_DIR": str(folder / "data"), **settings}


async def run(
    folder: Path, *arguments: str, said: str = "", program: Sequence[str] = PROGRAM, **settings: str
) -> tuple[int, str, str]:
    """Run a command to its end; returns its exit status, standard output and standard error."""
    async with started(folder, *arguments, program=program, **settings) as process:
        out, err = await process.communicate(said.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def started(
    folder: Path, *arguments: str, program: Sequence[str] = PROGRAM, **settings: str
) -> AsyncIterator[Process]:
    """Start a command; it is killed at the end of the context if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *program, *arguments, cwd=folder, env=environment(folder, settings), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
