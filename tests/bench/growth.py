"""The cost of a delta in a short reply and in a long one: it must not grow with the text."""

import statistics
import time

from core.domain.chat import Delta
from core.reply.latest import Latest
from core.reply.state import Reply
from tests.bench.table import Table, ratio

REPLY_SIZES = (1_000, 5_000, 20_000)
REPEATS = 5


async def measure() -> Table:
    """About 2 s."""
    costs = {size: statistics.median(_cost(size) for _ in range(REPEATS)) for size in REPLY_SIZES}
    last = {size: statistics.median(_cost(100, size) for _ in range(REPEATS)) for size in REPLY_SIZES}
    return Table(
        "Cost of a delta by the length of the reply",
        f"`Reply.add` and `Latest.set` alone, 5 characters a delta, median of {REPEATS} runs.",
        ("reply", "ns per delta, whole reply", "to the shortest", "ns per delta, at its end", "to the shortest"),
        tuple(
            (
                f"{size:,} deltas, {5 * size:,} characters",
                f"{costs[size]:,.0f}",
                ratio(costs[size], costs[REPLY_SIZES[0]]),
                f"{last[size]:,.0f}",
                ratio(last[size], last[REPLY_SIZES[0]]),
            )
            for size in REPLY_SIZES
        ),
    )


def _cost(deltas: int, after: int = 0) -> float:
    """Nanoseconds per delta, for `deltas` of them after `after` others."""
    cell, delta = Latest(Reply().add(Delta("word " * max(1, after)), 0.0)), Delta(" word")
    start = time.perf_counter_ns()
    for _ in range(deltas):
        cell.set(cell.value.add(delta, 0.0))
    return (time.perf_counter_ns() - start) / deltas
