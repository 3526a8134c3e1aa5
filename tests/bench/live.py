"""`make bench-live`: what people see while the model writes, compared to an ideal pacer with the same limits; six
minutes.

`python -m tests.bench.live discord-1 slack-5` runs some of the cases. Limits are the platforms' real ones, a round trip
to them takes 50 ms, and a reply is 600 tokens at 60 a second. The exit status is 1 if a target is missed.
"""

import asyncio
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.live_cases import LIVE_CASES, LiveCase
from tests.bench.live_ideal import age, clairvoyant, ideal
from tests.bench.live_run import FAST, LENGTH, play, read_rate
from tests.bench.live_scene import ROUND_TRIP, Watched
from tests.bench.table import Table, Targets, machine

STREAM = "stream"  # the case that measures the reading of the model's stream
DELAY = 10.0  # seconds that an edit takes in this case
TOLERANCE = 0.05
LIVE_CASE_SECONDS = 150.0  # seconds for one case

LIVE_COLUMNS = (
    "case",
    "mean age, s",
    "ideal, s",
    "÷ ideal",
    "÷ clairvoyant",
    "final text, max s",
    "mean s",
    "first text, max s",
    "ideal, max s",
    "429",
)


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table, the calls, and the number of missed targets."""

    row: tuple[str, ...]
    note: str
    missed: int


def judged(case: LiveCase, seen: Watched) -> Result:
    """The figures of a run beside their targets."""
    if not all(reply.written for reply in seen.replies):
        return Result((case.title, "the model was not asked for every reply"), "", 1)
    if case.method and case.method not in dict(seen.calls):
        return Result((case.title, f"{case.method} was never called"), "", 1)
    check, goal, streams = Targets(), case.goal, case.streams(seen.replies)
    ours = statistics.mean(age(reply.written, reply.sights) for reply in seen.replies)
    paced = ideal(streams, ROUND_TRIP), clairvoyant(streams, ROUND_TRIP)
    best, known = (
        statistics.mean(age(stream.written, sights) for stream, sights in zip(streams, found, strict=True))
        for found in paced
    )
    begun = max(sights[0].at - stream.written[0] for stream, sights in zip(streams, paced[0], strict=True))
    finals = [reply.complete - reply.written[-1] for reply in seen.replies]
    row = (
        case.title,
        f"{ours:.2f}",
        f"{best:.2f}",
        check(ours / best, goal.ratio, 3),
        f"{ours / known:.2f}",
        check(max(finals), goal.final),
        check(statistics.mean(finals), goal.mean_final),
        f"{max(reply.first - reply.written[0] for reply in seen.replies):.2f}",
        f"{begun:.2f}",
        check(sum(many for _, many in seen.refused), goal.refused, 0),
    )
    calls = ", ".join(f"{name} {many}" for name, many in seen.calls)
    refused = ", ".join(f"{name} {many}" for name, many in seen.refused)
    return Result(row, f"{case.title}: {calls}{f'; 429: {refused}' if refused else ''}.", check.missed)


async def _measured(name: str) -> Result:
    """Measure one case; a failure becomes a row."""
    case = LIVE_CASES[name]
    try:
        async with asyncio.timeout(LIVE_CASE_SECONDS):
            seen = await play(case)
    except Exception as error:  # noqa: BLE001 - one case that breaks must not hide the figures of the others
        print(f"{name}: {error!r}", file=sys.stderr)
        return Result((case.title, f"broke: {type(error).__name__}"), "", 1)
    return judged(case, seen)


async def _stream() -> Result:
    """Check that a slow platform does not slow down the reading of the model's stream."""
    title = f"Reading {FAST} tokens/s, {LENGTH:,} tokens, on Discord"
    try:
        async with asyncio.timeout(LIVE_CASE_SECONDS):
            quick, slow = [await read_rate(LIVE_CASES["discord-1"], delay) for delay in (0.0, DELAY)]
    except Exception as error:  # noqa: BLE001 - as above
        return Result((title, f"broke: {error!r}"), "", 1)
    reached = math.isclose(slow, quick, rel_tol=TOLERANCE)
    ratio = f"{slow / quick:.3f} (1 ± {TOLERANCE:g}) {'✓' if reached else '✗'}"
    return Result((title, f"{quick:.1f}", f"{slow:.1f}", ratio), "", not reached)


def _tables(results: dict[str, Result]) -> list[Table]:
    tables = []
    replies = [result for name, result in results.items() if name != STREAM]
    if replies:
        rows = tuple(each.row + ("",) * (len(LIVE_COLUMNS) - len(each.row)) for each in replies)
        setting = (
            "Mean age of the newest visible token, from a reply's first token to its last, over all replies; ideal and "
            "clairvoyant as live_ideal.py defines them. Final text: from the last token to the complete text. First "
            "text: from the first token. Notes: calls of the platform, all answers with 429 among them."
        )
        tables.append(Table("What people see while the model writes", setting, LIVE_COLUMNS, rows, _notes(replies)))
    if STREAM in results:
        row = results[STREAM].row
        columns = ("case", "tokens/s", f"{DELAY:g} s an edit: tokens/s", "ratio")
        padded = row + ("",) * (len(columns) - len(row))
        tables.append(Table("The model's stream is never slowed", "Both runs one after the other.", columns, (padded,)))
    return tables


def _notes(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(filter(None, (each.note for each in results)))


async def _all(names: Sequence[str]) -> dict[str, Result]:
    results = {}
    for name in names:
        begun = time.monotonic()
        results[name] = await (_stream() if name == STREAM else _measured(name))
        print(f"{name}: {time.monotonic() - begun:.0f} s, {' | '.join(results[name].row[1:])}", file=sys.stderr)
    return results


def main(names: list[str]) -> int:
    """Run the cases with these names, or all; returns the exit status."""
    known = (*LIVE_CASES, STREAM)
    if unknown := set(names) - set(known):
        print(f"There is no case {', '.join(sorted(unknown))}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    results = asyncio.run(_all(names or known))
    print(f"{machine()}.\n")
    print(*_tables(results), sep="\n\n")
    missed = {name: result.missed for name, result in results.items() if result.missed}
    print(f"\n{time.monotonic() - begun:.0f} s in all.", end=" ")
    print(f"Targets missed in {', '.join(missed)}." if missed else "All targets are reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
