"""How the cost of an input grows with its length. Compares two lengths in one run, so that no machine is too slow."""

import gc
import inspect
import os
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

T = TypeVar("T")

LENGTH = 20_000  # characters
MOST = 2.5
"""Twice the length may cost at most this many times as much: linear work with some allowance."""
_ATTEMPTS = 40  # at most: other work on the machine can only make a run look slower
_FEW = 9  # runs, of which the middle one says little


async def growth(work: Callable[[T], object], case: Callable[[int], T], length: int = LENGTH) -> float:
    """How many times as much CPU time the work takes for twice the length, by the least of several runs, or by the
    middle of their ratios.

    The shorter input is worked on twice in one go. So both goes take about as long, and what the machine does beside
    them, like emptying the processor's caches now and then, costs both about the same. On a very busy machine no run of
    one of them may be undisturbed, while one of the other was; the ratio of a run to that beside it still says the
    same, on average. What `work` returns is awaited if it can be.
    """
    one, two = case(length), case(2 * length)
    await _cost(work, one)  # the first time, more has to be prepared
    ones: list[float] = []
    twos: list[float] = []
    found = float("inf")
    for attempt in range(_ATTEMPTS):
        ones.append(await _cost(work, one, one))
        twos.append(await _cost(work, two))
        found = 2 * min(twos) / min(ones)
        if found > MOST and attempt >= _FEW:
            found = min(found, 2 * median(longer / shorter for shorter, longer in zip(ones, twos, strict=True)))
        if found <= MOST:
            break
    return found


async def _cost(work: Callable[[T], object], *inputs: T) -> float:
    """CPU seconds.

    Neither the collector nor other processes may always meet the same input: the one comes by the count of objects, the
    others each time that a slice of time is over. So the collector is off, and the work begins with a new slice.
    """
    gc.disable()
    os.sched_yield()
    try:
        begun = time.thread_time()
        for each in inputs:
            found = work(each)
            if inspect.isawaitable(found):
                await found
        return time.thread_time() - begun
    finally:
        gc.enable()
