"""A resilient model on real sockets: queueing instead of 429s, a breaker, a fallback, a deadline, and a lost Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatMessage, ChatRequest, Delta
from core.domain.errors import (
    BadRequest,
    BrokenStream,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerTrouble,
    Unavailable,
    UnknownModel,
)
from core.nebula.account_limits import AccountRateLimits, Tier
from core.nebula.circuit_breaker import FAILURES, CircuitBreaker
from core.nebula.client import Nebula
from core.nebula.resilient import ResilientModel
from core.store.quotas import Demand, Granted, QuotaLimit, Quotas
from core.store.records import ConversationLookups
from core.store.redis.client import connection
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ROOM, process

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
SPARE = "meta-llama/Llama-3.1-8B-Instruct"
CAPPED_REQUEST = ChatRequest(MODEL, (ChatMessage("user", "Hello"),), max_tokens=100)
DOWN = NebulaFault(status=503, body="{}")
SILENT = NebulaFault(stall_after=0)
NO_LIMITS = Tier()
NO_REDIS = "unix:///nowhere/redis.sock"


def busy(seconds: float) -> NebulaFault:
    return NebulaFault(status=429, body="{}", headers={"retry-after": f"{seconds:g}"})


@asynccontextmanager
async def resilient(
    server: NebulaServer, redis_url: str = NO_REDIS, tier: Tier = NO_LIMITS, *, minute: float = 60.0, **settings: Any
) -> AsyncIterator[ResilientModel]:
    """The model of one process of the bot, with its own connection to Redis."""
    patience = settings.pop("patience", 60.0)
    usual: dict[str, Any] = {"first_token": HANG_SECONDS, "between_tokens": HANG_SECONDS, "backoff": 0.0, "retries": 1}
    nebula = {name: settings.pop(name, value) for name, value in usual.items()}
    nebula |= {"api_key": "ak", "base_url": server.base_url, "platform_url": server.platform_url}
    async with connection(redis_url) as redis:
        account = AccountRateLimits(Quotas(redis), tier, patience=patience, minute=minute)
        async with Nebula(**nebula, before_retry=account.reserve_retry) as client:
            yield ResilientModel(client, account, **settings)


async def read(model: ResilientModel, request: ChatRequest = CAPPED_REQUEST) -> list[Delta]:
    async with model.stream(request) as deltas:
        return [delta async for delta in deltas]


async def failing(model: ResilientModel, kind: type[ModelError], request: ChatRequest = CAPPED_REQUEST) -> ModelError:
    with pytest.raises(kind) as caught:
        await read(model, request)
    assert type(caught.value) is kind
    return caught.value


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def models(server: NebulaServer) -> list[str]:
    return [request.model for request in server.requests]


# The account's limits


async def test_two_processes_are_never_refused(redis_url: str) -> None:
    """Many requests at once under a tight limit queue in Redis. All are answered, none is sent before its time, and no
    minute has more of them than the limit.

    The times come from Redis, not from the server: the way to it may take a good part of such a short minute.
    """
    minute, most, count = 0.5, 18, 26
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(NebulaServer())
        redis = await stack.enter_async_context(connection(redis_url))
        tier = Tier(requests_per_minute=most)
        both = [await stack.enter_async_context(resilient(server, redis_url, tier, minute=minute)) for _ in range(2)]
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
    async with resilient(server, redis_url, Tier(requests_per_minute=5), patience=1) as model:
        await read(model)
        error = await failing(model, RateLimited)
        assert "in about 15 s" in error.notice
        assert len(server.requests) == 1


async def test_the_estimate_is_settled_with_the_tokens_of_the_answer(redis_url: str, server: NebulaServer) -> None:
    """Afterwards only the tokens that the server counted stay used up."""
    server.answer_next("one two three")
    async with resilient(server, redis_url, Tier(tokens_per_minute=10_000)) as model, connection(redis_url) as redis:
        await read(model, ChatRequest(MODEL, CAPPED_REQUEST.messages, max_tokens=1500))
        limit = QuotaLimit.smooth("account/tokens", 10_000, 60)
        assert isinstance(await Quotas(redis).take("rest", [Demand(limit, 1980)]), Granted)


async def test_a_failure_gives_its_tokens_back(redis_url: str, server: NebulaServer) -> None:
    """A request that fails before its first token uses up one request and no tokens."""
    server.fault(DOWN)
    async with resilient(server, redis_url, Tier(tokens_per_minute=10_000)) as model:
        await failing(model, ServerTrouble)
        async with connection(redis_url) as redis:
            limit = QuotaLimit.smooth("account/tokens", 10_000, 60)
            assert isinstance(await Quotas(redis).take("rest", [Demand(limit, 2000)]), Granted)


async def test_retries_count_as_requests(redis_url: str, server: NebulaServer) -> None:
    """A retry needs capacity as well; without capacity there is no retry."""
    server.fault(DOWN, times=None)
    async with resilient(server, redis_url, Tier(requests_per_minute=10), patience=0, retries=5) as model:
        await failing(model, RateLimited)
        assert len(server.requests) == 2


async def test_a_stopped_request_leaves_the_queue(redis_url: str, server: NebulaServer) -> None:
    """A request that is stopped while it waits gives its capacity back."""
    async with resilient(server, redis_url, Tier(requests_per_minute=5)) as model, connection(redis_url) as redis:
        await read(model)
        limit = QuotaLimit.smooth("account/requests", 5, 60)
        waiting = asyncio.create_task(read(model))
        await eventually_taken(redis, limit, 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await used(redis, limit) <= 1
        assert len(server.requests) == 1


async def used(redis: "Redis", limit: QuotaLimit) -> float:
    return float(await redis.hget(f"nb:{{q}}:l:{limit.name}", "used") or 0)


async def eventually_taken(redis: "Redis", limit: QuotaLimit, amount: float) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while await used(redis, limit) < amount - 0.5:
            await asyncio.sleep(0.005)


async def test_a_refusal_holds_all_processes(redis_url: str, server: NebulaServer) -> None:
    """All processes respect a 429 that one of them got; other models are asked at once."""
    server.fault(busy(300))
    async with resilient(server, redis_url) as one, resilient(server, redis_url) as two:
        await failing(one, RateLimited)
        assert "in about 5 min" in (await failing(two, RateLimited)).notice
        assert len(server.requests) == 1
        assert text(await read(two, ChatRequest(SPARE, CAPPED_REQUEST.messages)))


async def test_a_short_refusal_is_waited_out(redis_url: str, server: NebulaServer) -> None:
    """Requests during a hold are answered after it."""
    server.fault(busy(0.3))
    async with resilient(server, redis_url, retries=2) as one, resilient(server, redis_url) as two:
        first = asyncio.create_task(read(one))
        await server.until(lambda: len(server.requests) == 1)
        async with connection(redis_url) as redis, asyncio.timeout(HANG_SECONDS):
            while not await redis.exists(f"nb:{{q}}:h:account/{MODEL}"):
                await asyncio.sleep(0.005)
        second = await read(two)
        assert text(await first)
        assert text(second)
        refused, *others = server.requests
        assert all(other.at - refused.at >= 0.29 for other in others)


async def test_without_redis_requests_go_uncounted(server: NebulaServer) -> None:
    """A lost Redis blocks no answer, independent of the limits."""
    async with resilient(server, NO_REDIS, Tier(1, 1, 1)) as model:
        for _ in range(3):
            assert text(await read(model))


# The breaker


async def test_a_failing_server_is_not_asked(server: NebulaServer) -> None:
    """After several failures in a row the error comes at once, with a time, and the server is not asked."""
    server.fault(DOWN, times=None)
    async with resilient(server) as model:
        for _ in range(FAILURES):
            await failing(model, ServerTrouble)
        error = await failing(model, Unavailable)
        assert error.notice.startswith("Nebula is not responding at the moment")
        assert " s, or choose another model." in error.notice
        assert len(server.requests) == FAILURES
        assert not [delta.model for delta in await other_model(server, model) if delta.model]


async def other_model(server: NebulaServer, model: ResilientModel) -> list[Delta]:
    """Each model has its own breaker."""
    server.heal()
    return await read(model, ChatRequest(SPARE, CAPPED_REQUEST.messages))


async def test_one_request_probes_the_server(server: NebulaServer) -> None:
    """After the pause one request is the probe, and the others fail at once. Its answer closes the breaker."""
    server.fault(DOWN)
    held = server.hold(after=0)
    async with resilient(server, breaker=lambda: CircuitBreaker(1, pause=0.0001)) as model:
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
    async with resilient(server) as model:
        for _ in range(FAILURES + 1):
            await failing(model, kind)
        assert text(await read(model))


async def test_a_broken_stream_counts_as_an_answer(server: NebulaServer) -> None:
    """Streams that break after their first token keep their text and do not open the breaker."""
    server.fault(NebulaFault(cut_after=1), times=FAILURES + 1)
    async with resilient(server) as model:
        for _ in range(FAILURES + 1):
            await failing(model, BrokenStream)
        assert text(await read(model))


# The fallback


@pytest.mark.parametrize(
    "fault",
    [DOWN, busy(60), NebulaFault(empty=True), NebulaFault(status=404, body='{"error": {"code": "model_not_found"}}')],
)
async def test_the_fallback_answers(redis_url: str, server: NebulaServer, fault: NebulaFault) -> None:
    """If a model fails before the first token, the fallback may answer; the first delta names it."""
    server.fault(fault)
    server.answer_next("Hi", finish="stop")
    async with resilient(server, redis_url, fallback="Llama3.1-8B") as model:
        deltas = await read(model)
        assert models(server) == [MODEL, SPARE]
        assert [delta.model for delta in deltas] == [SPARE] + [""] * (len(deltas) - 1)


async def test_a_silent_model_leaves_time_for_the_fallback(server: NebulaServer) -> None:
    """If the first token does not come in time, the fallback gets the rest of the deadline."""
    server.fault(SILENT)
    async with resilient(server, fallback=SPARE, deadline=6) as model:  # a quarter is the fallback's
        assert text(await read(model))
        assert models(server) == [MODEL, SPARE]


async def test_nobody_waits_for_a_held_model_with_a_fallback(redis_url: str, server: NebulaServer) -> None:
    """While a model is held after a 429, its fallback answers at once in every process."""
    server.fault(busy(30))
    async with resilient(server, redis_url) as one, resilient(server, redis_url, fallback=SPARE) as two:
        await failing(one, RateLimited)
        assert text(await read(two))
        assert models(server) == [MODEL, SPARE]


async def test_an_open_breaker_asks_the_fallback_at_once(server: NebulaServer) -> None:
    """While the breaker of a model is open, only the fallback is asked."""
    async with resilient(server, fallback=SPARE) as model:
        for _ in range(FAILURES):
            server.fault(DOWN)
            await read(model)
        asked = len(server.requests)
        assert text(await read(model))
        assert models(server)[asked:] == [SPARE]


async def test_when_both_fail_the_error_is_that_of_the_chosen_model(server: NebulaServer) -> None:
    """The fallback is asked once, and its failure does not hide the first one."""
    server.fault(NebulaFault(status=404, body='{"error": {"code": "model_not_found"}}'))
    server.fault(DOWN)
    async with resilient(server, fallback=SPARE) as model:
        error = await failing(model, UnknownModel)
        assert MODEL in error.notice
        assert models(server) == [MODEL, SPARE]


async def test_there_is_no_fallback_after_the_first_token(server: NebulaServer) -> None:
    """Once people have begun to read an answer, no other model starts over."""
    server.fault(NebulaFault(cut_after=1))
    async with resilient(server, fallback=SPARE) as model:
        await failing(model, BrokenStream)
        assert models(server) == [MODEL]


async def test_there_is_no_fallback_when_the_account_is_used_up(redis_url: str, server: NebulaServer) -> None:
    """All models share one account, so its limits are no reason to ask another model."""
    async with resilient(server, redis_url, Tier(requests_per_day=1), fallback=SPARE) as model:
        await read(model)
        await failing(model, RateLimited)
        assert models(server) == [MODEL]


# The deadline


async def test_one_deadline_for_all_attempts(server: NebulaServer) -> None:
    """Nobody waits for a silent model beyond the deadline, and its request is closed."""
    server.fault(SILENT)
    async with resilient(server, deadline=1.0) as model:
        assert str(await failing(model, ModelTimeout)) == "no token within the deadline"  # not the client's own limit
        await server.until(lambda: server.requests[0].closed_early)


async def test_the_deadline_ends_with_the_first_token(server: NebulaServer) -> None:
    """The deadline does not cut off an answer that has begun."""
    held = server.hold(after=2)
    server.answer_next("one two three four five six")
    async with resilient(server, deadline=3.0) as model:
        begun = asyncio.get_running_loop().time()
        async with model.stream(CAPPED_REQUEST) as deltas:
            found = [await anext(deltas)]
            while asyncio.get_running_loop().time() < begun + 3.1:  # the deadline passes
                await asyncio.sleep(0.05)
            held.release()
            found += [delta async for delta in deltas]
        assert text(found) == "one two three four five six"


async def test_a_stopped_answer_is_not_a_failure(server: NebulaServer) -> None:
    """Leaving an answer closes its request, and the model can be asked again."""
    server.fault(NebulaFault(stall_after=1))
    async with resilient(server) as model:
        async with model.stream(CAPPED_REQUEST) as deltas:
            await anext(deltas)
        await server.until(lambda: server.requests[0].closed_early)
        assert text(await read(model))


# Visible results


async def test_people_read_which_model_answered(redis_client: Redis, server: NebulaServer) -> None:
    """The small print names the fallback, and the stored exchange names it too."""
    server.fault(NebulaFault(status=404, body='{"error": {"code": "model_not_found"}}'))
    async with process(redis_client, server, nebula_model=MODEL, nebula_fallback_model=SPARE) as bot:
        question = bot.question("Hello")
        await bot.intake.accept(question)
        await bot.intake.idle()
        assert f"`{SPARE}` answered, because" in bot.shown(question)
        exchange = await ConversationLookups(bot.turns.mailboxes).exchange(ROOM.name, question.message)
        assert exchange
        assert exchange.model == SPARE
