"""The connection to Redis: settings that keep a slow or lost server bounded in time, and errors in one sentence."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError, RedisClusterException, RedisError, TimeoutError

from core import metrics
from core.domain.errors import StoreError
from core.store.redis.cluster import Cluster
from core.store.redis.primary import Primary, SentinelPool
from core.store.redis.url import Address, Kind, parse

CONNECTIONS = 20  # per process and server; a caller waits for a free one instead of failing
ANSWER = 2.0  # seconds for one answer of the server, and for a free connection
DIAL = 1.0  # seconds to open a connection
# Seconds for a whole step: waiting for a connection, connecting, retrying and answering together. A server that hangs
# is given up after ANSWER; this is for what adds up, also on a machine that has little time for us.
CALL = 5.0
ASK = 0.4  # seconds for an answer of a Sentinel: several may hang before one says where the primary is
IDLE = 15  # seconds after which a connection is tried before it is used

# redis-py repeats what was sent in these messages; that may be what people wrote, which belongs into no log.
_SENT = re.compile(r"\(.*\)(?= of pipeline)|, with args beginning with.*|(?<=to execute ).*|\s+Command: .*", re.DOTALL)
# What it raises when a connection is closed under a command (https://github.com/redis/redis-py/issues/3835).
_TORN = "'NoneType' object has no attribute"


def connect(url: str, *, answer: float = ANSWER, dial: float = DIAL) -> Redis:
    """A client for one server, for the primary that Sentinels name, or for a Cluster (see url.SCHEMES).

    Opens nothing yet, and answers are bytes. Close it with `aclose`. `answer` and `dial` are seconds. Only a lost
    connection is retried, once, and never a timeout: a command that timed out may have been applied
    (https://github.com/redis/redis-py/issues/977). With the library's defaults a server that hangs holds a caller for
    minutes. Raises StoreError when the address makes no sense.
    """
    address = parse(url)
    settings: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "socket_timeout": answer,
        "socket_connect_timeout": dial,
        # An idle network connection may be dead without a sign; a local socket can't. There the check would also
        # reconnect without end when the handshake is refused: redis-py 8.1 pings before it says who it is.
        "health_check_interval": 0 if url.lower().startswith("unix") else IDLE,
        "retry": _once(),
        "protocol": 3,
    }
    try:
        match address.kind:
            case Kind.SERVER:
                return _primary(BlockingConnectionPool.from_url(address.url, timeout=answer, **settings), address)
            case Kind.SENTINEL:
                return _primary(_sentinels(address, {"timeout": answer, **settings}), address)
            case Kind.CLUSTER:
                # It has the commands of a client for one server, if no common type with it.
                return cast(Redis, _cluster(address, settings))
    except (ValueError, TypeError, RedisClusterException):  # an option of the address that there is not
        raise StoreError("REDIS_URL has an option after the ? that can't be used.") from None


def _primary(pool: BlockingConnectionPool, address: Address) -> Primary:
    pool.connection_class(**pool.connection_kwargs)  # or the first caller would learn that an option makes no sense
    return Primary.at(pool, address)


def _sentinels(address: Address, settings: dict[str, Any]) -> SentinelPool:
    asking = {"socket_timeout": ASK, "socket_connect_timeout": ASK, "retry": Retry(ExponentialWithJitterBackoff(), 0)}
    asking |= {"protocol": 3, **dict(address.sentinel)}
    manager = Sentinel(list(address.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    options = settings | dict(address.options)
    return SentinelPool(address.service, manager, ssl=address.tls, **options)  # type: ignore[no-untyped-call]


def _cluster(address: Address, settings: dict[str, Any]) -> Cluster:
    nodes = [ClusterNode(*each) for each in address.hosts]
    client = Cluster(startup_nodes=nodes, ssl=address.tls, **Cluster.WAYS, **settings | dict(address.options))
    client.address = address
    return client


def _once() -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.3), 1, supported_errors=(ConnectionError,))


@asynccontextmanager
async def connection(url: str, *, answer: float = ANSWER, dial: float = DIAL) -> AsyncIterator[Redis]:
    """A client as by `connect`, closed at the end."""
    client = connect(url, answer=answer, dial=dial)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def guarded(seconds: float = CALL, *, measured: bool = True) -> AsyncIterator[None]:
    """Around every step in Redis, and nothing else: within `seconds` it is done or StoreError is raised.

    Serves as a decorator too: `@guarded()`. The library's timeouts are per attempt and add up; this one is the bound.
    `measured`: for the metrics; not where most of the time is spent waiting for others to say something.
    """
    begun = time.perf_counter()
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(seconds):
            yield
        if measured:
            metrics.REDIS_SECONDS.observe(time.perf_counter() - begun)
    except (RedisError, RedisClusterException, OSError) as error:  # OSError holds the built-in TimeoutError
        metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
        # Without the cause: its text may hold what people wrote (see _SENT).
        raise StoreError(detail(error)) from None
    except AttributeError as error:
        if not str(error).startswith(_TORN):
            raise
        raise StoreError("the connection was closed meanwhile") from None
    finally:
        # redis-py sends through asyncio.wait_for, which before Python 3.12 may swallow a cancellation in the moment
        # in which it succeeds (python/cpython#86296); whoever was cancelled would go on for ever.
        if task and task.cancelling() > cancelled:
            raise asyncio.CancelledError


async def ping(client: Redis, seconds: float = CALL) -> float:
    """How long the server takes to answer, in seconds. Raises StoreError."""
    begun = time.perf_counter()
    async with guarded(seconds):
        await client.ping()
    return time.perf_counter() - begun


def detail(error: Exception) -> str:
    """What the error says, without what was sent."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, MasterNotFoundError):  # which lists what each Sentinel said, in redis-py's own terms
        return "no Sentinel names a primary that is up"
    return _SENT.sub("", str(error)) or type(error).__name__
