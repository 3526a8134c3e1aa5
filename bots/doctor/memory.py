"""Examines the Redis of the bot, private or not, and the versions of the processes that share it."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from redis.asyncio import Redis

from bots.compose import CROWDED, setup_of
from core.domain.errors import StoreError
from core.finding import Finding, bad, note, well
from core.settings.config import Config
from core.store.redis import examine as server
from core.store.redis.check import check
from core.store.redis.client import connection
from core.store.redis.embedded import embedded
from core.store.redis.replicas import Replicas
from core.store.redis.setup import compare
from core.store.redis.url import parse
from core.version import running

START_SECONDS = 8.0  # for the private server, without a sign of life


async def examine(config: Config) -> AsyncGenerator[Finding, None]:
    """What is right and wrong with the memory of the bot. Never raises. It starts the private server if none runs."""
    async with AsyncExitStack() as stack:
        try:
            if config.redis_url:
                url, where = config.redis_url, f"at {parse(config.redis_url).where} (REDIS_URL)"
            else:
                found = await stack.enter_async_context(
                    embedded(config.data_dir, config.redis_server, start_timeout=START_SECONDS)
                )
                url, where = found.url, f"private, data in {found.data}"
            redis = await stack.enter_async_context(connection(url))
            info = await check(redis)
        except StoreError as error:
            text, _, mend = str(error).rstrip(".").rpartition(": ")
            yield bad(server.NAME, text or mend, mend if text else "")
            return
        nodes = f", {info.nodes} nodes" if info.nodes > 1 else ""
        yield well(server.NAME, f"{info.name} {info.version}, {where}{nodes}")
        async for finding in server.examine(redis, info):
            yield finding
        if info.nodes > 1 and config.redis_partitions == 1:
            yield note(server.NAME, *CROWDED.rstrip(".").split(". "))
        try:
            await compare(redis, setup_of(config))
        except StoreError as error:
            text, _, mend = str(error).partition(": ")
            yield bad(server.NAME, text, mend)
        async for finding in _replicas(redis):
            yield finding


async def _replicas(redis: "Redis") -> AsyncIterator[Finding]:
    name = "processes"
    try:
        there = await Replicas(redis).present()
    except StoreError as error:
        yield bad(name, f"it can't be seen which there are ({error})")
        return
    if not there:
        yield note(name, "none runs at the moment")
        return
    versions = {each.version for each in there}
    said = ", ".join(f"{each.role} {each.version} for {_ago(each.since)}" for each in there)
    if len(versions) > 1:
        yield bad(
            name, f"they are of {len(versions)} versions: {said}", "end the deploy: restart those of older versions"
        )
    elif versions != {running()}:
        yield note(name, f"{said}; this is {running()}", "restart them, if you have updated the bot")
    else:
        yield well(name, said)


def _ago(since: float) -> str:
    minutes = max(0.0, time.time() - since) / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 6_000 else f"{minutes / 1440:.0f} days"
