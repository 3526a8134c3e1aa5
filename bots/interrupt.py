"""Makes Ctrl-C stop a running answer instead of the program."""

import asyncio
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupt(stop: Callable[[], object]) -> Iterator[None]:
    """Inside this context Ctrl-C calls `stop`, and typed characters are not echoed over the output."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop)
    modes = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    if modes:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, [*modes[:3], modes[3] & ~termios.ECHO, *modes[4:]])
    try:
        yield
    finally:
        if modes:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)
        loop.remove_signal_handler(signal.SIGINT)
