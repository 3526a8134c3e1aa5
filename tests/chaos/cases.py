"""The cases of `make chaos`: what happens to the program while people ask, and what must be true afterwards."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle

from tests.chaos import seen
from tests.chaos.scene import LOGS, ChaosScene, Outcome, Row, outcome, scene
from tests.chaos.stranger import ENDLESS, MAX_LOOKUPS, Stranger, odd_kind
from tests.chaos.takeover import Kill, longest_gap, takeovers
from tests.chaos.world import PARALLEL, TOKENS_PER_SECOND

KILL_SECONDS, STORE_KILL_SECONDS = 2.0, 5.0  # between two kills of a replica, of the store
FREEZE_SECONDS = 8.0
LONG_WORDS = 400  # words of an answer that the model writes while the store is frozen: 13 seconds
LONG_ROOMS = 4
MAX_GAP_RATIO = 2.5  # relative to the longest gap before
RESTART_ROUNDS = 2  # of a rolling restart
RESTART_ROOMS, FEW_ROOMS = 30, 10  # few enough that people of a channel wait for one another
# Seconds for each question: the fastest rate that two cores can bear beside the starting processes.
KILLED_EACH_SECONDS, LOST_EACH_SECONDS, COPIED_EACH_SECONDS = 0.65, 0.5, 0.4
ROLLED_EACH_SECONDS, SHORT_EACH_SECONDS = 0.5, 0.65
HOSTILE_EACH_SECONDS, ACT_SECONDS = 0.8, 2.0  # for each question, between two acts of the stranger
MAX_ACT_SECONDS = 20.0
MAX_LOG_KB = 500


async def replicas_killed(seed: int, turns: int = 300) -> Outcome:
    """a: a replica is killed every 2 s and restarted at once."""
    return await _killed(seed, turns, RESTART_ROOMS, PARALLEL)


async def one_line(seed: int, turns: int = 60) -> Outcome:
    """f: the same where each conversation has only one lane."""
    return await _killed(seed, turns, FEW_ROOMS, 1)


async def _killed(seed: int, turns: int, rooms: int, parallel: int) -> Outcome:
    async def killing(scene: ChaosScene) -> None:
        while await scene.pause(KILL_SECONDS):
            # Discord sends an event once: another replica must be connected to receive it.
            while len(serving := scene.world.serving) < 2:
                if not await scene.pause(0.1):
                    return
            replica = min(serving, key=lambda each: each.since)
            scene.world.note(f"kill {replica.key}; connected: {' '.join(each.key for each in serving)}")
            await scene.kill(replica)
            await replica.start()

    async with scene(seed, 3, rooms, parallel=parallel) as found:
        await found.play(turns, turns * KILLED_EACH_SECONDS, killing)
        rows, evidence = await found.rows()
        row, late = found.takeover()
        rows.append(
            Row("a kill every", f"{KILL_SECONDS:g} s", f"{turns * KILLED_EACH_SECONDS / len(found.kills):.1f} s", None)
        )
    return outcome(found, [*rows, row], [*evidence, *late])


async def store_lost(seed: int, turns: int = 200) -> Outcome:
    """b: Redis is killed and restarted every 5 s, and frozen twice for 8 s."""
    lost, seconds = 0, turns * LOST_EACH_SECONDS
    frozen: list[tuple[float, float, list[int]]] = []

    async def losing(scene: ChaosScene) -> None:
        nonlocal lost
        thirds = [time.monotonic() + seconds * share for share in (0.3, 0.65)]
        while await scene.pause(STORE_KILL_SECONDS):
            if thirds and time.monotonic() >= thirds[0]:
                thirds.pop(0)
                frozen.append(await _freeze(scene, 10_000 + 100 * len(frozen)))
                continue
            await scene.lose_store()
            await scene.pause(scene.rng.uniform(0.1, 1.0))
            await scene.world.store.start()
            lost += 1

    async with scene(seed, 3, RESTART_ROOMS) as found:
        await found.play(turns, seconds, losing)
        rows, evidence = await found.rows()
        changes, ends = seen.screen_changes(seen.shown(found.world, found.load))
        gaps = [_gaps(changes[number], ends.get(number, 0.0), *at) for *at, some in frozen for number in some]
        evidence += [
            f"frozen: {during:.1f} s without a change on screen, {before:.1f} s before" for before, during in gaps
        ]
        rows.append(Row("Redis killed and started again", "–", f"{lost} times", None))
        worst = max((during / before for before, during in gaps), default=0.0)
        before, during = (max((each[place] for each in gaps), default=0.0) for place in (0, 1))
        figure = f"{worst:.1f} ×: {during:.1f} s, before {before:.1f} s; {len(gaps)} replies"
        rows.append(
            Row(
                "longest gap on screen while Redis is frozen",
                f"≤ {MAX_GAP_RATIO:g} ×",
                figure,
                0 < worst <= MAX_GAP_RATIO,
            )
        )
    return outcome(found, rows, evidence)


async def _freeze(scene: ChaosScene, first: int) -> tuple[float, float, list[int]]:
    """Freeze the store while the model writes long answers; returns the start, the end and the questions."""
    numbers = list(range(first, first + LONG_ROOMS))
    await scene.load.put_long(scene.load.more_rooms(LONG_ROOMS), numbers, LONG_WORDS)
    await scene.pause(LONG_WORDS / 2 / TOKENS_PER_SECOND)  # a quarter of the answer: a word is two tokens
    begin = time.monotonic()
    scene.world.store.freeze()
    try:
        await scene.pause(FREEZE_SECONDS)
    finally:
        scene.world.store.thaw()
    scene.frozen.append((begin, time.monotonic()))
    scene.troubled += scene.frozen[-1]
    return begin, time.monotonic(), numbers


def _gaps(changes: list[float], end: float, begin: float, thaw: float) -> tuple[float, float]:
    """The longest gap of a reply on screen before the store froze, and while it was frozen."""
    first = min(changes, default=begin)
    return max(longest_gap(changes, first, begin), 1.0), longest_gap(changes, begin, min(thaw, max(end, begin)))


async def delivered_often(seed: int, turns: int = 120) -> Outcome:
    """c: every event comes one to four times, to two connected replicas."""
    async with scene(seed, 2, FEW_ROOMS, copies=4) as found:
        await found.play(turns, turns * COPIED_EACH_SECONDS)
        rows, evidence = await found.rows()
        row, again = _begun_once(found)
        by = Counter(each.key.partition("-")[0] for each in seen.requests(found.world))
        shares = ", ".join(f"{many} by {key.removeprefix('ak_')}" for key, many in sorted(by.items()))
        rows += [row, Row("requests to the model", "some by each", shares, len(by) == len(found.world.replicas))]
        rows.append(Row("deliveries by Slack", "–", str(len(found.world.slack.deliveries)), None))
        evidence += again
    return outcome(found, rows, evidence)


async def rolling_restart(seed: int, turns: int = 120) -> Outcome:
    """d: two replicas are restarted one after the other, twice."""
    statuses: list[int] = []
    stops: list[Kill] = []
    seconds = turns * ROLLED_EACH_SECONDS

    async def rolling(scene: ChaosScene) -> None:
        for replica in scene.world.replicas * RESTART_ROUNDS:
            await scene.pause(seconds / 15)
            stops.append(Kill(time.monotonic(), replica.key))
            statuses.append(await scene.stop(replica))
            await replica.start()
            await scene.world.connected()

    async with scene(seed, 2, FEW_ROOMS) as found:
        await found.play(turns, seconds, rolling)
        rows, evidence = await found.rows()
        row, again = _begun_once(found)
        closed = rows[0].found
        statuses += await found.world.stop()
        silently = found.load.refused()[1]
        rows.append(Row("commands lost without a word", "0", str(silently), not silently))
        held = len(
            takeovers(stops, seen.requests(found.world), *seen.screen_changes(seen.shown(found.world, found.load)))
        )
        rows += [row, Row("replies that were growing at SIGTERM", "some", str(held), held > 0)]
        rows.append(Row("every reply is whole", "0 closed", closed, ", 0 closed" in closed))
        rows.append(Row("exit statuses", "all 0", " ".join(map(str, statuses)), not any(statuses)))
        evidence += again
    return outcome(found, rows, evidence)


def _begun_once(scene: ChaosScene) -> tuple[Row, list[str]]:
    """Whether the model began each answer once, without the requests that it refused; and the evidence."""
    again = {number: many for number, many in seen.attempts(scene.world).items() if number and many != 1}
    row = Row("answers that were begun more or less than once", "0", str(len(again)), not again)
    return row, [f"question {number} was begun {many} times" for number, many in again.items()]


async def hostile_person(seed: int, turns: int = 120, each_seconds: float = HOSTILE_EACH_SECONDS) -> Outcome:
    """e: a stranger sends everything that hurts, beside the ordinary load; Slack's events come over HTTP."""

    async def acting(scene: ChaosScene) -> None:
        assert scene.stranger
        urls, acts, acted = cycle(scene.world.urls), scene.stranger.acts(), 0
        while await scene.pause(act_seconds) or acted < scene.stranger.many:
            name, act = next(acts)
            url = next(urls)
            scene.world.slack.deliver_to(url)  # as a load balancer would
            scene.world.note(f"stranger: {name}")
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_ACT_SECONDS):
                    await act(url)
            acted += 1

    async with scene(seed, 2, RESTART_ROOMS if turns > RESTART_ROOMS else FEW_ROOMS, http=True) as found:
        stranger = found.stranger = Stranger(found.world.slack, found.world.discord)
        act_seconds = min(ACT_SECONDS, turns * each_seconds / stranger.many)
        try:
            await found.play(turns, turns * each_seconds, acting)
        finally:
            stranger.close()
        rows, evidence = await found.rows()
        more, why = _unhurt(found, stranger)
    return outcome(found, [*rows, *more], [*evidence, *why])


def _unhurt(scene: ChaosScene, stranger: Stranger) -> tuple[list[Row], list[str]]:
    """What a stranger must not be able to do, and the evidence."""
    world = scene.world
    row, evidence = _begun_once(scene)
    keys: dict[int, set[str]] = defaultdict(set)
    for each in seen.requests(world):
        keys[each.number].add(each.key)
    moved = [number for number, some in keys.items() if number and len(some) > 1]
    asked, open_ = stranger.open_ends()
    endless = [each for each in seen.answers(world) if odd_kind(each) == ENDLESS]
    read = sum(each.finished for each in endless)
    lookups = sum(each.method == "users.info" for each in world.slack.calls)
    anew = world.discord.gateway.identifies - len(world.replicas)
    logged = sum(log.stat().st_size for log in world.folder.glob(LOGS)) // 1000
    rows = [
        row,
        Row("ordinary questions that another process took over", "0", str(len(moved)), not moved),
        Row("the stranger's odd questions without a visible end", f"0 of {asked}", str(len(open_)), not open_),
        Row("endless answers read to their end, 20 MB", f"0 of {len(endless)}", str(read), not read),
        Row("lookups of people in Slack", f"≤ {MAX_LOOKUPS}", str(lookups), lookups <= MAX_LOOKUPS),
        Row("new sessions on Discord's gateway", "0", str(anew), not anew),
        Row("the replicas' logs, kB", f"≤ {MAX_LOG_KB}", str(logged), logged <= MAX_LOG_KB),
    ]
    return rows, [*evidence, *(f"question {number} changed its process" for number in moved), *open_]


async def short_hostile(seed: int, turns: int = 16) -> Outcome:
    """A stranger who does everything once."""
    return await hostile_person(seed, turns, SHORT_EACH_SECONDS)


async def short(seed: int, turns: int = 24) -> Outcome:
    """A little of everything: copies, a kill, a lost Redis, a restart."""

    seconds = turns * SHORT_EACH_SECONDS

    async def little(scene: ChaosScene) -> None:
        first, second = scene.world.replicas
        await scene.pause(seconds / 8)
        await scene.kill(first)
        await first.start()
        await scene.world.connected()
        await scene.lose_store()
        await scene.world.store.start()
        await scene.pause(1)
        assert await scene.stop(second) == 0
        await second.start()

    async with scene(seed, 2, FEW_ROOMS, copies=3) as found:
        await found.play(turns, seconds, little)
        rows, evidence = await found.rows()
    return outcome(found, rows, evidence)


@dataclass(frozen=True, slots=True)
class ChaosCase:
    """A case with its title. `play` takes the seed and, optionally, the number of questions."""

    title: str
    play: Callable[..., Awaitable[Outcome]]


CHAOS_CASES = {
    "a": ChaosCase("3 replicas, one killed every 2 s", replicas_killed),
    "b": ChaosCase("Redis killed every 5 s and frozen", store_lost),
    "c": ChaosCase("every event 1 to 4 times, 2 replicas", delivered_often),
    "d": ChaosCase("rolling restart of 2 replicas", rolling_restart),
    "e": ChaosCase("a hostile person in the room, 2 replicas", hostile_person),
    "f": ChaosCase("one lane for each conversation, 3 replicas, kills", one_line),
}
SHORT = {
    "short": ChaosCase("a little of everything", short),
    "short hostile": ChaosCase("a hostile person, briefly", short_hostile),
}
