"""The queue with random steps of three processes, compared with a model that says what each step must do."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.domain.conversation import Author, Conversation
from core.domain.progress import Progress
from tests.core.store.queue_bench import CHANNELS, LANES, LIMITS, Bench, BlockingRedis, Ended, Held
from tests.core.store.queue_model import AUTHORS, Box, question, reply, reworded

MOST = 8  # questions in an example
PROCESSES = st.integers(0, 2)
SOME_LANES = st.sampled_from(LANES)
PARALLEL = st.integers(1, 3)
CHANGED = st.sampled_from((None, None, None, None, 1, 2, 3))
BOXES = st.sampled_from((*CHANNELS[:1] * 3, *CHANNELS))
MOSTLY = st.sampled_from((True, True, True, False))
PICKS = st.integers(0, 11)  # picks one of the existing
SHOWN_CHARACTERS = st.integers(0, 2)  # how many characters of the reply are on screen; 0: no message yet


def shown(of: Held | Ended, characters: int) -> Progress:
    """The progress of a reply."""
    return Progress((reply(of.turn.question),), characters) if characters else Progress()


class Queue(RuleBasedStateMachine):
    """Each rule is one step of one process; it also draws the failures of that step."""

    def __init__(self, server: BlockingRedis) -> None:
        super().__init__()
        self.bench = Bench(server)

    @initialize(parallel=st.tuples(*(PARALLEL for _ in CHANNELS)))
    def begin(self, parallel: tuple[int, ...]) -> None:
        """Each channel may run some lanes beside each other, or one question at a time."""
        for box, most in zip(self.bench.boxes.values(), parallel, strict=True):
            box.parallel = box.most = most

    def _box(self, channel: str) -> Box:
        return self.bench.channels[channel]

    def _accepted(self) -> int:
        return sum(len(box.requests) for box in self.bench.boxes.values())

    def _one(self, pick: int) -> Held:
        return self.bench.held[pick % len(self.bench.held)]

    def _known(self, channel: str, pick: int) -> int:
        """The number of an accepted question of this channel, or of the next one."""
        return pick % (len(self._box(channel).requests) + 1)

    @precondition(lambda self: self._accepted() < MOST)
    @rule(process=PROCESSES, channel=BOXES, lane=SOME_LANES, lost=st.booleans(), claim=MOSTLY, parallel=CHANGED)
    def accept(self, process: int, channel: str, lane: str, lost: bool, claim: bool, parallel: int | None) -> None:
        """A new question, or one that was refused before because its lane or the conversation was full.

        `claim`: the process has room. `parallel`: how many lanes may be held from now on; None: as before.
        """
        box = self._box(channel)
        parallel = parallel or box.parallel
        full = len(box.of(lane)) >= LIMITS.inbox or len(box.line) >= LIMITS.inbox * parallel
        if not full or lost:  # many refused questions would test nothing more
            asked = question(channel, len(box.requests))
            self.bench.accept(process, asked, lane, parallel=parallel, claim=claim, lost=lost)

    @precondition(lambda self: self._accepted())
    @rule(process=PROCESSES, channel=BOXES, lane=SOME_LANES, pick=PICKS, ours=st.booleans())
    def accept_again(self, process: int, channel: str, lane: str, pick: int, ours: bool) -> None:
        """The platform delivers again, perhaps into another lane, or our own request is repeated."""
        number = self._known(channel, pick)
        if number == len(self._box(channel).requests):
            return
        if ours:
            self.bench.accept_again(question(channel, number))
        else:
            self.bench.accept(process, question(channel, number), lane)

    @precondition(lambda self: self._accepted())
    @rule(process=PROCESSES, channel=BOXES, lane=SOME_LANES, lapse=st.booleans(), other=SOME_LANES)
    def claim(self, process: int, channel: str, lane: str, lapse: bool, other: str) -> None:
        """A process looks for work; `lapse`: the holder of that or another lane is paused for too long without knowing
        it."""
        if lapse:
            self.bench.lapse(self._box(channel), other)
        self.bench.look()
        self.bench.claim(process, self._box(channel), lane)

    @precondition(lambda self: self.bench.held)
    @rule(pick=PICKS, characters=SHOWN_CHARACTERS)
    def renew(self, pick: int, characters: int) -> None:
        held = self._one(pick)
        self.bench.renew(held, shown(held, characters))

    @precondition(lambda self: self.bench.held)
    @rule(pick=PICKS, characters=SHOWN_CHARACTERS, twice=st.booleans())
    def release(self, pick: int, characters: int, twice: bool) -> None:
        held = self._one(pick)
        self.bench.release(held, shown(held, characters), twice=twice)

    @precondition(lambda self: self.bench.held)
    @rule(pick=PICKS, twice=st.booleans())
    def unread(self, pick: int, twice: bool) -> None:
        self.bench.unread(self._one(pick), twice=twice)

    @precondition(lambda self: self.bench.held)
    @rule(pick=PICKS, answered=st.booleans(), merged=st.sampled_from((0, 0, 1, 2)), lost=st.booleans())
    def commit(self, pick: int, answered: bool, merged: int, lost: bool) -> None:
        self.bench.commit(self._one(pick), answered=answered, merged=merged, lost=lost)

    @precondition(lambda self: self.bench.ended)
    @rule(pick=PICKS, characters=SHOWN_CHARACTERS, step=st.sampled_from(("commit", "renew", "release")))
    def late(self, pick: int, characters: int, step: str) -> None:
        """A call that a process sent before it knew that its commit was applied, or a repeated commit."""
        ended = self.bench.ended[-1 - pick % len(self.bench.ended)]
        if step == "commit":
            self.bench.commit_again(ended)
        elif step == "renew":
            self.bench.renew_late(ended.turn, shown(ended, characters))
        else:
            self.bench.release_late(ended.turn, shown(ended, characters))

    @precondition(lambda self: self.bench.held)
    @rule(pick=PICKS)
    def crash(self, pick: int) -> None:
        self.bench.crash(self._one(pick).process)

    @precondition(lambda self: self._accepted())
    @rule(channel=BOXES, pick=PICKS, step=st.sampled_from(("stop", "edit", "delete", "delete", "reply")))
    def message(self, channel: str, pick: int, step: str) -> None:
        """A person stops, edits or deletes a question, or deletes the message of a reply."""
        box, asked = self._box(channel), question(channel, self._known(channel, pick))
        turns, records = self.bench.turns, self.bench.records
        if step == "stop":
            self.bench.both(turns.stop(Conversation(box.name), asked.id), lambda: box.stop(asked.id))
        elif step == "edit":
            changed = reworded(asked)
            self.bench.both(records.edit(Conversation(box.name), changed), lambda: box.edit(changed))
        else:
            word = asked.message if step == "delete" else reply(asked)
            self.bench.both(records.delete(Conversation(box.name), word), lambda: box.delete(word))

    @precondition(lambda self: self.bench.ended)
    @rule(channel=BOXES, person=st.sampled_from((None, *AUTHORS)))
    def forget(self, channel: str, person: Author | None) -> None:
        """Forget a person's exchanges, or all exchanges of a channel."""
        box, records = self._box(channel), self.bench.records
        if person is None:
            self.bench.both(records.reset(Conversation(box.name)), box.reset)
        else:
            self.bench.both(records.forget(Conversation(box.name), person.id), lambda: box.forget(person.id))

    @invariant()
    def holds(self) -> None:
        self.bench.check()

    def teardown(self) -> None:
        self.bench.finish()


@pytest.mark.timeout(600)  # needed only if the test fails and searches for the shortest example
def test_any_order_of_steps(redis_url: str) -> None:
    """Whatever three processes do, lose and repeat, every question is answered once, by one holder, in order in its
    lane; and no lane waits while there is room."""
    with BlockingRedis(redis_url) as server:

        class Here(Queue):
            def __init__(self) -> None:
                super().__init__(server)

        run_state_machine_as_test(
            Here,
            settings=settings(max_examples=100, stateful_step_count=30, deadline=None, derandomize=True, database=None),
        )
