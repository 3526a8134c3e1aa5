"""`make test-busy`: runs the tests many times on a busy machine, until one run is red.

`python -m tests.busy --runs 10 -- -n 3` passes what follows the dashes to pytest. The exit status is 1 if a run was
red. Times are printed relative to the first run, because absolute times say more about the machine than about the
tests.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.store.redis.embedded import bound

LOOPS = 4  # twice the number of cores that the tests need
BUSY_LOOP = [sys.executable, "-I", "-S", "-c", "while True: pass"]
ROOT = Path(__file__).parents[1]


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Run this many busy loops. On Linux they end with this process, whatever ends it."""
    with ExitStack() as stack:
        for _ in range(loops):
            # A session of its own: only the tests shall receive Ctrl-C, and where Linux shares the cores among sessions
            # first (man 7 sched, autogroup), four loops get four fifths of them.
            loop = stack.enter_context(subprocess.Popen(bound(BUSY_LOOP), start_new_session=True))
            stack.callback(loop.kill)
        yield


def green(arguments: Sequence[str]) -> bool:
    """Run the tests once; returns whether all passed."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode == 0


def runs(many: int, arguments: Sequence[str]) -> bool:
    """Run the tests this many times, or until a run is red; returns whether all were green."""
    first = 0.0
    for number in range(1, many + 1):
        begun = time.monotonic()
        well = green(arguments)
        took = time.monotonic() - begun
        first = first or took
        print(f"run {number} of {many}: {'green' if well else 'RED'}, {took / first:.2f} × the first", flush=True)
        if not well:
            return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.busy", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="how many, at most")
    parser.add_argument("--loops", type=int, default=LOOPS, help="busy loops beside the tests")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, behind --")
    told = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the loops also end with `make`
    with busy(told.loops):
        return 0 if runs(told.runs, told.pytest) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
