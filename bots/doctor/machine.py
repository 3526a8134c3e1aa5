"""Examines the machine: Python and the installed libraries, disk, clock, and the ports that the bot opens."""

import email.utils
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aiohttp

from bots.proxy import proxy_for
from core.awake import awake
from core.finding import Finding, bad, note, well
from core.settings.config import Config
from core.version import running

NAME = "machine"
_ROOT = Path(__file__).parents[2]  # of a checkout
# Below the first the bot may soon lose data, below the second somebody should look.
NO_ROOM_BYTES, LITTLE_ROOM_BYTES = 200 * 2**20, 2**30
# Slack refuses signatures of five minutes ago, and certificates have a beginning and an end.
SKEW_SECONDS, MOST_SKEW_SECONDS = 30.0, 240.0
CALL_SECONDS = 5.0
FEW_FILES = 256


async def examine(config: Config) -> AsyncGenerator[Finding, None]:
    """What is right and wrong with this machine. Never raises."""
    yield well(NAME, f"nebula-bot {running()}, Python {sys.version.split()[0]}")
    for finding in (*_libraries(), *_room(config.data_dir, private=not config.redis_url), *_files()):
        yield finding
    async for finding in _clock(config.nebula_base_url):
        yield finding


def _libraries() -> Iterator[Finding]:
    """Whether the installed libraries are those of the lock file, if this is a checkout."""
    lock = _ROOT / "requirements.lock"
    if not lock.is_file():
        return
    others = []
    for name, wanted in re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text("utf-8"), re.MULTILINE):
        try:
            if (installed := version(name)) != wanted:
                others.append(f"{name} {installed}, not {wanted}")
        except PackageNotFoundError:  # it may be for another system
            continue
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        yield bad(
            NAME, f"libraries of another version are installed: {shown}", "run make run, which installs the right ones"
        )


def _room(data_dir: Path, *, private: bool) -> Iterator[Finding]:
    """Whether DATA_DIR, or what it will be in, can be written and has room. `private`: the Redis is in it, whose
    examination says that it can't be written."""
    wanted = data_dir.absolute()
    folder = next((each for each in (wanted, *wanted.parents) if each.exists()), Path("/"))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        if private:
            return
        why = "may not write in it" if folder.is_dir() else "can't make it, as a part of its path is a file"
        yield bad(NAME, f"DATA_DIR: the bot {why}: {wanted}", "set it to a directory that the bot may write to")
        return
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield bad(NAME, f"DATA_DIR: {wanted} can't be used ({error.strerror})", "set it to another directory")
        return
    text = f"{free / 2**30:.1f} GB are free for DATA_DIR ({wanted})"
    if free < NO_ROOM_BYTES:
        yield bad(NAME, text, "make room: a full disk loses questions")
    elif free < LITTLE_ROOM_BYTES:
        yield note(NAME, text, "make room soon")
    else:
        yield well(NAME, text)


def _files() -> Iterator[Finding]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FEW_FILES:
        yield bad(NAME, f"a process may open only {most} files, and each connection is one", "raise ulimit -n")


async def _clock(url: str) -> AsyncGenerator[Finding, None]:
    """How far the clock is from that of a server; nothing if none tells the time."""
    try:
        async with awake(CALL_SECONDS), aiohttp.ClientSession() as session:
            before = time.time()
            async with session.get(url, proxy=proxy_for(url), allow_redirects=False) as response:
                told = response.headers.get("Date", "")
            there = email.utils.parsedate_to_datetime(told).timestamp()
    except (aiohttp.ClientError, OSError, TimeoutError, TypeError, ValueError, OverflowError):
        return
    skew = abs((before + time.time()) / 2 - there)
    text = f"the clock is {skew:.0f} s from that of Nebula's server"
    if skew > MOST_SKEW_SECONDS:
        yield bad(NAME, text, "set it, and keep it right with NTP: Slack's signatures and certificates depend on it")
    elif skew > SKEW_SECONDS:
        yield note(NAME, text, "keep it right with NTP")
    else:
        yield well(NAME, "the clock is right")
