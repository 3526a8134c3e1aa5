"""`make bench`: the bot's speed as ratios and rates of one run, case by case; under six minutes.

`python -m tests.bench latency history` runs some of the cases.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from tests.bench import (
    brought,
    chunks,
    cpu,
    durability,
    files,
    growth,
    history,
    latency,
    memory,
    room,
    roundtrips,
    stalls,
    stranger,
    transport,
)
from tests.bench.table import Table, machine


async def _transports() -> None:
    print("### Transports under httpx\n\n```", flush=True)
    await transport.main()
    print("```")


BENCH_CASES: dict[str, Callable[[], Awaitable[Table | None]]] = {
    "latency": latency.measure,
    "durability": durability.measure,
    "chunks": chunks.measure,
    "cpu": cpu.measure,
    "growth": growth.measure,
    "roundtrips": roundtrips.measure,
    "room": room.measure,
    "history": history.measure,
    "memory": memory.measure,
    "stalls": stalls.measure,
    "stranger": stranger.measure,
    "files": files.measure,
    "brought": brought.measure,
    "transports": _transports,
}
ALL_CASES_SECONDS = 340.0  # seconds for all cases


async def _case(name: str, seconds: float) -> bool:
    """Measure and print one case; returns false if it did not end in time."""
    try:
        async with asyncio.timeout(seconds):
            table = await BENCH_CASES[name]()
    except TimeoutError:
        print(f"The case {name} did not end in time.", file=sys.stderr)
        return False
    print(*filter(None, [table]), "", sep="\n", flush=True)
    return True


def main(names: list[str]) -> int:
    """Run the cases with these names, or all; returns the exit status."""
    if unknown := set(names) - set(BENCH_CASES):
        print(f"There is no case {', '.join(sorted(unknown))}; there are {', '.join(BENCH_CASES)}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    print(f"{machine()}.\nRatios and rates of one run; absolute times are this machine's.\n", flush=True)
    done = [asyncio.run(_case(name, begun + ALL_CASES_SECONDS - time.monotonic())) for name in names or BENCH_CASES]
    print(f"{time.monotonic() - begun:.0f} s in all.")
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
