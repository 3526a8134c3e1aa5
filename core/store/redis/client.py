"""The connection to Redis: bounds how long a slow or lost server can take, and reports errors in one sentence."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError, RedisClusterException, RedisError, TimeoutError

from core import metrics
from core.awake import awake
from core.domain.errors import StoreError, UnusableStore
from core.store.redis.cluster import Cluster
from core.store.redis.primary import Primary, SentinelPool
from core.store.redis.url import RedisAddress, RedisKind, parse

MAX_CONNECTIONS = 20  # per process and server; a caller waits for a free one instead of failing
# All these limits count only while this process runs (see `awake`).
ANSWER_TIMEOUT_SECONDS = 2.0  # for one answer from the server
CONNECT_TIMEOUT_SECONDS = 1.0
# For a whole step: waiting for a connection, connecting, retrying and answering together. We give up on a hanging
# server after ANSWER_TIMEOUT_SECONDS; this limits the sum, also on a machine that has little time for us.
STEP_TIMEOUT_SECONDS = 5.0
SENTINEL_TIMEOUT_SECONDS = 0.4  # for a Sentinel's answer: several may hang before one says where the primary is
HEALTH_CHECK_SECONDS = 15  # after being idle for this long, a connection is checked before it is used

# What a connection tells the server of the library. Without it, redis-py reads its version from the disk for each one.
_DRIVER = DriverInfo()
# In these messages redis-py repeats what we sent. That may be what people wrote, which must not get into a log.
_SENT = re.compile(r"\(.*\)(?= of pipeline)|, with args beginning with.*|(?<=to execute ).*|\s+Command: .*", re.DOTALL)
# What redis-py raises if a connection is closed during a command (https://github.com/redis/redis-py/issues/3835).
_TORN = "'NoneType' object has no attribute"


def connect(
    url: str, *, answer_timeout: float = ANSWER_TIMEOUT_SECONDS, connect_timeout: float = CONNECT_TIMEOUT_SECONDS
) -> Redis:
    """A client for one server, for the primary that Sentinels name, or for a Cluster (see url.SCHEMES).

    It opens no connection yet, and its answers are bytes. Close it with `aclose`. The timeouts are in seconds. It
    retries only a lost connection, once, and never a timeout: a command that timed out may have been applied
    (https://github.com/redis/redis-py/issues/977). With the library's defaults a hanging server blocks a caller for
    minutes. Raises UnusableStore if the address is invalid.
    """
    address = parse(url)
    settings: dict[str, Any] = {
        "max_connections": MAX_CONNECTIONS,
        "socket_timeout": answer_timeout,
        "socket_connect_timeout": connect_timeout,
        # An idle network connection may be dead without a sign; a local socket can't. There the check would also
        # reconnect endlessly if the handshake is refused, because redis-py 8.1 pings before it authenticates.
        "health_check_interval": 0 if url.lower().startswith("unix") else HEALTH_CHECK_SECONDS,
        "retry": _once(),
        "protocol": 3,
        "driver_info": _DRIVER,
    }
    # A wait for a free connection has no limit of its own: that of the caller's `guarded` is enough.
    try:
        match address.kind:
            case RedisKind.SERVER:
                return _primary(BlockingConnectionPool.from_url(address.url, timeout=None, **settings), address)
            case RedisKind.SENTINEL:
                return _primary(_sentinels(address, {"timeout": None, **settings}), address)
            case RedisKind.CLUSTER:
                # It has the same commands as a client for one server, but no common type.
                return cast(Redis, _cluster(address, settings))
    except (ValueError, TypeError, RedisClusterException):  # the address has an unknown option
        raise UnusableStore("REDIS_URL has an invalid option after the ?: correct or remove it.") from None


def _primary(pool: BlockingConnectionPool, address: RedisAddress) -> Primary:
    pool.connection_class = _awakened(pool.connection_class)
    pool.connection_class(**pool.connection_kwargs)  # otherwise only the first caller would find an invalid option
    return Primary.at(pool, address)


def _sentinels(address: RedisAddress, settings: dict[str, Any]) -> SentinelPool:
    sentinel_settings = {
        "socket_timeout": SENTINEL_TIMEOUT_SECONDS,
        "socket_connect_timeout": SENTINEL_TIMEOUT_SECONDS,
        "retry": Retry(ExponentialWithJitterBackoff(), 0),
    }
    sentinel_settings |= {"protocol": 3, "driver_info": _DRIVER, **dict(address.sentinel)}
    manager = Sentinel(list(address.hosts), sentinel_kwargs=sentinel_settings)  # type: ignore[no-untyped-call]
    options = settings | dict(address.options)
    return SentinelPool(address.service, manager, ssl=address.tls, **options)  # type: ignore[no-untyped-call]


def _cluster(address: RedisAddress, settings: dict[str, Any]) -> Cluster:
    nodes = [ClusterNode(*each) for each in address.hosts]
    client = Cluster(startup_nodes=nodes, ssl=address.tls, **Cluster.OPTIONS, **settings | dict(address.options))
    client.connection_kwargs["connection_class"] = _awakened(client.connection_kwargs["connection_class"])
    client.address = address
    return client


class _Awake(AbstractConnection):
    """In front of one of redis-py's connections: its limits for an answer and for connecting are those of `awake`.

    The private `_connect` and `_host_error` were verified in redis==8.1.0; tests/core/store/test_awake.py would notice.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._answer_timeout, self.socket_timeout = self.socket_timeout, None

    async def read_response(self, disable_decoding: bool = False, timeout: float | None = None, **options: Any) -> Any:
        """As in the library. The end of a `timeout`, which a subscriber's read has, is no error and counts as ever."""
        try:
            async with awake(self._answer_timeout if timeout is None else None):
                return await super().read_response(disable_decoding, timeout, **options)
        except asyncio.TimeoutError:  # noqa: UP041 - not the library's
            raise TimeoutError(f"Timeout reading from {self._host_error()}") from None

    async def _connect(self) -> None:
        connect = super()._connect  # type: ignore[safe-super]  # it stands in front of a class that has it
        # Connecting to a local socket never waits, and includes the handshake there.
        if isinstance(self, UnixDomainSocketConnection):
            return cast(None, await connect())  # type: ignore[no-untyped-call]
        timeout, self.socket_connect_timeout = self.socket_connect_timeout, None
        try:
            async with awake(timeout):
                await connect()  # type: ignore[no-untyped-call]
        finally:
            self.socket_connect_timeout = timeout  # closing has the same limit


def _awakened(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """This class of connections, with limits that count only while this process runs."""
    return type(kind.__name__, (_Awake, kind), {})


def _once() -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.3), 1, supported_errors=(ConnectionError,))


@asynccontextmanager
async def connection(
    url: str, *, answer_timeout: float = ANSWER_TIMEOUT_SECONDS, connect_timeout: float = CONNECT_TIMEOUT_SECONDS
) -> AsyncIterator[Redis]:
    """A client from `connect`, closed at the end."""
    client = connect(url, answer_timeout=answer_timeout, connect_timeout=connect_timeout)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def guarded(seconds: float = STEP_TIMEOUT_SECONDS, *, measured: bool = True) -> AsyncIterator[None]:
    """Wraps every step in Redis, and nothing else: within `seconds` it is done or raises StoreError.

    Also works as a decorator: `@guarded()`. The library's timeouts are per attempt and add up; this one is the bound.
    `measured`: record the time in the metrics; not for steps that mostly wait for messages from others.
    """
    begun = time.perf_counter()
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        async with awake(seconds):
            yield
        if measured:
            metrics.REDIS_SECONDS.observe(time.perf_counter() - begun)
    except (RedisError, RedisClusterException, OSError) as error:  # OSError includes the built-in TimeoutError
        metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
        # Without the cause: its text may contain what people wrote (see _SENT).
        raise StoreError(detail(error)) from None
    except AttributeError as error:
        if not str(error).startswith(_TORN):
            raise
        raise StoreError("the connection was closed during the call") from None
    finally:
        # redis-py sends through asyncio.wait_for, which before Python 3.12 may swallow a cancellation at the moment
        # it succeeds (python/cpython#86296); the cancelled task would then run on forever.
        if task and task.cancelling() > cancelled:
            raise asyncio.CancelledError


async def ping(client: Redis, seconds: float = STEP_TIMEOUT_SECONDS) -> float:
    """How long the server takes to answer, in seconds. Raises StoreError."""
    begun = time.perf_counter()
    async with guarded(seconds):
        await client.ping()
    return time.perf_counter() - begun


def detail(error: Exception) -> str:
    """The error's message, without what we sent."""
    timeout = isinstance(error, TimeoutError | asyncio.TimeoutError)  # the library's, and our own
    if timeout or str(error).startswith("Timeout reading"):  # the library raises that as a ConnectionError too
        return "no answer in time"
    if isinstance(error, MasterNotFoundError):  # its message lists what each Sentinel said, in redis-py's own terms
        return "no Sentinel names a primary that is up"
    return _SENT.sub("", str(error)) or type(error).__name__
