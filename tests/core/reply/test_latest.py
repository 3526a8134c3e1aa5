"""The cell between the writer and the publisher of a reply."""

import asyncio

import pytest

from core.reply.latest import Latest


async def test_an_unread_value_is_replaced() -> None:
    """A reader gets the newest value, and waits for one that it has not seen."""
    cell = Latest(0)
    cell.set(1)
    cell.set(2)
    assert await cell.next() == 2
    waiting = asyncio.create_task(cell.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    cell.set(3)
    assert await waiting == 3


async def test_only_the_last_value_ends_a_wait_for_it() -> None:
    """Values before the last one do not wake a task that waits for the end."""
    cell = Latest(0)
    waiting = asyncio.create_task(cell.closed())
    for value in range(1, 4):
        cell.set(value)
        await asyncio.sleep(0)
    assert not waiting.done()
    cell.close(4)
    await waiting
    assert cell.value == 4


async def test_the_last_value_ends_a_wait() -> None:
    """A wait inside the context ends with TimeoutError at the close, or at once if it is closed already; no other value
    ends it."""
    cell, begun = Latest(0), asyncio.Event()

    async def wait() -> None:
        async with cell.until_closed():
            begun.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await begun.wait()
    cell.set(1)
    async with cell.until_closed():
        await asyncio.sleep(0)
    assert not waiting.done()
    cell.close(2)
    with pytest.raises(TimeoutError):
        await waiting
    with pytest.raises(TimeoutError):
        await wait()
