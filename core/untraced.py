"""Shuts the memory of this process, which holds tokens or a stranger's file, to other processes of the same user."""

import ctypes
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def untraced() -> None:
    """From here on, only root can trace this process and read or write its memory, and a crash writes none of it to a
    disk (PR_SET_DUMPABLE(2const)). For Linux alone; a program that this process starts can be traced again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
