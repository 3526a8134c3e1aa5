"""The rooms of most tests of Discord."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots import compose
from bots.discord.api import http
from bots.discord.inbound import asking
from bots.discord.room import reader
from bots.sandbox.discord.sessions import Intent
from core.nebula.client import Nebula
from core.reply import layout
from core.turns import titles
from tests.bots.discord.harness import DiscordRoom, room
from tests.bounds import HANG_SECONDS


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot waits for Discord and Nebula as long as a busy machine takes, and does not show that it waits."""
    monkeypatch.setattr(http, "CALL_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(asking, "_LOOK_UP_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(reader, "SECONDS", HANG_SECONDS)
    monkeypatch.setattr(layout, "SILENCE_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(compose, "Nebula", partial(Nebula, catalog_patience=HANG_SECONDS))
    monkeypatch.setattr(titles, "PATIENCE_SECONDS", HANG_SECONDS)


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
