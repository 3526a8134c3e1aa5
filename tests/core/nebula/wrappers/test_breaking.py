"""Circuit breakers on real sockets: a server that fails is left alone, and probed."""

import asyncio
from functools import partial

import pytest

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatRequest, Delta
from core.domain.errors import (
    BadRequest,
    BrokenStream,
    ModelError,
    RateLimited,
    ServerTrouble,
    Unavailable,
    WrongAddress,
)
from core.domain.ports import ChatModel
from core.nebula.wrappers.account_limits import Tier
from core.nebula.wrappers.breaking import Breakers
from core.nebula.wrappers.circuit_breaker import FAILURES, CircuitBreaker
from core.store.quotas import QuotaLimit
from tests.bounds import HANG_SECONDS
from tests.core.nebula.wrappers.wrapped import (
    CAPPED_REQUEST,
    DOWN,
    MODEL,
    SPARE,
    busy,
    failing,
    in_time,
    read,
    text,
    used,
    wrapped_model,
)
from tests.redis_server import patient_connection


async def test_a_failing_server_is_not_asked(server: NebulaServer) -> None:
    """After several failures in a row the error comes at once, with a time, and the server is not asked."""
    server.fault(DOWN, times=None)
    async with wrapped_model(server) as model:
        for _ in range(FAILURES):
            await failing(model, ServerTrouble)
        error = await failing(model, Unavailable)
        assert error.notice.startswith("Nebula is not responding at the moment")
        assert " s, or choose another model." in error.notice
        assert len(server.requests) == FAILURES
        assert not [delta.model for delta in await other_model(server, model) if delta.model]


async def other_model(server: NebulaServer, model: ChatModel) -> list[Delta]:
    """Each model has its own breaker."""
    server.heal()
    return await read(model, ChatRequest(SPARE, CAPPED_REQUEST.messages))


async def test_one_request_probes_the_server(server: NebulaServer) -> None:
    """After the pause one request is the probe, and the others fail at once. Its answer closes the breaker."""
    server.fault(DOWN)
    held = server.hold(after=0)
    async with wrapped_model(server, breakers=Breakers(lambda: CircuitBreaker(1, pause=0.0001))) as model:
        await failing(model, ServerTrouble)
        await asyncio.sleep(0.001)  # longer than the pause
        probe = asyncio.create_task(read(model))
        await server.until(lambda: len(server.requests) == 2)
        await failing(model, Unavailable)
        held.release()
        assert text(await probe)
        assert text(await read(model))
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(busy(0), RateLimited), (NebulaFault(status=400, body='{"error": {"param": "top_p"}}'), BadRequest)],
)
async def test_refusals_do_not_open_the_breaker(
    server: NebulaServer, fault: NebulaFault, kind: type[ModelError]
) -> None:
    """Refusals do not open the breaker."""
    server.fault(fault, times=FAILURES + 1)
    async with wrapped_model(server) as model:
        for _ in range(FAILURES + 1):
            await failing(model, kind)
        assert text(await read(model))


async def test_an_address_where_nobody_listens_opens_the_breaker() -> None:
    """It is no answer that the connection is refused, also where the address may be wrong."""
    async with NebulaServer() as closed:
        pass
    async with wrapped_model(closed) as model:
        for _ in range(FAILURES):
            await failing(model, WrongAddress)
        await failing(model, Unavailable)


async def test_a_broken_stream_counts_as_an_answer(server: NebulaServer) -> None:
    """Streams that break after their first token keep their text and do not open the breaker."""
    server.fault(NebulaFault(cut_after=1), times=FAILURES + 1)
    async with wrapped_model(server) as model:
        for _ in range(FAILURES + 1):
            await failing(model, BrokenStream)
        assert text(await read(model))


async def test_nebula_is_unavailable_while_all_breakers_are_open(server: NebulaServer) -> None:
    """One model that can be asked is enough, and so is a process that has asked none."""
    breakers = Breakers(lambda: CircuitBreaker(1, pause=HANG_SECONDS))
    async with wrapped_model(server, breakers=breakers) as model:
        assert not breakers.unavailable()
        server.fault(DOWN)
        await failing(model, ServerTrouble)
        assert breakers.unavailable()
        await other_model(server, model)
        assert not breakers.unavailable()


async def test_nobody_waits_for_capacity_while_the_breaker_is_open(redis_url: str, server: NebulaServer) -> None:
    """The error comes before the wait, and takes no capacity from others."""
    server.fault(DOWN)
    breakers = Breakers(lambda: CircuitBreaker(1, pause=HANG_SECONDS))
    tier = Tier(requests_per_minute=5)
    async with wrapped_model(server, redis_url, tier, patience=0, breakers=breakers) as model:
        await failing(model, ServerTrouble)
        await failing(model, Unavailable)  # not RateLimited: the one request at once is used up
        assert len(server.requests) == 1


async def opened_during(redis_url: str, wait: float) -> bool:
    """The breaker opens while a request waits so many seconds for capacity, and it is not sent. False if the wait may
    have been over by then."""
    breakers = Breakers(lambda: CircuitBreaker(1, pause=HANG_SECONDS))
    tier, limit = Tier(requests_per_minute=5), QuotaLimit.smooth("account/requests", 5, 4 * wait)
    async with (
        NebulaServer() as server,
        wrapped_model(server, redis_url, tier, minute=4 * wait, breakers=breakers) as model,
        patient_connection(redis_url) as redis,
    ):
        await redis.flushall()
        await read(model)
        waiting = asyncio.create_task(failing(model, Unavailable))
        async with asyncio.timeout(HANG_SECONDS):
            while len(reserved := [key async for key in redis.scan_iter("nb:{q}:r:*")]) < 2:
                await asyncio.sleep(0.005)
        breaker, now = breakers.of(MODEL), asyncio.get_running_loop().time()
        permit = breaker.enter(now)
        assert permit
        breaker.failed(permit, now)
        seconds, microseconds = await redis.time()
        ends = max([int(await redis.get(key) or 0) for key in reserved])  # in milliseconds, by that clock
        if 1000 * seconds + microseconds / 1000 > ends - 5:  # the loop fires timers a little early
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return False
        await waiting
        assert await used(redis, limit) <= 1
        assert len(server.requests) == 1
        return True


async def test_a_request_is_not_sent_if_the_breaker_opens_while_it_waits(redis_url: str) -> None:
    """The breaker decides after the wait for capacity, and what was reserved is given back."""
    await in_time(partial(opened_during, redis_url))
