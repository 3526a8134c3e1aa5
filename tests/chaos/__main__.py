"""`make chaos`: checks that nobody loses a reply despite kills, outages, copied events, restarts and a hostile person;
at most 12 minutes.

`python -m tests.chaos --case a --seed 2 --turns 100` runs one case; `--short` runs a little of everything in a
minute. The exit status is 1 if a check fails; the logs then stay in the folder that the output names.
"""

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Sequence

from tests.bench.table import Table
from tests.chaos.cases import CHAOS_CASES, SHORT, ChaosCase
from tests.chaos.scene import Outcome, Row
from tests.chaos.world import LEASE_SECONDS, python

CASE_TIMEOUT_SECONDS = 320.0
MAX_EVIDENCE_LINES = 25  # printed at most
CHAOS_COLUMNS = ("case", "what", "asked", "found", "result")


async def played(name: str, case: ChaosCase, seed: int, turns: int | None) -> Outcome | str:
    """Play one case; if it breaks, return a sentence."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CASE_TIMEOUT_SECONDS):
            found = await (case.play(seed, turns) if turns else case.play(seed))
    except Exception as error:  # noqa: BLE001 - one case that breaks must not hide what the others found
        print(f"{name}: {error!r}", file=sys.stderr)
        return f"broke: {type(error).__name__}"
    print(f"{name}: {time.monotonic() - begun:.0f} s, {'pass' if found.ok else 'FAIL'}", file=sys.stderr)
    return found


async def run(cases: dict[str, ChaosCase], seed: int, turns: int | None) -> bool:
    """Run the cases and print the results; returns whether all passed."""
    outcomes = {name: await played(name, case, seed, turns) for name, case in cases.items()}
    rows: list[tuple[str, ...]] = []
    for name, found in outcomes.items():
        case = f"{name}: {cases[name].title}"
        for row in found.rows if isinstance(found, Outcome) else (Row("the case", "its end", found, False),):
            rows.append((case, row.what, row.asked, row.found, {None: "", True: "pass", False: "FAIL"}[row.ok]))
            case = ""
    setting = (
        f"Seed {seed}; {os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python()}; "
        f"LEASE_SECONDS={LEASE_SECONDS:g}; the platforms' real limits; "
        "4 % of their calls and 5 % of the model's fail."
    )
    print(Table("What is left of it after chaos", setting, CHAOS_COLUMNS, tuple(rows)))
    for name, found in outcomes.items():
        if isinstance(found, Outcome) and not found.ok:
            print(f"\n{name}: logs in {found.folder}", *found.evidence[:MAX_EVIDENCE_LINES], sep="\n  ")
            if len(found.evidence) > MAX_EVIDENCE_LINES:
                print(f"  and {len(found.evidence) - MAX_EVIDENCE_LINES} more")
    return all(isinstance(found, Outcome) and found.ok for found in outcomes.values())


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of everything, a minute")
    parser.add_argument("--case", action="append", choices=sorted(CHAOS_CASES), help="run this case; repeatable")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--turns", type=int, help="questions in each case")
    options = parser.parse_args(arguments)
    cases = SHORT if options.short else {name: CHAOS_CASES[name] for name in options.case or CHAOS_CASES}
    begun = time.monotonic()
    well = asyncio.run(run(cases, options.seed, options.turns))
    print(f"\n{time.monotonic() - begun:.0f} s in all. {'Nothing was lost.' if well else 'See FAIL above.'}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
