"""Checks Redis before the bot uses it: what answers there, and in one sentence what is wrong with it."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisClusterException, RedisError, ResponseError

from core.awake import awake
from core.domain.errors import StoreError, UnusableStore
from core.store.redis.client import STEP_TIMEOUT_SECONDS, detail
from core.store.redis.cluster import SLOTS, Cluster
from core.store.redis.primary import Primary, SentinelPool
from core.store.redis.url import RedisAddress, RedisKind

OLDEST_VERSION = (6, 2)
NOEVICTION = "noeviction"
# What INFO says of the disk (redis.io/docs/latest/commands/info, Persistence).
_WRITES = {
    "aof_last_write_status": "the append-only file",
    "aof_last_bgrewrite_status": "a new append-only file",
    "rdb_last_bgsave_status": "a snapshot",
}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server we talk to; for a Cluster the oldest of its `nodes`. `warnings` are sentences for the operator.

    `policy`: what it does when its memory is full. `appends`: it keeps an append-only file. `failing`: a sentence about
    what it could not write to its disk, "" if nothing. `used`: the part of its memory's limit that is used, 0 for none.
    For a Cluster, each is that of the worst node.
    """

    name: str  # "Redis" or "Valkey"
    version: str
    warnings: tuple[str, ...] = ()
    nodes: int = 1
    policy: str = ""
    appends: bool = False
    failing: str = ""
    used: float = 0.0

    @property
    def keeps(self) -> str:
        """In words, what it keeps on its disk."""
        return "append-only file" if self.appends else "no append-only file"


async def check(client: Redis, *, seconds: float = STEP_TIMEOUT_SECONDS) -> ServerInfo:
    """Ask the server what it is. If the bot can't use it, raises StoreError, which says what to do."""
    kind = cast(Primary | Cluster, client)
    address = kind.address
    try:
        async with awake(seconds):
            infos = await _cluster(kind) if isinstance(kind, Cluster) else [await _server(kind)]
    except (RedisError, RedisClusterException, OSError) as error:
        if address.kind is RedisKind.SENTINEL and (wrong := await _sentinels(client, address)):
            raise wrong from None
        raise _advice(error, address) from None
    # A node with another version or other settings may take over any slot.
    found = [_info(info, address) for info in infos]
    oldest = min(found, key=lambda each: _number(each.version))
    warnings = tuple(dict.fromkeys(text for each in found for text in each.warnings))
    return ServerInfo(
        oldest.name,
        oldest.version,
        warnings,
        len(found),
        next((each.policy for each in found if each.policy != NOEVICTION), NOEVICTION),
        all(each.appends for each in found),
        next((each.failing for each in found if each.failing), ""),
        max(each.used for each in found),
    )


async def _server(client: Redis) -> dict[str, Any]:
    await client.ping()  # unlike INFO, the server does not answer PING while it is still loading its data
    info: dict[str, Any] = await client.info()
    return info


async def _cluster(client: Cluster) -> list[dict[str, Any]]:
    """What each primary says about itself. Raises StoreError if a slot has no primary."""
    await client.initialize()
    served = client.served_slots()
    if served < SLOTS:
        raise StoreError(
            f"The Redis Cluster at {client.address.where} serves only {served} of {SLOTS} slots: assign all slots "
            "to nodes, or wait until it has recovered (see CLUSTER INFO)."
        )
    nodes = client.get_primaries()
    return list(await asyncio.gather(*(_node(client, node) for node in nodes)))


async def _node(client: Cluster, node: Any) -> dict[str, Any]:
    await client.execute_command("PING", target_nodes=node)
    info: dict[str, Any] = await client.execute_command("INFO", target_nodes=node)
    return info


async def _sentinels(client: Redis, address: RedisAddress) -> StoreError | None:
    """What is wrong with the Sentinels or with what they know; None if nothing is."""
    manager = cast(SentinelPool, client.connection_pool).sentinel_manager
    answers = await asyncio.gather(*(each.sentinel_masters() for each in manager.sentinels), return_exceptions=True)
    hosts = address.where.partition("(Sentinel at ")[2].removesuffix(")")
    known = [answer for answer in answers if isinstance(answer, dict)]
    if not known:
        first = next(answer for answer in answers if isinstance(answer, Exception))
        if isinstance(first, AuthenticationError):
            return UnusableStore(
                f"The Sentinels at {hosts} reject the user or password ({detail(first)}): add theirs to REDIS_URL as "
                "?sentinel_username=…&sentinel_password=…"
            )
        if isinstance(first, ResponseError):
            return UnusableStore(
                f"There is no Sentinel at {hosts} ({detail(first)}): use the Sentinels' port in REDIS_URL, or begin it "
                "with redis://."
            )
        return StoreError(
            f"Can't reach any Sentinel at {hosts} ({detail(first)}): are they running, and is REDIS_URL correct?"
        )
    names = sorted({name for answer in known for name in answer})
    if address.service not in names:
        return UnusableStore(
            f"The Sentinels at {hosts} know no service {address.service}, only {', '.join(names) or 'none'}: correct "
            "the name after the hosts in REDIS_URL."
        )
    states = [answer[address.service] for answer in known if address.service in answer]
    if all(state["is_sdown"] or state["is_odown"] for state in states):
        return StoreError(
            f"The Sentinels at {hosts} report that the primary of {address.service} is down: start it, or wait for a "
            "failover."
        )
    return None


def _info(info: dict[str, Any], address: RedisAddress) -> ServerInfo:
    """What the server says about itself. Raises StoreError if the bot can't use it."""
    where = address.where
    version = str(info.get("redis_version", "0"))  # for Valkey, the version of Redis that it is compatible with
    if _number(version) < OLDEST_VERSION:
        raise _too_old(where, version)
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
        raise UnusableStore(
            f"There is a Sentinel at {where}: begin REDIS_URL with redis+sentinel:// and end it with the service."
        )
    if info.get("cluster_enabled") and address.kind is not RedisKind.CLUSTER:
        raise UnusableStore(f"Redis at {where} is a node of a Cluster: begin REDIS_URL with redis+cluster://.")
    if info.get("role") == "slave":
        raise StoreError(f"Redis at {where} is a replica, which accepts no writes: put the primary into REDIS_URL.")
    policy = str(info.get("maxmemory_policy", NOEVICTION))
    warnings = () if policy == NOEVICTION else (_evicts(where, policy),)
    valkey = str(info.get("valkey_version", ""))
    most = float(info.get("maxmemory", 0))
    return ServerInfo(
        "Valkey" if valkey else "Redis",
        valkey or version,
        warnings,
        policy=policy,
        appends=bool(info.get("aof_enabled")),
        failing=next((f"it could not write {what}" for name, what in _WRITES.items() if info.get(name) == "err"), ""),
        used=float(info.get("used_memory", 0)) / most if most else 0.0,
    )


def _advice(error: Exception, address: RedisAddress) -> StoreError:
    where = address.where
    cause = error.__cause__ or error  # over a unix socket redis-py wraps a failed handshake in a ConnectionError
    said = detail(error)
    if "Cluster mode is not enabled" in said or "Cluster mode is not enabled" in str(cause):
        return UnusableStore(f"Redis at {where} is not a Cluster: begin REDIS_URL with redis://.")
    if isinstance(cause, AuthenticationError):
        return UnusableStore(f"Redis at {where} rejects the user or password ({said}): correct them in REDIS_URL.")
    if isinstance(cause, ResponseError) and "HELLO" in str(cause):
        return _too_old(where, "before 6.0")
    if isinstance(cause, ResponseError):
        return StoreError(f"Redis at {where} refuses a command that the bot needs ({said}): let its user give it.")
    # Whoever expects no TLS waits for the rest of a command, and says nothing.
    tls = " does it speak TLS, which rediss:// asks for," if address.url.lower().startswith("rediss") else ""
    return StoreError(f"Can't reach Redis at {where} ({said}): is it running,{tls} and is REDIS_URL correct?")


def _too_old(where: str, version: str) -> UnusableStore:
    return UnusableStore(f"Redis at {where} is too old ({version}): the bot needs Redis 6.2 or newer, or Valkey.")


def _evicts(where: str, policy: str) -> str:
    return (
        f"Redis at {where} deletes data when its memory is full (maxmemory-policy {policy}), including questions and "
        "histories: set maxmemory-policy to noeviction."
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
