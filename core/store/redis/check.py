"""A look at Redis before it is used: what answers there, and in one sentence what is wrong with it."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisClusterException, RedisError, ResponseError

from core.domain.errors import StoreError
from core.store.redis.client import CALL, detail
from core.store.redis.cluster import SLOTS, Cluster
from core.store.redis.primary import Primary, SentinelPool
from core.store.redis.url import Address, Kind

OLDEST = (6, 2)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server we talk to; of a Cluster's `nodes` the oldest. `warnings` are sentences for whoever runs the bot."""

    name: str  # "Redis" or "Valkey"
    version: str
    warnings: tuple[str, ...] = ()
    nodes: int = 1


async def check(client: Redis, *, seconds: float = CALL) -> ServerInfo:
    """Ask the server who it is. Raises StoreError, saying what to do, when it can't be used."""
    kind = cast(Primary | Cluster, client)
    address = kind.address
    try:
        async with asyncio.timeout(seconds):
            infos = await _cluster(kind) if isinstance(kind, Cluster) else [await _server(kind)]
    except (RedisError, RedisClusterException, OSError) as error:
        if address.kind is Kind.SENTINEL and (wrong := await _sentinels(client, address)):
            raise StoreError(wrong) from None
        raise StoreError(_advice(error, address)) from None
    # One of another version or with other settings may take over any slot.
    found = [_info(info, address) for info in infos]
    oldest = min(found, key=lambda each: _number(each.version))
    warnings = tuple(dict.fromkeys(text for each in found for text in each.warnings))
    return ServerInfo(oldest.name, oldest.version, warnings, len(found))


async def _server(client: Redis) -> dict[str, Any]:
    await client.ping()  # INFO is answered while the data is still being loaded, PING is not
    info: dict[str, Any] = await client.info()
    return info


async def _cluster(client: Cluster) -> list[dict[str, Any]]:
    """What each primary says of itself. Raises StoreError when there are slots without one."""
    await client.initialize()
    served = len(client.nodes_manager.slots_cache)
    if served < SLOTS:
        raise StoreError(
            f"The Redis Cluster at {client.address.where} serves only {served} of {SLOTS} slots: give all slots to "
            "nodes, or wait until it is mended (CLUSTER INFO)."
        )
    nodes = client.get_primaries()
    return list(await asyncio.gather(*(_node(client, node) for node in nodes)))


async def _node(client: Cluster, node: Any) -> dict[str, Any]:
    await client.execute_command("PING", target_nodes=node)
    info: dict[str, Any] = await client.execute_command("INFO", target_nodes=node)
    return info


async def _sentinels(client: Redis, address: Address) -> str | None:
    """What is wrong with the Sentinels, or with what they know; None if that is all right."""
    manager = cast(SentinelPool, client.connection_pool).sentinel_manager
    answers = await asyncio.gather(*(each.sentinel_masters() for each in manager.sentinels), return_exceptions=True)
    hosts = address.where.partition("(Sentinel at ")[2].removesuffix(")")
    known = [answer for answer in answers if isinstance(answer, dict)]
    if not known:
        first = next(answer for answer in answers if isinstance(answer, Exception))
        if isinstance(first, AuthenticationError):
            return (
                f"The Sentinels at {hosts} refuse the user or password ({detail(first)}): give theirs in REDIS_URL, as "
                "?sentinel_username=…&sentinel_password=…"
            )
        if isinstance(first, ResponseError):
            return (
                f"At {hosts} there is no Sentinel ({detail(first)}): REDIS_URL must name the Sentinels' port, or begin "
                "with redis://."
            )
        return f"No Sentinel at {hosts} can be reached ({detail(first)}): are they running, and is REDIS_URL right?"
    names = sorted({name for answer in known for name in answer})
    if address.service not in names:
        return (
            f"The Sentinels at {hosts} know no service {address.service}, only {', '.join(names) or 'none'}: correct "
            "the name after the hosts in REDIS_URL."
        )
    states = [answer[address.service] for answer in known if address.service in answer]
    if all(state["is_sdown"] or state["is_odown"] for state in states):
        return (
            f"The Sentinels at {hosts} know the primary of {address.service} to be down: start it, or wait for a "
            "failover."
        )
    return None


def _info(info: dict[str, Any], address: Address) -> ServerInfo:
    """Raises StoreError when a server that says this can't be used."""
    where = address.where
    version = str(info.get("redis_version", "0"))  # Valkey tells here which Redis it is compatible with
    if _number(version) < OLDEST:
        raise StoreError(_too_old(where, version))
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
        raise StoreError(
            f"At {where} there is a Sentinel: let REDIS_URL begin with redis+sentinel:// and end with the service."
        )
    if info.get("cluster_enabled") and address.kind is not Kind.CLUSTER:
        raise StoreError(f"Redis at {where} is a node of a Cluster: let REDIS_URL begin with redis+cluster://.")
    if info.get("role") == "slave":
        raise StoreError(f"Redis at {where} is a replica, which takes no writes: let REDIS_URL name the primary.")
    policy = info.get("maxmemory_policy", "noeviction")
    warnings = () if policy == "noeviction" else (_evicts(where, policy),)
    if "valkey_version" in info:
        return ServerInfo("Valkey", str(info["valkey_version"]), warnings)
    return ServerInfo("Redis", version, warnings)


def _advice(error: Exception, address: Address) -> str:
    where = address.where
    cause = error.__cause__ or error  # over a unix socket redis-py wraps a failed handshake in a ConnectionError
    said = detail(error)
    if "Cluster mode is not enabled" in said or "Cluster mode is not enabled" in str(cause):
        return f"Redis at {where} is no Cluster: let REDIS_URL begin with redis://."
    if isinstance(cause, AuthenticationError):
        return f"Redis at {where} refuses the user or password ({said}): correct them in REDIS_URL."
    if isinstance(cause, ResponseError) and "HELLO" in str(cause):
        return _too_old(where, "before 6.0")
    if isinstance(cause, ResponseError):
        return f"Redis at {where} refuses a command that the bot needs: {said}"
    return f"Redis at {where} can't be reached ({said}): is it running, and is REDIS_URL right?"


def _too_old(where: str, version: str) -> str:
    return f"Redis at {where} is too old ({version}): the bot needs Redis 6.2 or newer, or Valkey."


def _evicts(where: str, policy: str) -> str:
    return (
        f"Redis at {where} throws data away when its memory is full (maxmemory-policy {policy}), and questions and "
        "histories with it: set maxmemory-policy to noeviction."
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
