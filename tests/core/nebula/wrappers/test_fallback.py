"""The fallback on real sockets: when another model answers, and what people see of it."""

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.errors import BrokenStream, RateLimited, UnknownModel
from core.nebula.wrappers.account_limits import Tier
from core.nebula.wrappers.circuit_breaker import FAILURES
from core.store.records import ConversationLookups
from tests.core.core_harness import HERE, process
from tests.core.nebula.wrappers.wrapped import (
    DOWN,
    MODEL,
    SILENT,
    SPARE,
    busy,
    failing,
    in_time,
    models,
    read,
    text,
    wrapped_model,
)


@pytest.mark.parametrize(
    "fault",
    [DOWN, busy(60), NebulaFault(empty=True), NebulaFault(status=404, body='{"error": {"code": "model_not_found"}}')],
)
async def test_the_fallback_answers(redis_url: str, server: NebulaServer, fault: NebulaFault) -> None:
    """If a model fails before the first token, the fallback may answer; the first delta names it."""
    server.fault(fault)
    server.answer_next("Hi", finish="stop")
    async with wrapped_model(server, redis_url, fallback_model="Llama3.1-8B") as model:
        deltas = await read(model)
        assert models(server) == [MODEL, SPARE]
        assert [delta.model for delta in deltas] == [SPARE] + [""] * (len(deltas) - 1)


async def asked_within(deadline: float) -> list[str]:
    """Whom a question was asked of whose first model is silent. Raises ModelTimeout if the fallback was too slow."""
    async with NebulaServer() as server:
        server.fault(SILENT)
        async with wrapped_model(server, fallback_model=SPARE, deadline_seconds=deadline) as model:
            assert text(await read(model))
        return models(server)


async def test_a_silent_model_leaves_time_for_the_fallback() -> None:
    """If the first token does not come in time, the fallback gets the rest of the deadline, a quarter."""
    assert await in_time(lambda deadline: asked_within(4 * deadline)) == [MODEL, SPARE]


async def test_nobody_waits_for_a_held_model_with_a_fallback(redis_url: str, server: NebulaServer) -> None:
    """While a model is held after a 429, its fallback answers at once in every process."""
    server.fault(busy(30))
    async with wrapped_model(server, redis_url) as one, wrapped_model(server, redis_url, fallback_model=SPARE) as two:
        await failing(one, RateLimited)
        assert text(await read(two))
        assert models(server) == [MODEL, SPARE]


async def test_an_open_breaker_asks_the_fallback_at_once(server: NebulaServer) -> None:
    """While the breaker of a model is open, only the fallback is asked."""
    async with wrapped_model(server, fallback_model=SPARE) as model:
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
    async with wrapped_model(server, fallback_model=SPARE) as model:
        error = await failing(model, UnknownModel)
        assert MODEL in error.notice
        assert models(server) == [MODEL, SPARE]


async def test_there_is_no_fallback_after_the_first_token(server: NebulaServer) -> None:
    """Once people have begun to read an answer, no other model starts over."""
    server.fault(NebulaFault(cut_after=1))
    async with wrapped_model(server, fallback_model=SPARE) as model:
        await failing(model, BrokenStream)
        assert models(server) == [MODEL]


async def test_there_is_no_fallback_when_the_account_is_used_up(redis_url: str, server: NebulaServer) -> None:
    """All models share one account, so its limits are no reason to ask another model."""
    async with wrapped_model(server, redis_url, Tier(requests_per_day=1), fallback_model=SPARE) as model:
        await read(model)
        await failing(model, RateLimited)
        assert models(server) == [MODEL]


async def test_people_read_which_model_answered(redis_client: Redis, server: NebulaServer) -> None:
    """The small print names the fallback, and the stored exchange names it too."""
    server.fault(NebulaFault(status=404, body='{"error": {"code": "model_not_found"}}'))
    async with process(redis_client, server, nebula_model=MODEL, nebula_fallback_model=SPARE) as bot:
        question = bot.question("Hello")
        await bot.inbox.accept(question)
        await bot.runner.idle()
        assert f"`{SPARE}` answered, because" in bot.shown(question)
        exchange = await ConversationLookups(bot.turns.mailboxes).exchange(HERE, question.message)
        assert exchange
        assert exchange.model == SPARE
