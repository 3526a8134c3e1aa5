"""The model of one process of the bot on real sockets, wrapped as the composition root does it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from bots.compose import wrapped
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatMessage, ChatRequest, Delta
from core.domain.errors import ModelError, ModelTimeout
from core.domain.ports import ChatModel, Model
from core.nebula.client import Nebula
from core.nebula.wrappers.account_limits import AccountRateLimits, Tier
from core.nebula.wrappers.breaking import Breakers
from core.nebula.wrappers.circuit_breaker import CircuitBreaker
from core.settings.config import Config
from core.store.quotas import QuotaLimit
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection, patient_quotas

T = TypeVar("T")

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
SPARE = "meta-llama/Llama-3.1-8B-Instruct"
CAPPED_REQUEST = ChatRequest(MODEL, (ChatMessage("user", "Hello"),), max_tokens=100)
DOWN = NebulaFault(status=503, body="{}")
SILENT = NebulaFault(stall_after=0)
NO_LIMITS = Tier()
# Seconds. A deadline must pass by the clock; on a busy machine, what has to be in time may need a longer one.
DEADLINES = (0.5, 2.0, 8.0, 32.0)
NO_REDIS = "unix:///nowhere/redis.sock"


async def in_time(attempt: Callable[[float], Awaitable[T]]) -> T:
    """What the first attempt has found that was in time, each with a longer deadline; one that was not finds nothing or
    raises ModelTimeout."""
    for deadline in DEADLINES:
        with suppress(ModelTimeout):
            if found := await attempt(deadline):
                return found
    pytest.fail("nothing was in time")


@asynccontextmanager
async def wrapped_model(
    server: NebulaServer,
    redis_url: str = NO_REDIS,
    tier: Tier = NO_LIMITS,
    *,
    minute: float = 60.0,
    patience: float = 60.0,
    retries: int = 1,
    breakers: Breakers | None = None,
    **settings: Any,
) -> AsyncIterator[Model]:
    """The model of one process, with its own connection to Redis. `settings`: names without their `nebula_`."""
    config = Config(**{f"nebula_{name}": value for name, value in settings.items()})
    async with patient_connection(redis_url) as redis:
        account = AccountRateLimits(patient_quotas(redis), tier, patience=patience, minute=minute)
        async with Nebula(
            api_key="ak",
            base_url=server.base_url,
            platform_url=server.platform_url,
            first_token=HANG_SECONDS,
            between_tokens=HANG_SECONDS,
            catalog_patience=HANG_SECONDS,
            backoff=0.0,
            retries=retries,
            before_retry=account.reserve_retry,
        ) as client:
            # whoever finds a breaker open must find it so later: a minute
            breakers = breakers or Breakers(lambda: CircuitBreaker(pause=HANG_SECONDS / 2))
            yield wrapped(config, client, account, breakers)


def busy(seconds: float) -> NebulaFault:
    return NebulaFault(status=429, body="{}", headers={"retry-after": f"{seconds:g}"})


async def read(model: ChatModel, request: ChatRequest = CAPPED_REQUEST) -> list[Delta]:
    async with model.stream(request) as deltas:
        return [delta async for delta in deltas]


async def failing(model: ChatModel, kind: type[ModelError], request: ChatRequest = CAPPED_REQUEST) -> ModelError:
    with pytest.raises(kind) as caught:
        await read(model, request)
    assert type(caught.value) is kind
    return caught.value


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def models(server: NebulaServer) -> list[str]:
    return [request.model for request in server.requests]


async def used(redis: "Redis", limit: QuotaLimit) -> float:
    return float(await redis.hget(f"nb:{{q}}:l:{limit.name}", "used") or 0)


async def eventually_taken(redis: "Redis", limit: QuotaLimit, amount: float) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while await used(redis, limit) < amount - 0.5:
            await asyncio.sleep(0.005)
