"""Fixtures: an emulated Nebula API, and a process of the bot's core that uses it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from tests.core.core_harness import Process, process


@pytest.fixture
async def server() -> AsyncIterator[NebulaServer]:
    async with NebulaServer() as nebula:
        yield nebula


@pytest.fixture
async def bot(redis_client: Redis, server: NebulaServer) -> AsyncIterator[Process]:
    async with process(redis_client, server) as running:
        yield running
