"""The clock of Redis jumps, back or forth: limits that processes share hold nobody for as long as it jumped."""

from typing import Any

import pytest
from redis.asyncio import Redis

from core.ratelimit.plan import Load
from core.ratelimit.shared import CallRequest, PromiseRequest
from core.store.quotas import Demand, Granted, QuotaLimit, QuotaRefused
from core.store.ratelimits import RedisRateLimit
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_quotas

HOUR, SECOND = 3_600_000, 1_000
REQUEST = CallRequest(4, 1.0, 4, 1.0, 1)


async def jump(redis: Any, back: int) -> None:
    """Make all that is stored look as if the clock had been set back by this many milliseconds since."""
    for key in await redis.keys("*"):
        match await redis.type(key):
            case b"zset":
                for member in await redis.zrange(key, 0, -1):
                    await redis.zincrby(key, back, member)
            case b"hash":
                for name, value in (await redis.hgetall(key)).items():
                    number, _, stop = value.decode().rpartition(" ")
                    if name != b"used":
                        await redis.hset(key, name, f"{number} {int(stop) + back}".strip())
            case b"string":
                await redis.incrby(key, back)


@pytest.fixture
def calls(redis_client: Redis) -> RedisRateLimit:
    return RedisRateLimit(redis_client, answer_timeout=HANG_SECONDS)


@pytest.mark.parametrize("back", [HOUR, -HOUR])
async def test_calls_go_on(redis_client: Redis, calls: RedisRateLimit, back: int) -> None:
    """Neither calls in a window, nor a pause, nor a process that is gone last longer than the window."""
    other = RedisRateLimit(redis_client, answer_timeout=HANG_SECONDS)
    for _ in range(5):
        await other.admit("scope", REQUEST)
    await other.refused("scope", 5, 2)
    await jump(redis_client, back)
    decision = await calls.admit("scope", REQUEST)
    assert (decision.wait, decision.active, decision.calls) == (0, 1, 4)


async def test_a_correction_of_the_clock_ends_no_pause(redis_client: Redis, calls: RedisRateLimit) -> None:
    """What the platform wants, it gets."""
    await calls.refused("scope", 3600, 2)
    await jump(redis_client, 2 * SECOND)
    assert 3500 < (await calls.admit("scope", REQUEST)).wait <= 3602
    await calls.refused("scope", 1, 3)
    decision = await calls.admit("scope", REQUEST)
    assert (decision.wait > 3500, decision.calls) == (True, 2)


async def test_a_new_pause_is_its_own_after_a_jump(redis_client: Redis, calls: RedisRateLimit) -> None:
    """The old one does not prolong it."""
    await calls.refused("scope", 60, 2)
    await jump(redis_client, HOUR)
    await calls.refused("scope", 5, 3)
    decision = await calls.admit("scope", REQUEST)
    assert (decision.wait <= 5, decision.calls) == (True, 3)


async def test_junk_is_passed_over(redis_client: Redis, calls: RedisRateLimit) -> None:
    """One field that nothing can read does not end the count for all processes."""
    await redis_client.hset("nb:b:{scope}", mapping={"held": "x", "limit": "", "p:a": "-1", b"\xff": b"\xff"})
    assert await calls.admit("scope", REQUEST)


async def test_a_hold_of_requests_ends(redis_client: Redis) -> None:
    """Those that had a place, and those that come later, do not wait for as long as the clock jumped."""
    quotas, demands = patient_quotas(redis_client), [Demand(QuotaLimit.refilled("wide", 100, 60), 1)]
    await quotas.hold("model", 500)
    waiting = await quotas.take("waiting", demands, patience=1000, hold="model")
    assert isinstance(waiting, Granted)
    await jump(redis_client, HOUR)
    for name in ("waiting", "new"):
        assert await quotas.take(name, demands, patience=1000, hold="model") == Granted(0)
    await quotas.hold("model", 500)
    later = await quotas.take("later", demands, patience=1000, hold="model")
    assert isinstance(later, Granted)
    assert 400 < later.wait < 1000


async def test_a_used_limit_comes_back(redis_client: Redis) -> None:
    """From the jump on, and not only when the clock shows the old time again."""
    quotas, limit = patient_quotas(redis_client), QuotaLimit.refilled("quick", 1, 0.05)
    assert await quotas.take("first", [Demand(limit, 1)]) == Granted(0)
    await jump(redis_client, HOUR)
    number = 0
    while isinstance(refused := await quotas.take(f"again {number}", [Demand(limit, 1)]), QuotaRefused):
        assert refused.wait <= 0.05
        number += 1


@pytest.mark.parametrize("back", [HOUR, -HOUR])
async def test_promises_of_a_process_that_is_gone_end(redis_client: Redis, calls: RedisRateLimit, back: int) -> None:
    """What a process owed holds nobody once it has not been heard from for long, wherever the clock is."""
    other = RedisRateLimit(redis_client, answer_timeout=HANG_SECONDS)
    assert (await other.promise("scope", PromiseRequest(4, 1.0, Load(3)))).granted
    assert not (await calls.promise("scope", PromiseRequest(4, 1.0, Load(1)))).granted
    await jump(redis_client, back)
    answer = await calls.promise("scope", PromiseRequest(4, 1.0, Load(1)))
    assert (answer.granted, answer.load.owed) == (True, 1)
