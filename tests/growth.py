"""How the cost of a text grows with its length. Compares two lengths in one run, so that no machine is too slow."""

import time
from collections.abc import Callable

from tests.degenerate import Case

LENGTH = 20_000  # characters
MOST = 2.5
"""Twice the length may cost at most this many times as much: linear work with some allowance."""
_ATTEMPTS = 40  # at most: other work on the machine can only make a run look slower


def growth(work: Callable[[str], object], case: Case, length: int = LENGTH) -> float:
    """How many times as much CPU time the work takes for twice the length, by the least of several runs."""
    one, two = case(length), case(2 * length)
    least_one, least_two = _cost(work, one), float("inf")  # the first time, more has to be prepared
    for _ in range(_ATTEMPTS):
        least_one, least_two = min(least_one, _cost(work, one)), min(least_two, _cost(work, two))
        if least_two <= MOST * least_one:
            break
    return least_two / least_one


def _cost(work: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()
    work(text)
    return time.thread_time() - begun
