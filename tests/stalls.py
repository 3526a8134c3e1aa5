"""A stall of the loop, as a suspended or overloaded machine has: all timers of that time come due at once."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from tests.redis_topologies import RedisProcess

LIMIT_SECONDS = 0.5  # a time limit which a stall exceeds
_ROUNDS = 20  # of the loop, in which a client has sent its command and waits for the answer


def stall_soon(when: Callable[[], object] = lambda: True) -> None:
    """In the first round of the loop in which this is true, it stands still for longer than LIMIT_SECONDS."""

    def stall() -> None:
        if when():
            time.sleep(3 * LIMIT_SECONDS)
        else:
            stall_soon(when)

    asyncio.get_running_loop().call_soon(stall)


@contextmanager
def answer_in_a_stall(redis: RedisProcess, key: str) -> Iterator[None]:
    """What writes this key within this context is answered while the loop stands still."""
    pid, rounds = redis.process.pid, count()
    with redis.talk() as other:

        def written() -> bool:
            if next(rounds) < _ROUNDS:
                return False
            os.kill(pid, signal.SIGCONT)
            other.ping()  # what was sent before it is done before the next command
            if other.exists(key):
                return True
            os.kill(pid, signal.SIGSTOP)
            return False

        other.ping()
        os.kill(pid, signal.SIGSTOP)
        try:
            stall_soon(written)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
