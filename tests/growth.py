"""How the cost of an input grows with its length. Compares two lengths in one run, so that no machine is too slow."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LENGTH = 20_000  # characters
MOST = 2.5
"""Twice the length may cost at most this many times as much: linear work with some allowance."""
_ATTEMPTS = 40  # at most: other work on the machine can only make a run look slower


async def growth(work: Callable[[T], object], case: Callable[[int], T], length: int = LENGTH) -> float:
    """How many times as much CPU time the work takes for twice the length, by the least of several runs.

    The shorter input is worked on twice in one go. So both goes take about as long, and what the machine does beside
    them, like emptying the processor's caches now and then, costs both about the same. What `work` returns is awaited
    if it can be.
    """
    one, two = case(length), case(2 * length)
    await _cost(work, one)  # the first time, more has to be prepared
    ones = twos = float("inf")
    for _ in range(_ATTEMPTS):
        ones, twos = min(ones, await _cost(work, one, one)), min(twos, await _cost(work, two))
        if 2 * twos <= MOST * ones:
            break
    return 2 * twos / ones


async def _cost(work: Callable[[T], object], *inputs: T) -> float:
    begun = time.thread_time()
    for each in inputs:
        found = work(each)
        if inspect.isawaitable(found):
            await found
    return time.thread_time() - begun
