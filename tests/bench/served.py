"""The whole bot on both platforms of a bench, in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from bots.compose import Bot, chat_model, storage
from bots.discord.app import Discord
from bots.run import serving
from bots.slack.app import Slack
from tests.bench.wire import BenchWire
from tests.configuration import Configuration


@asynccontextmanager
async def served(servers: BenchWire, config: Configuration) -> AsyncIterator[Bot]:
    """Run the bot with a Redis of its own until it is connected, and then until the caller leaves the context."""
    async with storage(config.core) as store, served_from(store.redis, servers, config) as bot:
        yield bot


@asynccontextmanager
async def served_from(redis: "Redis", servers: BenchWire, config: Configuration) -> AsyncIterator[Bot]:
    """The same with this Redis."""
    slack, discord = Slack(config.slack), Discord(config.discord)
    async with (
        chat_model(config.core, redis) as model,
        serving(config.core, redis, model, [slack, discord]) as bot,
    ):
        await slack.ready.wait()
        await discord.ready.wait()
        await servers.connected()
        yield bot
