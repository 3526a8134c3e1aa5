"""The process's sign of life: a file in DATA_DIR that it touches and that `nebula-bot health` checks.

This module imports little: a container asks twice a minute, each time in a new process.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from core.settings.environment import WrongConfig

# The health check passes if the event loop touched the file within this time.
ALIVE_SECONDS = 30.0


@asynccontextmanager
async def alive(data_dir: Path) -> AsyncIterator[None]:
    """Touch a file while the event loop runs, for `nebula-bot health`. Raises WrongConfig if that is not possible."""
    path = data_dir / "alive"

    async def beat() -> None:
        while True:
            with suppress(OSError):  # a full disk is no reason to stop answering
                await asyncio.to_thread(path.touch)
            await asyncio.sleep(ALIVE_SECONDS / 3)

    try:
        await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.touch)
    except OSError as error:
        problem = (
            f"DATA_DIR: cannot write to {data_dir} ({error.strerror}). Set it to a directory that the bot may write to."
        )
        raise WrongConfig((problem,)) from None
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()


def healthy(data_dir: Path) -> tuple[bool, str]:
    """Whether a bot with this DATA_DIR was alive within ALIVE_SECONDS, and a sentence that says when."""
    path = data_dir / "alive"
    try:
        ago = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return False, f"no bot has left a sign of life in {data_dir.absolute()}"
    return ago < ALIVE_SECONDS, f"last sign of life {ago:.0f} s ago, in {data_dir.absolute()}"
