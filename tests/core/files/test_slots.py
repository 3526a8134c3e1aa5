"""Slots that people share: fair in any order of coming, going and giving up, and none is lost."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from hypothesis import given
from hypothesis import strategies as st

from core.files.slots import FairSlots

COUNT, EACH = 4, 2


class Crowd:
    """People who want slots, and what they hold."""

    def __init__(self, slots: FairSlots) -> None:
        self._slots = slots
        self.order: list[str] = []
        self.held: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []
        self.leave: list[asyncio.Event] = []

    async def come(self, person: str) -> None:
        """One more wants a slot."""
        leave = asyncio.Event()
        self.leave.append(leave)
        self.tasks.append(asyncio.create_task(self._hold(person, leave)))
        await settled()

    async def _hold(self, person: str, leave: asyncio.Event) -> None:
        async with self._slots.one(person):
            self.order.append(person)
            self.held[person] += 1
            try:
                await leave.wait()
            finally:
                self.held[person] -= 1

    async def go(self) -> None:
        """All go, one by one, as they came."""
        while not all(task.done() for task in self.tasks):
            for leave in self.leave:
                leave.set()
                await settled()


async def settled() -> None:
    """Let everybody do what they can do now."""
    for _ in range(8):
        await asyncio.sleep(0)


async def test_people_take_turns_in_the_order_of_their_coming() -> None:
    """However many of the same person wait before them."""
    crowd = Crowd(FairSlots(1))
    for person in ("ann", "ann", "ann", "bob", "bob", "eve"):
        await crowd.come(person)
    await crowd.go()
    assert crowd.order == ["ann", "bob", "eve", "ann", "bob", "ann"]


async def test_who_holds_fewer_comes_first() -> None:
    """Whoever holds one already waits for those who hold none."""
    crowd = Crowd(FairSlots(2))
    for person in ("ann", "ann", "ann", "bob"):
        await crowd.come(person)
    crowd.leave[0].set()
    await settled()
    assert crowd.order == ["ann", "ann", "bob"]
    await crowd.go()


async def test_one_person_leaves_slots_to_others() -> None:
    """Also if nobody else is there."""
    crowd = Crowd(FairSlots(COUNT, EACH))
    for person in ("ann", "ann", "ann", "bob"):
        await crowd.come(person)
    assert crowd.order == ["ann", "ann", "bob"]
    await crowd.go()


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "go", "cancel", "both"]), st.sampled_from("abc"), st.integers(0, 30)),
        max_size=40,
    )
)
def test_no_slot_is_lost_or_given_twice(steps: list[tuple[str, str, int]]) -> None:
    """Whoever comes, goes and gives up, also at the moment in which their turn comes."""

    async def run() -> None:
        slots = FairSlots(COUNT, EACH)
        crowd = Crowd(slots)
        for step, person, number in steps:
            if step == "come" or not crowd.tasks:
                await crowd.come(person)
            elif step == "cancel":
                crowd.tasks[number % len(crowd.tasks)].cancel()
            else:
                crowd.leave[number % len(crowd.tasks)].set()
                if step == "both":
                    await asyncio.sleep(0)
                    crowd.tasks[-1].cancel()
            await settled()
            running = [each for each in crowd.tasks if not each.done()]
            assert crowd.held.total() <= COUNT
            assert all(held <= EACH for held in crowd.held.values())
            able = len(running) > crowd.held.total() and crowd.held.total() < COUNT
            assert not able or any(held == EACH for held in crowd.held.values())
        for task in crowd.tasks:
            task.cancel()
        await asyncio.gather(*crowd.tasks, return_exceptions=True)
        after = Crowd(slots)
        for person in "aabbcc":
            await after.come(person)
        assert after.held.total() == COUNT
        await after.go()

    asyncio.run(run())


async def test_a_slot_given_to_somebody_who_gives_up_is_given_on() -> None:
    """Both happen before they run again."""
    slots = FairSlots(1)
    crowd = Crowd(slots)
    async with AsyncExitStack() as first:
        await first.enter_async_context(slots.one("ann"))
        await crowd.come("bob")
        await crowd.come("eve")
        await first.aclose()
        crowd.tasks[0].cancel()
        await settled()
    assert crowd.order == ["eve"]
    crowd.leave[1].set()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)
