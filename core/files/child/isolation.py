"""Ties the hands of this process: bounds for memory and time at once, and no file, socket or process any more before
it looks at foreign bytes."""

import os
import resource
import sys
import threading
import time
from contextlib import suppress

from core.untraced import untraced

_WORK = 0.75
"""The share of the time after which a reader gives back what it has."""
_LOOK_SECONDS = 0.005
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of both systems
_NOBODY = 65_534
"""A user who owns nothing, and a group of this number (systemd: uids-gids.md)."""


class Budget:
    """The time that reading may take: seconds of CPU time since this process began, and of the clock since now."""

    def __init__(self, cpu: float, seconds: float) -> None:
        self._cpu = cpu * _WORK
        self._end = time.monotonic() + seconds * _WORK

    @property
    def spent(self) -> bool:
        """Whether it is time to come to an end."""
        return time.process_time() > self._cpu or time.monotonic() > self._end


def bound(memory: int, cpu: int) -> None:
    """Limit the address space (bytes) and the CPU time (seconds); more of it ends this process, or fails in it.

    macOS knows no limit of the address space, and refuses to set it: see `watch`.
    """
    _limit(resource.RLIMIT_CORE, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))  # SIGXCPU, and a second later SIGKILL
    try:
        _limit(resource.RLIMIT_AS, memory)
    except (ValueError, OSError):
        watch(memory)


def watch(memory: int) -> None:
    """End this process once it has ever used more memory (bytes) than that, as a thread sees it every few milliseconds;
    what a library takes within them, or while it lets no other thread run, is bounded by time alone."""

    def most() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT

    allowed = max(memory, most())  # Linux begins with what the program that started this one has used

    def look() -> None:
        while most() <= allowed:
            if not threading.main_thread().is_alive():
                return
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    # A daemon would be ended with pthread_exit, for which glibc opens a library.
    threading.Thread(target=look).start()


def seal() -> None:
    """From here on, this process can open nothing: neither a file nor a socket gets a descriptor, on any system and in
    any container, so that it needs no namespace. It can't write into a file, nor start a process (POSIX setrlimit).

    No other process can look into it, such as one that reads another stranger's file.
    Root may fork all the same, and whoever has CAP_SYS_RESOURCE may raise any limit again. So root becomes nobody
    first; where that is refused, as in some containers, root can undo all of this. Whatever is to be imported must be
    by now.
    """
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
    untraced()  # a new user undoes it
    _limit(resource.RLIMIT_NOFILE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    with suppress(ValueError, OSError):
        _limit(resource.RLIMIT_NPROC, 0)


def give_back() -> None:
    """Foreign bytes were read: what they gave is written in the last second of CPU time. A reader that comes to its end
    when its time is nearly over, on a machine that is slow just then, loses nothing for it."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    _limit(resource.RLIMIT_CPU, most)


def _limit(which: int, most: int) -> None:
    resource.setrlimit(which, (most, most))
