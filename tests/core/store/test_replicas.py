"""Which processes share a Redis: each says so for as long as it runs."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from redis.asyncio import Redis

from core.store.redis.replicas import KEY, LIVE_SECONDS, Replica, Replicas
from tests.bounds import HANG_SECONDS


async def until(replicas: Replicas, condition: Callable[[tuple[Replica, ...]], bool]) -> tuple[Replica, ...]:
    """Look until those that are there meet the condition."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition(found := await replicas.present()):
            await asyncio.sleep(0.01)
    return found


async def test_a_process_is_there_until_it_stops(redis_client: Redis) -> None:
    """With its version, its role and since when; the oldest comes first."""
    replicas = Replicas(redis_client)
    one = asyncio.create_task(replicas.keep("0.1.0+a", "run"))
    await until(replicas, lambda found: len(found) == 1)
    two = asyncio.create_task(replicas.keep("0.1.0+b", "worker"))
    found = await until(replicas, lambda found: len(found) == 2)
    assert {(each.version, each.role) for each in found} == {("0.1.0+a", "run"), ("0.1.0+b", "worker")}
    assert all(before.since <= after.since for before, after in pairwise(found))
    one.cancel()
    await asyncio.wait([one])
    assert [each.role for each in await replicas.present()] == ["worker"]
    two.cancel()
    await asyncio.wait([two])
    assert await replicas.present() == ()


async def test_a_process_that_died_is_forgotten(redis_client: Redis) -> None:
    """The key ends by itself, and whoever still says that it is there takes the others out."""
    await redis_client.zadd(KEY, {"a|0.1.0|run|1": 1})
    replicas = Replicas(redis_client)
    assert await replicas.present() == ()
    keeping = asyncio.create_task(replicas.keep("0.1.0", "run"))
    await until(replicas, lambda found: len(found) == 1)
    assert await redis_client.zcard(KEY) == 1
    assert 0 < await redis_client.pttl(KEY) <= 1000 * LIVE_SECONDS
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_what_another_version_wrote_is_passed_over(redis_client: Redis) -> None:
    """A form that we can't read is no reason to fail."""
    end = (await redis_client.time())[0] * 1000 + 60_000
    await redis_client.zadd(KEY, {b"nonsense": end, b"a|0.1.0|run|soon": end, b"\xff|0.2.0|run|7": end})
    assert [each.version for each in await Replicas(redis_client).present()] == ["0.2.0"]
