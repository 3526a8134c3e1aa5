"""Budgets: never over the limit, finals first, nobody left out."""

import asyncio
from collections import deque

import pytest

from core.pace import Pacer
from core.ports import Pace

QUICK = Pace("scope", 4, 0.2)


async def calls(pacer: Pacer, pace: Pace, count: int, made: list[float], *, final: bool = False) -> None:
    for _ in range(count):
        await pacer.permit(pace, final=final)
        made.append(asyncio.get_running_loop().time())


@pytest.mark.parametrize("final", [False, True])
async def test_limit_holds_in_every_window(final: bool) -> None:
    """However many ask, no window sees more calls than the platform allows."""
    pacer, made = Pacer(), list[float]()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(calls(pacer, QUICK, 4, made, final=final))
    window: deque[float] = deque()
    for time in made:
        window.append(time)
        while time - window[0] >= QUICK.seconds:
            window.popleft()
        assert len(window) <= QUICK.calls


async def test_first_call_does_not_wait() -> None:
    """The first visible text comes at once: a permit that is free is granted without giving way."""
    with pytest.raises(StopIteration):
        Pacer().permit(Pace("slow", 1, 60)).send(None)


async def test_final_frame_finds_a_call_left() -> None:
    """Interim frames leave the last call of a window to a final one."""
    pacer, pace = Pacer(), Pace("scope", 2, 60)
    await pacer.permit(pace)
    interim = asyncio.create_task(pacer.permit(pace))
    await asyncio.sleep(0)
    await pacer.permit(pace, final=True)
    assert not interim.done()
    interim.cancel()


async def test_final_frame_overtakes_waiting_interim_frames() -> None:
    """Whoever is finished is shown first."""
    pacer, order = Pacer(), list[str]()
    pace = Pace("scope", 1, 0.05)
    await pacer.permit(pace)

    async def wait(name: str, final: bool) -> None:
        await pacer.permit(pace, final=final)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("interim 1", False))
        group.create_task(wait("interim 2", False))
        group.create_task(wait("final", True))
    assert order == ["final", "interim 1", "interim 2"]


async def test_replies_take_turns() -> None:
    """Two replies that wait in one scope get permits alternately."""
    pacer, order = Pacer(), list[str]()

    async def reply(name: str) -> None:
        for _ in range(3):
            await pacer.permit(Pace("scope", 1, 0.02))
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(reply("a"))
        group.create_task(reply("b"))
    # The first one asks again before the second has begun; from then on both wait.
    assert order == ["a", "a", "b", "a", "b", "b"]


async def test_scopes_do_not_wait_for_each_other() -> None:
    """An exhausted channel does not hold up another one."""
    pacer = Pacer()
    await pacer.permit(Pace("busy", 1, 60))
    await pacer.permit(Pace("free", 1, 60))


async def test_waiter_that_gave_up_is_passed_over() -> None:
    """A cancelled frame neither gets a permit nor blocks those behind it."""
    pacer, pace, made = Pacer(), Pace("scope", 1, 0.05), list[float]()
    await pacer.permit(pace)
    waiting = [asyncio.create_task(calls(pacer, pace, 1, made)) for _ in range(3)]
    await asyncio.sleep(0)
    for gone in waiting[:2]:
        gone.cancel()
    await waiting[2]
    assert len(made) == 1
    await pacer.permit(pace)


async def test_platform_may_ask_to_wait() -> None:
    """After Retry-After seconds, not before, the scope goes on; finals wait as well."""
    pacer, pace = Pacer(), Pace("scope", 100, 1)
    pacer.hold(pace, 0.1)
    start = asyncio.get_running_loop().time()
    await pacer.permit(pace, final=True)
    assert asyncio.get_running_loop().time() - start >= 0.1
