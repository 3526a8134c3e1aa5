"""The sign of life of a process: a file in DATA_DIR that it touches, and that `nebula-bot health` looks at.

It imports little: a container asks twice a minute, each time in a process of its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from core.settings.config import Config, WrongConfig

# The container's health check asks whether the loop was alive within this many seconds.
ALIVE_SECONDS = 30.0


@asynccontextmanager
async def alive(data_dir: Path) -> AsyncIterator[None]:
    """Touch a file while the loop is alive, for `nebula-bot health`. Raises WrongConfig if it can't be written."""
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
            f"DATA_DIR: {data_dir} can't be written ({error.strerror}); name a directory that the bot may write to."
        )
        raise WrongConfig((problem,)) from None
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()


def healthy(config: Config) -> bool:
    """Whether a bot with this DATA_DIR was alive within ALIVE_SECONDS."""
    path = config.data_dir / "alive"
    return path.exists() and time.time() - path.stat().st_mtime < ALIVE_SECONDS
