"""`make bench`: the bot's speed as ratios and rates of one run, case by case; under four minutes.

`python -m tests.bench latency history` runs some of the cases.
"""

import asyncio
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable

from tests.bench import latency
from tests.bench.table import Table

CASES: dict[str, Callable[[], Awaitable[Table]]] = {
    "latency": latency.measure,
}
LONGEST = 75.0  # seconds for one case


async def _bounded(measure: Callable[[], Awaitable[Table]]) -> Table:
    async with asyncio.timeout(LONGEST):
        return await measure()


def main(names: list[str]) -> int:
    """Run the cases of these names, or all."""
    if unknown := set(names) - set(CASES):
        print(f"There is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    print(
        f"Nebula Bot, {time.strftime('%Y-%m-%d %H:%M %Z')}: {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}, {platform.python_implementation()} {platform.python_version()}; all on 127.0.0.1.\n"
        "Ratios and rates of one run; absolute times are this machine's.\n",
        flush=True,
    )
    for name in names or CASES:
        print(asyncio.run(_bounded(CASES[name])), "\n", flush=True)
    print(f"{time.monotonic() - begun:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
