"""One scene of a chaos run: a world under load while something happens to it, and the table rows that result."""

import asyncio
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from redis.exceptions import RedisError

from tests.bounds import HANG_SECONDS
from tests.chaos import faults, seen
from tests.chaos.judge import Verdict, judge, percentile
from tests.chaos.lanes import Span, at_once, crowded, overlapping, starved
from tests.chaos.load import ChaosRoom, Load
from tests.chaos.stranger import Stranger
from tests.chaos.takeover import Kill, takeovers
from tests.chaos.world import LEASE_SECONDS, PARALLEL, ChaosWorld, Replica, world

SETTLE_TIMEOUT_SECONDS = HANG_SECONDS  # until every question must have its reply
MAX_STUB_SHARE = 0.01  # of the questions
MAX_TAKEOVER_SECONDS = 10.0  # for 95 % of the takeovers
ANSWER_WORDS = (20, 75)  # fewest and most words of an answer, two tokens each: 1 to 3 seconds
_ROOT = Path(__file__).parents[2]
LOGS = "r*/log"  # of the replicas, in the folder
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ |+].*\n)+.*")
_ORDER, _HISTORY = ("order", "history order"), ("forgotten", "remembered twice", "remembered wrong")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ok`: None for a figure without a target."""

    what: str
    asked: str
    found: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a case. `evidence` is for people; `folder` holds the logs."""

    rows: tuple[Row, ...]
    evidence: tuple[str, ...]
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether every figure meets its target."""
        return all(row.ok is not False for row in self.rows)


class ChaosScene:
    """A world, its load, and what was done to it."""

    def __init__(
        self, world: ChaosWorld, load: Load, rng: random.Random, slack: list[ChaosRoom], discord: list[ChaosRoom]
    ) -> None:
        self.world, self.load, self.rng = world, load, rng
        self.stranger: Stranger | None = None
        self.slack, self.discord = slack, discord
        self.kills: list[Kill] = []
        self.frozen: list[Span] = []  # when the store stood still
        self.troubled: list[float] = []  # when processes or the store ended
        self.over = asyncio.Event()  # set when nothing more shall happen
        self._begun = time.monotonic()

    async def kill(self, replica: Replica) -> None:
        """Kill a replica."""
        self.troubled.append(time.monotonic())
        self.kills.append(await replica.kill())

    async def stop(self, replica: Replica) -> int:
        """Stop a replica; returns its exit status."""
        self.troubled.append(time.monotonic())
        return await replica.stop()

    async def lose_store(self) -> None:
        """Kill the store."""
        self.troubled.append(time.monotonic())
        await self.world.store.kill()

    async def pause(self, seconds: float) -> bool:
        """Wait for this time; returns false if nothing more shall happen."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()
        return not self.over.is_set()

    async def play(self, turns: int, seconds: float, *happenings: Callable[["ChaosScene"], Awaitable[None]]) -> None:
        """Ask this many questions in about this time, a quarter of them in Slack, during these happenings; then settle.

        Slack's limit on edits, 50 a minute in a workspace, allows no more there: replies would wait for their final
        frames longer than a replica lives.
        """
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._end(seconds))
            dropping = group.create_task(faults.drop_sockets(self.world, self.rng))
            doing = [group.create_task(_run(each, self)) for each in happenings]
            await self.load.talk([(self.slack, turns // 4), (self.discord, turns - turns // 4)], seconds)
            self.world.note("all questions are asked")
            await asyncio.wait((ending, *doing))
            dropping.cancel()
        await self.settle()

    async def _end(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.over.set()

    async def settle(self) -> None:
        """Wait until no question waits any more, at most SETTLE_TIMEOUT_SECONDS."""
        end = time.monotonic() + SETTLE_TIMEOUT_SECONDS
        while time.monotonic() < end:
            await self.load.look()
            with suppress(RedisError):
                coming, waiting = self.world.slack.pending, await seen.waiting(self.world)
                if not coming and not waiting:
                    return
                self.world.note(f"{coming} Slack events are on their way, {waiting} questions wait")
            await asyncio.sleep(0.5)

    async def rows(self) -> tuple[list[Row], list[str]]:
        """The rows of every case, and the evidence."""
        await self.load.look()
        shown, asked = seen.shown(self.world, self.load), self.load.asked()
        kept = [each for each in await seen.kept(self.world) if not (self.stranger and self.stranger.owns(each.room))]
        verdict = judge(asked, [each.said for each in shown], kept)
        endless, left = await seen.endless(self.world), await seen.waiting(self.world)
        accepted = [each for each in asked if each.accepted]
        kinds = Counter(each.kind for each in verdict.findings)
        wrong = {kind: many for kind, many in kinds.items() if kind not in (*_ORDER, *_HISTORY)}
        waiting = {"still waiting": left} if left else {}
        parallel, heard = self.world.parallel, seen.heard(self.world, self.load, shown)
        # While the store stands still, leases run out whose holders live: they and their successors are one too many.
        excused = [(since, until + LEASE_SECONDS) for since, until in self.frozen]
        many = max((many for many, _ in at_once(heard, excused).values()), default=0)
        unfair, beside = starved(heard, self.troubled), overlapping(heard, excused)
        failures = _failures(self.world.folder)
        refused, silently = self.load.refused()
        rows = [
            Row(
                "one reply to each accepted question, whole or closed",
                f"{len(accepted)} accepted of {len(asked)}",
                f"{len(verdict.complete)} whole, {len(verdict.closed)} closed{_listed(wrong | waiting)}",
                not wrong and len(verdict.complete) + len(verdict.closed) == len(accepted) and not left,
            ),
            Row("order kept in each lane", "0 out of order", str(_count(kinds, _ORDER)), not _count(kinds, _ORDER)),
            Row("lanes at once in a conversation", f"≤ {parallel}", str(many), many <= parallel),
            Row("answers beside one of their own lane", "0", str(len(beside)), not beside),
            Row("lanes that waited behind later questions", "0", str(len(unfair)), not unfair),
            Row("history is what was said", "0 wrong", str(_count(kinds, _HISTORY)), not _count(kinds, _HISTORY)),
            Row("keys without a TTL", "0", str(len(endless)), not endless),
            Row("tracebacks of ours in the logs", "0", str(len(failures)), not failures),
            _stubs(verdict, len(asked)),
            Row("commands that were not accepted", "–", f"{refused}, {silently} without a word", None),
            Row("from the first question to the last reply, s", "–", f"{time.monotonic() - self._begun:.0f}", None),
        ]
        findings = (*verdict.findings, *crowded(heard, parallel, excused), *beside, *unfair)
        evidence = [f"{each.kind}: question {each.number}: {each.detail}" for each in findings]
        return rows, evidence + [f"no TTL: {name}" for name in endless] + failures

    def takeover(self) -> tuple[Row, list[str]]:
        """How long turns had no holder after a kill, and the evidence."""
        changes, ends = seen.screen_changes(seen.shown(self.world, self.load))
        found = takeovers(self.kills, seen.requests(self.world), changes, ends)
        slowest = percentile([each.seconds for each in found], 0.95)
        said = f"{slowest:.1f} s; {len(found)} takeovers, {len(self.kills)} kills"
        late = [f"takeover of {each.number} after {each.seconds:.1f} s by {each.by}" for each in found]
        row = Row(
            "takeover, p95", f"≤ {MAX_TAKEOVER_SECONDS:g} s", said, bool(found) and slowest <= MAX_TAKEOVER_SECONDS
        )
        return row, [each for each, one in zip(late, found, strict=True) if one.seconds > MAX_TAKEOVER_SECONDS]


@asynccontextmanager
async def scene(
    seed: int, replicas: int, rooms: int, copies: int = 1, *, parallel: int = PARALLEL, http: bool = False
) -> AsyncIterator[ChaosScene]:
    """A world with half of the rooms on each platform and with faults. `parallel`, `http`: see `world`."""
    rng = random.Random(seed)
    load = Load(rng, ANSWER_WORDS, copies, parallel)
    folder = Path(mkdtemp(prefix="nb-chaos-"))  # a socket's path must be short
    try:
        async with world(folder, replicas, load.say, parallel, http=http) as found:
            slack, discord = load.enter(found, rooms // 2, rooms // 2)
            faults.switch_on(found, rng)
            yield ChaosScene(found, load, rng, slack, discord)
    except BaseException:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise


def outcome(scene: ChaosScene, rows: Sequence[Row], evidence: Sequence[str]) -> Outcome:
    """Close a case; the logs of one that passed are deleted."""
    found = Outcome(tuple(rows), tuple(evidence), scene.world.folder)
    if found.ok:
        shutil.rmtree(found.folder, ignore_errors=True)
    else:
        (found.folder / "evidence").write_text("\n".join(found.evidence))
    return found


async def _run(happening: Callable[[ChaosScene], Awaitable[None]], scene: ChaosScene) -> None:
    await happening(scene)


def _failures(folder: Path) -> list[str]:
    """The logged tracebacks that lead through our own code; slack_sdk and discord.py log their own when a socket
    breaks."""
    logs = "".join(log.read_text(errors="replace") for log in sorted(folder.glob(LOGS)))
    return [found[0].strip() for found in _TRACEBACK.finditer(logs) if f'File "{_ROOT}' in found[0]]


def _stubs(verdict: Verdict, asked: int) -> Row:
    share = len(verdict.stubs) / max(1, asked)
    found = f"{len(verdict.stubs)} ({share:.1%})"
    return Row(
        "stubs of Slack posts whose answer a kill swallowed", f"≤ {MAX_STUB_SHARE:.0%}", found, share <= MAX_STUB_SHARE
    )


def _count(kinds: Counter[str], wanted: Sequence[str]) -> int:
    return sum(kinds[kind] for kind in wanted)


def _listed(wrong: dict[str, int]) -> str:
    return "".join(f", {many} {kind}" for kind, many in sorted(wrong.items()))
