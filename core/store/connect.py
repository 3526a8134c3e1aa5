"""The connection to Redis: settings that keep a slow or lost server bounded in time, and errors in one sentence."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError, TimeoutError

from core import metrics
from core.errors import StoreError

OLDEST = (6, 2)
CONNECTIONS = 20  # per process; a caller waits for a free one instead of failing
ANSWER = 2.0  # seconds for one answer of the server, and for a free connection
DIAL = 1.0  # seconds to open a connection
CALL = 2.5  # seconds for a whole step: waiting, connecting, retrying and answering together

# redis-py repeats what was sent in these two messages; that may be what people wrote, which belongs into no log.
_SENT = re.compile(r"\(.*\)(?= of pipeline)|, with args beginning with.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server we talk to. `warnings` are sentences for whoever runs the bot."""

    name: str  # "Redis" or "Valkey"
    version: str
    warnings: tuple[str, ...] = ()


def connect(url: str, *, answer: float = ANSWER, dial: float = DIAL) -> Redis:
    """A client for redis://, rediss:// or unix://; opens nothing yet, and answers are bytes. Close it with `aclose`.

    `answer` and `dial` are seconds. Only a lost connection is retried, once, and never a timeout: a command that timed
    out may have been applied (https://github.com/redis/redis-py/issues/977). With the library's defaults a server that
    hangs holds a caller for minutes. Raises StoreError when the address makes no sense.
    """
    # The place to tell kinds of server apart: Sentinel and Cluster addresses will get their own client here.
    scheme = url.partition("://")[0].lower()
    if scheme not in ("redis", "rediss", "unix"):
        raise StoreError("REDIS_URL must begin with redis://, rediss:// or unix://.")
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=answer,
            socket_timeout=answer,
            socket_connect_timeout=dial,
            # An idle network connection may be dead without a sign; a local socket can't. There the check would also
            # reconnect without end when the handshake is refused: redis-py 8.1 pings before it says who it is.
            health_check_interval=0 if scheme == "unix" else 15,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.3), 1, supported_errors=(ConnectionError,)),
            protocol=3,
        )
    except ValueError:
        # Without the cause, which may quote a part of the password.
        raise StoreError(
            "REDIS_URL can't be read. It looks like redis://user:password@host:6379/0; special characters in the "
            "password must be percent-encoded."
        ) from None
    return Redis.from_pool(pool)


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
    except (RedisError, OSError) as error:  # OSError holds the built-in TimeoutError
        metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
        # Without the cause: its text may hold what people wrote (see _SENT).
        raise StoreError(_detail(error)) from None
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


async def check(client: Redis, *, seconds: float = CALL) -> ServerInfo:
    """Ask the server who it is. Raises StoreError, saying what to do, when it can't be used."""
    where = _where(client)
    try:
        async with asyncio.timeout(seconds):
            await client.ping()  # INFO is answered while the data is still being loaded, PING is not
            info: dict[str, Any] = await client.info()
    except (RedisError, OSError) as error:
        raise StoreError(_advice(error, where)) from None
    version = str(info.get("redis_version", "0"))  # Valkey tells here which Redis it is compatible with
    if _number(version) < OLDEST:
        raise StoreError(_too_old(where, version))
    if info.get("role") == "slave":
        raise StoreError(f"Redis at {where} is a replica, which takes no writes: let REDIS_URL name the primary.")
    policy = info.get("maxmemory_policy", "noeviction")
    warnings = () if policy == "noeviction" else (_evicts(where, policy),)
    if "valkey_version" in info:
        return ServerInfo("Valkey", str(info["valkey_version"]), warnings)
    return ServerInfo("Redis", version, warnings)


def _where(client: Redis) -> str:
    """The server's address without user and password."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def _advice(error: Exception, where: str) -> str:
    cause = error.__cause__ or error  # over a unix socket redis-py wraps a failed handshake in a ConnectionError
    detail = _detail(error)
    if isinstance(cause, AuthenticationError):
        return f"Redis at {where} refuses the user or password ({detail}): correct them in REDIS_URL."
    if isinstance(cause, ResponseError) and "HELLO" in str(cause):
        return _too_old(where, "before 6.0")
    if isinstance(cause, ResponseError):
        return f"Redis at {where} refuses a command that the bot needs: {detail}"
    return f"Redis at {where} can't be reached ({detail}): is it running, and is REDIS_URL right?"


def _too_old(where: str, version: str) -> str:
    return f"Redis at {where} is too old ({version}): the bot needs Redis 6.2 or newer, or Valkey."


def _evicts(where: str, policy: str) -> str:
    return (
        f"Redis at {where} throws data away when its memory is full (maxmemory-policy {policy}), and questions and "
        "histories with it: set maxmemory-policy to noeviction."
    )


def _detail(error: Exception) -> str:
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer in time"
    return _SENT.sub("", str(error)) or type(error).__name__


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
