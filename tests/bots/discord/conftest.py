"""The rooms of most tests of Discord."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from tests.bots.discord.harness import DiscordRoom, room


@pytest_asyncio.fixture
async def here(redis_client: Redis, request: pytest.FixtureRequest) -> AsyncIterator[DiscordRoom]:
    """A room on a Discord without rate limits. Its bot has the intents that the module names PRIVILEGED, if any."""
    privileged: Intent = getattr(request.module, "PRIVILEGED", Intent.NONE)
    async with room(redis_client, privileged=privileged) as stage:
        yield stage


@pytest_asyncio.fixture
async def blind(redis_client: Redis) -> AsyncIterator[DiscordRoom]:
    """The same, but the bot has no privileged intent."""
    async with room(redis_client) as stage:
        yield stage
