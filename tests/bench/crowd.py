"""`make bench-crowd`: what many people see who ask at once in one channel, and in one busy workspace; six minutes.

`python -m tests.bench.crowd slack-4 discord-8` runs some of the cases. Limits are the platforms' real ones, a round
trip to them takes 50 ms, and the bot is a process of its own. The exit status is 1 if a target is missed.
"""

import argparse
import asyncio
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.crowd_cases import CROWD_CASES, CROWD_PACE, CROWD_PATIENCE_SECONDS, CrowdCase
from tests.bench.crowd_scene import CROWD_ROUND_TRIP, AskSeen, CrowdScene, CrowdSeen, Spot
from tests.bench.program import cpu_seconds, program
from tests.bench.table import Table, Targets, machine, percentile
from tests.bench.wire import BenchWire, process

CROWD_CASE_SECONDS = 240.0  # seconds for one case
MOST = 0.95  # of the questions
LATE_SECONDS = 0.1  # a load that came later than this was not the one that was meant
CROWD_COLUMNS = (
    *("case", "last first word, s", "last end ÷ own time", "95 %: end ÷ own time", "95 %: first sign, s"),
    *("grew on screen", "at once in a room", "order", "429"),
)


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """A row of the table, a note, and the number of missed targets."""

    row: tuple[str, ...]
    note: str
    missed: int


def ratios(asks: Sequence[AskSeen]) -> list[float]:
    """Each answer's time from the question to its end on screen, as a multiple of the time in which the model wrote
    it."""
    return [(each.complete - each.said) / each.own if each.own < math.inf else math.inf for each in asks]


def at_once(asks: Sequence[AskSeen]) -> int:
    """The most answers that the model wrote at the same time for one room."""
    most = 0
    for one in asks:
        same = [each for each in asks if (each.ask.room, each.ask.spot) == (one.ask.room, one.ask.spot)]
        most = max(most, sum(each.began <= one.began < each.ended for each in same))
    return most


def in_order(asks: Sequence[AskSeen]) -> bool:
    """Whether each answer began only when the one before it had ended."""
    return all(one.ended <= following.requested < math.inf for one, following in pairwise(asks))


def judged(case: CrowdCase, seen: CrowdSeen, spent: float) -> CrowdResult:
    """The figures of a run beside their targets. `spent`: CPU seconds of the bot."""
    check, goal, asks = Targets(), case.goal, seen.asks
    order = "–"
    if goal.strict:
        kept = in_order(asks)
        check.missed += not kept
        order = "strict ✓" if kept else "not strict ✗"
    row = (
        case.title,
        check(max(each.first - each.said for each in asks), goal.first),
        check(max(ratios(asks)), goal.end),
        check(percentile(ratios(asks), MOST), goal.end_most),
        check(percentile([each.sign - each.said for each in asks], MOST), goal.sign_most),
        f"{sum(each.states > 1 for each in asks) / len(asks):.0%}",
        str(at_once(asks)),
        order,
        check(sum(many for _, many in seen.refused), 0, 0),
    )
    unanswered, late = sum(each.complete == math.inf for each in asks), max(each.late for each in asks)
    parts = [", ".join(f"{name} {many}" for name, many in seen.calls)]
    if seen.refused:
        parts.append("429: " + ", ".join(f"{name} {many}" for name, many in seen.refused))
    if unanswered:
        parts.append(f"{unanswered} of {len(asks)} answers were not complete")
    if late > LATE_SECONDS:
        parts.append(f"questions came up to {late:.1f} s late")
    parts.append(f"{spent / len(asks) * 1e3:.0f} ms of the bot's CPU for each question")
    return CrowdResult(row, f"{case.title}: {'; '.join(parts)}.", check.missed)


async def _played(case: CrowdCase) -> CrowdResult:
    """Play one case against new servers and a new bot, so that all budgets are unused."""
    platforms = {"DISCORD" if ask.spot is Spot.DISCORD else "SLACK" for ask in case.asks}
    with TemporaryDirectory(prefix="nb-") as folder:
        async with process(CrowdScene, 1) as (pipe, addresses):
            servers = BenchWire(pipe, addresses)
            await servers.call("furnish", case.rooms, case.people, case.words, CROWD_PACE)
            settings = {
                name: value
                for name, value in addresses.environment().items()
                if name.partition("_")[0] in {"NEBULA", *platforms}
            }
            async with program(settings | dict(case.settings), Path(folder)) as bot:
                await servers.call("ready", *(int(name in platforms) for name in ("SLACK", "DISCORD")))
                before = cpu_seconds(bot)
                seen: CrowdSeen = await servers.call("play", case.asks, CROWD_PATIENCE_SECONDS)
                return judged(case, seen, cpu_seconds(bot) - before)


async def _all(names: Sequence[str]) -> Mapping[str, CrowdResult]:
    results = {}
    for name in names:
        begun, case = time.monotonic(), CROWD_CASES[name]
        try:
            async with asyncio.timeout(CROWD_CASE_SECONDS):
                results[name] = await _played(case)
        except Exception as error:  # noqa: BLE001 - one case that breaks must not hide the figures of the others
            results[name] = CrowdResult((case.title, f"broke: {error!r}"), "", 1)
        print(f"{name}: {time.monotonic() - begun:.0f} s, {' | '.join(results[name].row[1:])}", file=sys.stderr)
    return results


def main(arguments: Sequence[str]) -> int:
    """Run the cases with these names, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crowd", description=__doc__)
    parser.add_argument("case", nargs="*", help=", ".join(CROWD_CASES))
    begun, names = time.monotonic(), parser.parse_args(arguments).case or list(CROWD_CASES)
    if unknown := set(names) - set(CROWD_CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CROWD_CASES)}")
    results = asyncio.run(_all(names))
    rows = tuple(each.row + ("",) * (len(CROWD_COLUMNS) - len(each.row)) for each in results.values())
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}.\n")
    setting = (
        f"The model writes {CROWD_PACE:g} tokens a second; the platforms, with their real limits, are "
        f"{CROWD_ROUND_TRIP * 1000:.0f} ms away. Times are from the moment the question was said. Own time: from the "
        "model's first token to its last. First sign: a status, a reaction, typing or a message. Notes: calls of the "
        "platforms, all answers with 429 among them."
    )
    print(Table("Many people at once", setting, CROWD_COLUMNS, rows, tuple(each.note for each in results.values())))
    missed = [name for name, result in results.items() if result.missed]
    print(f"\n{time.monotonic() - begun:.0f} s in all.", end=" ")
    print(f"Targets missed in {', '.join(missed)}." if missed else "All targets are reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
