"""Ties the hands of this process: bounds for memory and time at once, and no file, socket or process any more before
it looks at foreign bytes."""

import resource
import time
from contextlib import suppress

_WORK = 0.75
"""The share of the CPU time after which a reader gives back what it has."""


class CpuBudget:
    """The CPU time that reading may take, from the start of this process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds * _WORK

    @property
    def spent(self) -> bool:
        """Whether it is time to come to an end."""
        return time.process_time() > self._seconds


def bound(memory: int, seconds: int) -> None:
    """Limit the address space (bytes) and the CPU time; more of it ends this process, or fails in it.

    macOS knows no limit of the address space, and refuses to set it: there, time alone bounds the memory.
    """
    _limit(resource.RLIMIT_CORE, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU, and a second later SIGKILL
    with suppress(ValueError, OSError):
        _limit(resource.RLIMIT_AS, memory)


def seal() -> None:
    """From here on, this process can open nothing: neither a file nor a socket gets a descriptor, on any system and in
    any container, so that it needs no namespace. It can't write into a file, nor start a process (POSIX setrlimit).

    Whatever is to be imported must be by now.
    """
    _limit(resource.RLIMIT_NOFILE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    with suppress(ValueError, OSError):
        _limit(resource.RLIMIT_NPROC, 0)


def _limit(which: int, most: int) -> None:
    resource.setrlimit(which, (most, most))
