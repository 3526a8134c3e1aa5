"""The account's limits on real sockets: queueing instead of 429s, and a lost Redis."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import pytest

from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatRequest
from core.domain.errors import (
    RateLimited,
    ServerTrouble,
)
from core.nebula.wrappers.account_limits import Tier
from core.store.quotas import Demand, Granted, QuotaLimit
from tests.bounds import HANG_SECONDS
from tests.core.nebula.wrappers.wrapped import (
    CAPPED_REQUEST,
    DOWN,
    MODEL,
    NO_REDIS,
    SPARE,
    busy,
    eventually_taken,
    failing,
    in_time,
    read,
    text,
    used,
    wrapped_model,
)
from tests.redis_server import patient_connection, patient_quotas


async def test_two_processes_are_never_refused(redis_url: str) -> None:
    """Many requests at once under a tight limit queue in Redis. All are answered, none is sent before its time, and no
    minute has more of them than the limit.

    The times come from Redis, not from the server: the way to it may take a good part of such a short minute.
    """
    minute, most, count = 0.5, 18, 26
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(NebulaServer())
        redis = await stack.enter_async_context(patient_connection(redis_url))
        tier = Tier(requests_per_minute=most)
        both = [
            await stack.enter_async_context(wrapped_model(server, redis_url, tier, minute=minute)) for _ in range(2)
        ]
        behind = time.time() - asyncio.get_running_loop().time()  # how far the server's clock is behind that of Redis
        answers = await asyncio.gather(*(read(both[number % 2]) for number in range(count)))
        assert all(map(text, answers))
        places = sorted([float(await redis.get(key) or 0) / 1000 async for key in redis.scan_iter("nb:{q}:r:*")])
    assert len(places) == len(server.requests) == count
    assert all(later - first >= minute - 0.002 for first, later in zip(places, places[most:], strict=False))
    arrived = sorted(request.at + behind for request in server.requests)
    # Redis counts whole milliseconds, and the loop fires timers up to one early
    assert all(at > place - 0.005 for at, place in zip(arrived, places, strict=True))


async def test_without_capacity_in_time_the_error_says_when(redis_url: str, server: NebulaServer) -> None:
    """If the queue is longer than the patience, the request fails at once and says when there is capacity."""
    async with wrapped_model(server, redis_url, Tier(requests_per_minute=5), minute=3600, patience=1) as model:
        await read(model)
        error = await failing(model, RateLimited)
        assert "in about 15 min" in error.notice
        assert len(server.requests) == 1


async def test_the_estimate_is_settled_with_the_tokens_of_the_answer(redis_url: str, server: NebulaServer) -> None:
    """Afterwards only the tokens that the server counted stay used up."""
    server.answer_next("one two three")
    async with (
        wrapped_model(server, redis_url, Tier(tokens_per_minute=10_000)) as model,
        patient_connection(redis_url) as redis,
    ):
        await read(model, ChatRequest(MODEL, CAPPED_REQUEST.messages, max_tokens=1500))
        limit = QuotaLimit.smooth("account/tokens", 10_000, 60)
        assert isinstance(await patient_quotas(redis).take("rest", [Demand(limit, 1980)]), Granted)


async def test_a_failure_gives_its_tokens_back(redis_url: str, server: NebulaServer) -> None:
    """A request that fails before its first token uses up one request and no tokens."""
    server.fault(DOWN)
    async with wrapped_model(server, redis_url, Tier(tokens_per_minute=10_000)) as model:
        await failing(model, ServerTrouble)
        async with patient_connection(redis_url) as redis:
            limit = QuotaLimit.smooth("account/tokens", 10_000, 60)
            assert isinstance(await patient_quotas(redis).take("rest", [Demand(limit, 2000)]), Granted)


async def test_retries_count_as_requests(redis_url: str, server: NebulaServer) -> None:
    """A retry needs capacity as well; without capacity there is no retry."""
    server.fault(DOWN, times=None)
    tier = Tier(requests_per_minute=10)
    async with wrapped_model(server, redis_url, tier, minute=3600, patience=0, retries=5) as model:
        await failing(model, RateLimited)
        assert len(server.requests) == 2


async def test_a_stopped_request_leaves_the_queue(redis_url: str, server: NebulaServer) -> None:
    """A request that is stopped while it waits gives its capacity back."""
    async with (
        wrapped_model(server, redis_url, Tier(requests_per_minute=5), minute=3600, patience=3600) as model,
        patient_connection(redis_url) as redis,
    ):
        await read(model)
        limit = QuotaLimit.smooth("account/requests", 5, 3600)
        waiting = asyncio.create_task(read(model))
        await eventually_taken(redis, limit, 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await used(redis, limit) <= 1
        assert len(server.requests) == 1


async def test_a_refusal_holds_all_processes(redis_url: str, server: NebulaServer) -> None:
    """All processes respect a 429 that one of them got; other models are asked at once."""
    server.fault(busy(300))
    async with wrapped_model(server, redis_url) as one, wrapped_model(server, redis_url) as two:
        await failing(one, RateLimited)
        assert "in about 5 min" in (await failing(two, RateLimited)).notice
        assert len(server.requests) == 1
        assert text(await read(two, ChatRequest(SPARE, CAPPED_REQUEST.messages)))


async def waited_out(redis_url: str, seconds: float) -> bool:
    """Requests during a hold of these seconds are answered after it. False if the hold was over before it was seen."""
    async with (
        NebulaServer() as server,
        wrapped_model(server, redis_url, retries=2) as one,
        wrapped_model(server, redis_url) as two,
        patient_connection(redis_url) as redis,
    ):
        await redis.flushall()
        server.fault(busy(seconds))
        first = asyncio.create_task(read(one))
        async with asyncio.timeout(HANG_SECONDS):
            while not (held := await redis.exists(f"nb:{{q}}:h:account/{MODEL}")) and len(server.requests) < 2:
                await asyncio.sleep(0.005)
        second = await read(two)
        assert text(await first)
        assert text(second)
        refused, *others = server.requests
        assert all(other.at - refused.at >= seconds - 0.01 for other in others)
        return bool(held)


async def test_a_short_refusal_is_waited_out(redis_url: str) -> None:
    """Requests during a hold are answered after it."""
    await in_time(partial(waited_out, redis_url))


async def test_without_redis_requests_go_uncounted(server: NebulaServer) -> None:
    """A lost Redis blocks no answer, independent of the limits."""
    async with wrapped_model(server, NO_REDIS, Tier(1, 1, 1)) as model:
        for _ in range(3):
            assert text(await read(model))


async def test_what_nobody_waits_for_is_sent_only_if_there_is_room_at_once(
    redis_url: str, server: NebulaServer
) -> None:
    """It never takes a place in the queue, whatever the patience; neither does it wait for a model that refused."""
    patient = ChatRequest(MODEL, CAPPED_REQUEST.messages, max_tokens=100, urgent=False)
    async with (
        wrapped_model(server, redis_url, Tier(requests_per_minute=5), minute=3600) as model,
        patient_connection(redis_url) as redis,
    ):
        assert (await model.complete(patient)).text
        with pytest.raises(RateLimited):
            await model.complete(patient)
        assert await used(redis, QuotaLimit.smooth("account/requests", 5, 3600)) <= 1
    assert len(server.requests) == 1
