"""A real Redis for the tests: one private server process per test worker, empty at the start of every test.

tests/conftest.py imports the fixtures.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from core.store.quotas import Quotas
from core.store.redis.client import connection
from core.store.redis.embedded import bound, find_server
from tests.bounds import HANG_SECONDS


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of this worker's server: a unix socket; nothing is kept on disk."""
    with TemporaryDirectory(prefix="nb-") as folder:  # not tmp_path: a socket's path must be short
        server = find_server(os.environ.get("REDIS_SERVER"))
        settings = ["--port", "0", "--unixsocket", "redis.sock", "--dir", folder, "--save", "", "--appendonly", "no"]
        with (
            Path(folder, "log").open("wb") as log,
            subprocess.Popen(
                bound([str(server), *settings]), stdout=log, stderr=log, start_new_session=True
            ) as process,
        ):
            try:
                address = f"unix://{folder}/redis.sock"
                with BlockingRedis.from_url(address, retry=Retry(ConstantBackoff(0.02), 500)) as client:
                    client.ping()  # repeated until it answers
                yield address
            finally:
                process.kill()


@pytest.fixture(scope="session")
def redis_cleaner(redis_server: str) -> Iterator[BlockingRedis]:
    """One connection for all the resets."""
    with BlockingRedis.from_url(redis_server) as client:
        yield client


@pytest.fixture
def redis_url(redis_server: str, redis_cleaner: BlockingRedis) -> str:
    """The address of the server, which holds nothing but scripts: they may stay, as loading them takes a twentieth of
    a test."""
    redis_cleaner.flushall()
    return redis_server


@pytest_asyncio.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the empty server, which waits for an answer as long as a busy machine takes."""
    async with patient_connection(redis_url) as client:
        yield client


def patient_connection(url: str) -> AbstractAsyncContextManager[Redis]:
    """A client that waits for an answer as long as a busy machine takes."""
    return connection(url, answer_timeout=HANG_SECONDS, connect_timeout=HANG_SECONDS)


def patient_quotas(redis: Redis) -> Quotas:
    """Quotas that do the same."""
    return Quotas(redis, answer_timeout=HANG_SECONDS)


async def up(client: Redis) -> None:
    """Wait until the server answers."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(RedisError):
                await client.ping()
                return
            await asyncio.sleep(0.01)


# One round trip, however many keys there are: some tests look after each token.
_ALL = """
local commands = {
  list = {'LRANGE', 0, -1}, hash = {'HGETALL'}, string = {'GET'}, set = {'SMEMBERS'}, zset = {'ZRANGE', 0, -1}
}
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local command = commands[kind] or error('nobody looks into a ' .. kind)
  table.insert(found, redis.call(command[1], key, unpack(command, 2)))
end
return found
"""


async def stored(redis: Redis) -> str:
    """All that Redis holds, whatever its type, as one text in which a test can look for words."""
    return str(await redis.eval(_ALL, 0))
