"""The longest stall of the loop: how long degenerate texts, of people or of a model, keep all others waiting."""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from tests.bench.table import Table, ms
from tests.bots.incoming import READERS
from tests.degenerate import INCOMING, WRITTEN
from tests.laid_out import steps

SENT, SAID = 20_000, 15_000  # characters of a message, of an answer
TARGET = 0.05  # seconds of CPU, for each step on a quiet core
PROGRAM_THRESHOLD = 10_000  # of the garbage collector, as the program sets it (bots/cli.py) after its imports


async def measure() -> Table:
    """About 60 s. Each step is timed alone, by the CPU time that it takes, since it has the loop to itself."""
    gc.freeze()
    gc.set_threshold(PROGRAM_THRESHOLD)
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name, case in INCOMING.items():
        text = case(SENT)
        for reader in READERS:
            found[f"a message: {reader.__name__.replace('_', ' ')}"].append((_seconds(partial(reader, text)), name))
    for name, case in WRITTEN.items():
        await asyncio.sleep(0)  # the time of all cases is limited
        for what, step in steps(case(SAID)):
            found[f"an answer: {what}"].append((_seconds(step), name))
    rows = []
    for what, times in found.items():
        longest, name = max(times)
        over = len({each for seconds, each in times if seconds > TARGET})
        rows.append((what, ms(longest), name, str(over)))
    return Table(
        "Longest stall of the loop",
        f"Each step that runs without a pause, over {len(INCOMING)} degenerate messages of {SENT:,} characters and "
        f"{len(WRITTEN)} answers of {SAID:,}; CPU time. Target: {TARGET * 1000:.0f} ms.",
        ("step", "longest, ms", "text", "texts over the target"),
        tuple(rows),
    )


def _seconds(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun
