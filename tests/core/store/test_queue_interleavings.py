"""The queue in all interleavings of a few short scripts, each from an empty Redis, compared with the model."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from core.domain.conversation import Conversation
from core.domain.progress import Progress
from core.domain.question import Question
from core.store.turns import Claimed
from tests.core.store.queue_bench import LANES, Bench, BlockingRedis, Held
from tests.core.store.queue_model import question, reply

HOLDER, RIVAL, OTHER = range(3)
FIRST, SECOND, THIRD, FOURTH = (question("C1", number) for number in range(4))
BESIDE, FURTHER = LANES[1:]  # lanes beside that of the first question


class RunningTurn:
    """A question that is being answered while others act."""

    def __init__(self, server: BlockingRedis, parallel: int) -> None:
        self.bench = Bench(server, parallel, ["C1"])
        self.box = self.bench.channels["C1"]
        self.bench.accept(HOLDER, FIRST)
        self.turns: dict[int, Held] = {HOLDER: self.bench.held[0]}

    def holding(self, process: int) -> Held | None:
        """The turn that a process took first, if it still believes it holds it."""
        held = self.turns.get(process)
        return held if held in self.bench.held else None

    def took(self, process: int, turn: object) -> None:
        """A process holds the newest turn, if it got one."""
        if turn:
            self.turns.setdefault(process, self.bench.held[-1])


Step = Callable[[RunningTurn], object]


def renew(process: int) -> Step:
    def step(scene: RunningTurn) -> None:
        if held := scene.holding(process):
            scene.bench.renew(held, Progress((reply(held.turn.question),), 1 + process))

    return step


def release(process: int) -> Step:
    def step(scene: RunningTurn) -> None:
        if held := scene.holding(process):
            scene.bench.release(held, Progress((reply(held.turn.question),), 3), twice=True)

    return step


def unread(process: int) -> Step:
    def step(scene: RunningTurn) -> None:
        if held := scene.holding(process):
            scene.bench.unread(held, twice=True)

    return step


def commit(process: int, *, lost: bool = False) -> Step:
    def step(scene: RunningTurn) -> None:
        if held := scene.holding(process):
            scene.bench.commit(held, lost=lost)

    return step


def commit_again(process: int) -> Step:
    def step(scene: RunningTurn) -> None:
        if ended := next((each for each in scene.bench.ended if each.process == process), None):
            scene.bench.commit_again(ended)

    return step


def late(name: str) -> Step:
    """A call by the first holder that arrives after its own commit."""

    def step(scene: RunningTurn) -> None:
        if ended := next((each for each in scene.bench.ended if each.process == HOLDER), None):
            call = scene.bench.renew_late if name == "renew" else scene.bench.release_late
            call(ended.turn, Progress((reply(ended.turn.question),), 9))

    return step


def commit_next(scene: RunningTurn) -> None:
    if held := next((each for each in scene.bench.held if each.process == HOLDER), None):
        scene.bench.commit(held)


def claim_in(lane: str) -> Step:
    def step(scene: RunningTurn) -> None:
        scene.took(RIVAL, scene.bench.claim(RIVAL, scene.box, lane))

    return step


def lapse_in(lane: str) -> Step:
    def step(scene: RunningTurn) -> None:
        scene.bench.lapse(scene.box, lane)

    return step


def add(asked: Question, lane: str = "", *, parallel: int | None = None, claim: bool = True) -> Step:
    """Another process accepts a question, and may get a turn."""

    def step(scene: RunningTurn) -> None:
        found = scene.bench.accept(OTHER, asked, lane, parallel=parallel, claim=claim)
        scene.took(OTHER, isinstance(found, Claimed))

    return step


def look(scene: RunningTurn) -> None:
    """A process takes over all that it finds."""
    for lane in scene.bench.look():
        scene.took(RIVAL, scene.bench.claim(RIVAL, scene.box, lane.name))


def redeliver(scene: RunningTurn) -> None:
    scene.bench.accept(OTHER, FIRST)


def accept_again(scene: RunningTurn) -> None:
    scene.bench.accept_again(FIRST)


claim, lapse = claim_in(""), lapse_in("")
accept, accept_third = add(SECOND), add(THIRD)
accept_beside, accept_further = add(SECOND, BESIDE), add(THIRD, FURTHER)
offer_beside, offer_further = add(SECOND, BESIDE, claim=False), add(THIRD, FURTHER, claim=False)


def delete(message: str) -> Step:
    def step(scene: RunningTurn) -> None:
        scene.bench.both(
            scene.bench.records.delete(Conversation(scene.box.name), message),
            lambda: scene.box.delete(message),
        )

    return step


def reset(scene: RunningTurn) -> None:
    scene.bench.both(scene.bench.records.reset(Conversation(scene.box.name)), scene.box.reset)


def interleavings(scripts: Sequence[Sequence[Step]]) -> Iterator[tuple[Step, ...]]:
    """Every order of all steps that keeps the order within each script."""
    if not any(scripts):
        yield ()
    for place, script in enumerate(scripts):
        if script:
            for rest in interleavings([*scripts[:place], script[1:], *scripts[place + 1 :]]):
                yield (script[0], *rest)


def run(redis_url: str, parallel: int, scripts: list[list[Step]], count: int) -> None:
    """Every order from an empty Redis. In each, every answer matches the model, and every question that is not deleted
    is answered once."""
    with BlockingRedis(redis_url) as server:
        orders = list(interleavings(scripts))
        assert len(orders) == count
        for steps in orders:
            scene = RunningTurn(server, parallel)
            for step in steps:
                step(scene)
                scene.box.check()
            scene.bench.check()
            scene.bench.finish()


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize(
    ("scripts", "count"),
    [
        pytest.param(
            [[renew(HOLDER), commit(HOLDER)], [lapse, claim, renew(RIVAL), commit(RIVAL)], [accept]], 105, id="takeover"
        ),
        pytest.param(
            [[commit(HOLDER, lost=True), commit_again(HOLDER)], [lapse, claim, commit(RIVAL)], [accept]],
            60,
            id="lost answer",
        ),
        pytest.param([[renew(HOLDER), release(HOLDER)], [claim, commit(RIVAL)], [redeliver]], 30, id="handed back"),
        pytest.param(
            [[renew(HOLDER), commit(HOLDER)], [accept, delete(SECOND.message)], [delete(FIRST.message)], [reset]],
            180,
            id="deleted",
        ),
        pytest.param(
            [[accept, accept_third], [commit_next, commit_next], [late("renew")], [commit_again(HOLDER)]],
            180,
            id="overtaken",
        ),
        pytest.param(
            [[accept], [commit(HOLDER, lost=True), late("release")], [lapse, claim, commit(RIVAL)]],
            60,
            id="cancelled",
        ),
        pytest.param([[commit(HOLDER)], [lapse, claim, commit(RIVAL)], [accept], [accept_again]], 120, id="retried"),
    ],
)
def test_every_order(redis_url: str, parallel: int, scripts: list[list[Step]], count: int) -> None:
    """One lane: its questions are answered one after the other, also where others could run beside them."""
    run(redis_url, parallel, scripts, count)


@pytest.mark.parametrize(
    ("parallel", "scripts", "count"),
    [
        pytest.param(
            2,
            [[renew(HOLDER), commit(HOLDER)], [accept_beside, commit(OTHER)], [accept_third]],
            30,
            id="accepted beside a commit",
        ),
        pytest.param(
            1,
            [[commit(HOLDER), commit_next], [accept_beside, commit(OTHER)], [accept_third, claim_in(BESIDE)]],
            90,
            id="one at a time in two lanes",
        ),
        pytest.param(
            1,
            [[accept_beside], [lapse, claim, commit(RIVAL)], [commit(HOLDER, lost=True), commit_again(HOLDER)]],
            60,
            id="holder dies while another lane waits",
        ),
        pytest.param(
            2,
            [[accept_beside, accept_further], [lapse, lapse_in(BESIDE), look], [renew(HOLDER), commit(HOLDER)]],
            210,
            id="both holders die while a third lane waits",
        ),
        pytest.param(
            1,
            [[renew(HOLDER), release(HOLDER)], [accept_beside], [claim, commit(RIVAL)], [claim_in(BESIDE)]],
            180,
            id="handed back while another lane waits",
        ),
        pytest.param(
            1,
            [[accept_beside, delete(SECOND.message)], [accept_further], [commit(HOLDER)], [claim_in(FURTHER)]],
            60,
            id="the next lane's question is deleted",
        ),
        pytest.param(
            1,
            [[commit(HOLDER)], [offer_beside, delete(SECOND.message)], [offer_further], [look]],
            60,
            id="an offered question is deleted",
        ),
        pytest.param(
            1,
            [[accept_beside], [commit(HOLDER, lost=True), late("release")], [look, commit(RIVAL)], [accept_again]],
            180,
            id="a cancelled commit took another lane",
        ),
        pytest.param(
            2,
            [[accept_beside, renew(OTHER), commit(OTHER)], [lapse_in(BESIDE)], [commit(HOLDER), commit_next]],
            60,
            id="an older holder takes a lapsed lane",
        ),
        pytest.param(
            2,
            [[accept_beside, lapse_in(BESIDE)], [add(THIRD, parallel=1)], [commit(HOLDER)], [look]],
            60,
            id="lowered",
        ),
        pytest.param(
            2,
            [[accept_beside, commit(OTHER)], [add(THIRD, FURTHER, parallel=1)], [lapse, claim], [release(HOLDER)]],
            180,
            id="lowered while two run",
        ),
        pytest.param(
            2,
            [[accept, add(THIRD, BESIDE), lapse_in(BESIDE), look], [add(FOURTH, parallel=1)], [commit(HOLDER)]],
            30,
            id="one that waits longer than a lapsed lane",
        ),
        pytest.param(
            1,
            [[accept_beside, accept_further], [commit(HOLDER)], [add(FOURTH, parallel=3)], [look]],
            60,
            id="raised",
        ),
        pytest.param(
            1,
            [[lapse, claim, unread(RIVAL)], [accept_beside], [commit(HOLDER)], [reset]],
            120,
            id="unread",
        ),
    ],
)
def test_every_order_of_lanes(redis_url: str, parallel: int, scripts: list[list[Step]], count: int) -> None:
    """Lanes beside each other: room goes to the lane that waits longest, and none is forgotten."""
    run(redis_url, parallel, scripts, count)
