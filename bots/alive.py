"""The process's sign of life: a file in DATA_DIR that it locks and touches, and that `nebula-bot health` checks.

The lock ends with the process, however it ends; the time of the last touch shows whether its event loop still runs.
This module imports little: a container asks twice a minute, each time in a new process.
"""

import asyncio
import fcntl
import os
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
        held = os.open(path, os.O_RDONLY)
    except OSError as error:
        problem = (
            f"DATA_DIR: cannot write to {data_dir} ({error.strerror}). Set it to a directory that the bot may write to."
        )
        raise WrongConfig((problem,)) from None
    try:
        with suppress(OSError):  # where files can't be locked, the time has to do
            await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_SH)  # others may use this DATA_DIR too
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(beat())
            try:
                yield
            finally:
                beating.cancel()
    finally:
        os.close(held)


def healthy(data_dir: Path) -> tuple[bool, str]:
    """Whether a bot with this DATA_DIR runs and was alive within ALIVE_SECONDS, and a sentence that says so."""
    path = data_dir / "alive"
    try:
        ago = max(0.0, time.time() - path.stat().st_mtime)
        stopped = _free(path)
    except OSError:
        return False, f"no bot has left a sign of life in {data_dir.absolute()}"
    what = "stopped; " if stopped else "alive; " if ago < ALIVE_SECONDS else "it hangs; "
    return not stopped and ago < ALIVE_SECONDS, f"{what}last sign of life {ago:.0f} s ago, in {data_dir.absolute()}"


def _free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody else who looks holds it alone, which is possible only if no bot does.
            return not _shared(file.fileno())
        except OSError:  # files can't be locked here
            return False
    return True


def _shared(file: int) -> bool:
    """Whether those who hold the lock share it."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
