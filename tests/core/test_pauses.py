"""Long work leaves the loop to others."""

import asyncio

from core.pauses import Pausing, at_once, with_pauses


def work(done: list[str], name: str, pieces: int) -> Pausing[int]:
    for _ in range(pieces):
        done.append(name)
        yield
    return pieces


async def test_of_many_that_do_long_work_one_at_a_time_goes_on() -> None:
    """Between two rounds of the loop no more than one piece runs, apart from the first of each."""
    done: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(with_pauses(work(done, str(i), 5))) for i in range(10)]
        await asyncio.sleep(0)
        while not all(task.done() for task in working):
            before = len(done)
            await asyncio.sleep(0)
            assert len(done) - before <= 1
    assert [task.result() for task in working] == [5] * 10
    assert all(len(set(done[i : i + 10])) == 10 for i in range(0, 50, 10))  # in turn


async def test_who_is_cancelled_in_a_pause_keeps_nobody_waiting() -> None:
    done: list[str] = []
    first = asyncio.create_task(with_pauses(work(done, "first", 1000)))
    second = asyncio.create_task(with_pauses(work(done, "second", 3)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 3
    assert done.count("first") < 5


def test_without_pauses() -> None:
    assert at_once(work([], "", 7)) == 7
