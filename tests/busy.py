"""`make test-busy`: the tests many times in a row on a machine that has much else to do, until one run is red.

`python -m tests.busy --runs 10 -- -n 3` runs pytest with what stands behind the dashes. The exit status is 1 when a run
was red. Times are told as shares of the first run's: of themselves they say more of the machine than of the tests.
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

LOOPS = 4  # twice the cores that the tests must do with
LOOP = [sys.executable, "-I", "-S", "-c", "while True: pass"]
ROOT = Path(__file__).parents[1]


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can; on Linux they end with this one, whatever ends it."""
    with ExitStack() as stack:
        for _ in range(loops):
            loop = stack.enter_context(subprocess.Popen(bound(LOOP), start_new_session=True))  # Ctrl-C is for the tests
            stack.callback(loop.kill)
        yield


def green(arguments: Sequence[str]) -> bool:
    """One run of the tests."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode == 0


def runs(many: int, arguments: Sequence[str]) -> bool:
    """Run the tests so many times, or until a run is red; whether all were green."""
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the loops end with `make`, too
    with busy(told.loops):
        return 0 if runs(told.runs, told.pytest) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
