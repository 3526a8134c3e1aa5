"""The queue in all interleavings of a few short scripts, each from an empty Redis, compared with the model."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from core.domain.conversation import Conversation
from core.domain.progress import Progress
from tests.core.store.queue_bench import Bench, BlockingRedis, Held
from tests.core.store.queue_model import question, reply

HOLDER, RIVAL, OTHER = range(3)
FIRST, SECOND, THIRD = (question("C1", number) for number in range(3))


class RunningTurn:
    """A question that is being answered while others act."""

    def __init__(self, server: BlockingRedis) -> None:
        self.bench = Bench(server)
        self.box = self.bench.channels["C1"]
        self.bench.accept(HOLDER, FIRST)
        self.turns: dict[int, Held] = {HOLDER: self.bench.held[0]}

    def holding(self, process: int) -> Held | None:
        """The turn that a process took first, if it still believes it holds it."""
        held = self.turns.get(process)
        return held if held in self.bench.held else None


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


def claim(scene: RunningTurn) -> None:
    if scene.bench.claim(RIVAL, scene.box):
        scene.turns[RIVAL] = scene.bench.held[-1]


def lapse(scene: RunningTurn) -> None:
    scene.bench.lapse(scene.box)


def redeliver(scene: RunningTurn) -> None:
    scene.bench.accept(OTHER, FIRST)


def accept(scene: RunningTurn) -> None:
    scene.bench.accept(OTHER, SECOND)


def accept_third(scene: RunningTurn) -> None:
    scene.bench.accept(OTHER, THIRD)


def accept_again(scene: RunningTurn) -> None:
    scene.bench.accept_again(FIRST)


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
def test_every_order(redis_url: str, scripts: list[list[Step]], count: int) -> None:
    """In each order every answer matches the model, and every question that is not deleted is answered once."""
    with BlockingRedis(redis_url) as server:
        orders = list(interleavings(scripts))
        assert len(orders) == count
        for steps in orders:
            scene = RunningTurn(server)
            for step in steps:
                step(scene)
            scene.bench.check()
            scene.bench.finish()
