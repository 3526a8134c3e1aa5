"""Time limits that count only while the loop runs: what arrives while it stands still is in time."""

import asyncio
import socket
from functools import partial

import pytest

from core.awake import awake
from core.domain.errors import StoreError
from core.store.redis.client import connection, guarded
from tests.bounds import HANG_SECONDS
from tests.redis_server import up
from tests.redis_topologies import server
from tests.stalls import LIMIT_SECONDS, answer_in_a_stall, stall_soon


async def test_what_arrives_during_a_stall_is_in_time() -> None:
    """The timers that are due after it don't come before what arrived."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    with theirs:
        async with awake(LIMIT_SECONDS):
            stall_soon(partial(theirs.send, b"here\n"))
            assert await reader.readline() == b"here\n"
        writer.close()


async def test_what_never_comes_is_given_up() -> None:
    """With and without a stall; and a limit that was kept has no effect later."""

    async def wait(late: bool) -> None:
        async with awake(LIMIT_SECONDS / 100):
            if late:
                stall_soon()
            await asyncio.get_running_loop().create_future()

    async with awake(LIMIT_SECONDS / 100):
        pass
    for late in (False, True):
        async with asyncio.timeout(HANG_SECONDS) as bound:
            with pytest.raises(TimeoutError):
                await wait(late)
        assert not bound.expired()


@pytest.mark.parametrize(("answer", "step"), [(LIMIT_SECONDS, HANG_SECONDS), (HANG_SECONDS, LIMIT_SECONDS)])
async def test_an_answer_during_a_stall_is_in_time(answer: float, step: float) -> None:
    """For the connection's limit and for that of the step."""
    with server() as redis:
        async with connection(f"redis://127.0.0.1:{redis.port}", answer_timeout=answer) as client:
            await up(client)
            with answer_in_a_stall(redis, "n"):
                async with guarded(step):
                    assert await client.incr("n") == 1


async def test_a_connection_made_during_a_stall_is_in_time() -> None:
    """The server's system has accepted it, though we see that late."""
    with server() as redis:
        url = f"redis://127.0.0.1:{redis.port}"
        async with (
            connection(url, answer_timeout=HANG_SECONDS, connect_timeout=LIMIT_SECONDS) as client,
            guarded(HANG_SECONDS),
        ):
            stall_soon()
            assert await client.incr("n") == 1


async def test_a_server_that_does_not_accept_is_given_up() -> None:
    """A connection that nobody accepts is given up within its limit."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the queue is full now
            async with connection(
                f"redis://127.0.0.1:{port}", answer_timeout=HANG_SECONDS, connect_timeout=0.05
            ) as client:
                with pytest.raises(StoreError, match="no answer in time"):
                    async with guarded(HANG_SECONDS):
                        await client.ping()
