"""Addresses of Redis: parses a REDIS_URL for one server, Sentinels or a Cluster; opens no connection."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from redis.asyncio.connection import SSLConnection, parse_url

from core.domain.errors import UnusableStore

SENTINEL_PORT, SERVER_PORT = 26379, 6379

SERVER_EXAMPLE = (
    "REDIS_URL is invalid. It must look like redis://user:password@host:6379/0; special characters in the "
    "password must be percent-encoded."
)
SENTINEL_EXAMPLE = (
    "REDIS_URL is invalid. For Sentinel it must look like "
    "redis+sentinel://user:password@host1:26379,host2:26379/service/0; special characters in the password must be "
    "percent-encoded."
)
CLUSTER_EXAMPLE = (
    "REDIS_URL is invalid. For a Cluster it must look like redis+cluster://user:password@host1:6379,host2:6379, "
    "without a database; special characters in the password must be percent-encoded."
)

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\[\]:@/\s]+)(?::(?P<port>\d{1,5}))?")


class RedisKind(StrEnum):
    """What an address leads to."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


# The prefix that everybody uses says the kind; `rediss` says that the servers use TLS.
SCHEMES = {
    "redis": RedisKind.SERVER,
    "rediss": RedisKind.SERVER,
    "unix": RedisKind.SERVER,
    "redis+sentinel": RedisKind.SENTINEL,
    "rediss+sentinel": RedisKind.SENTINEL,
    "redis+cluster": RedisKind.CLUSTER,
    "rediss+cluster": RedisKind.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed address. `hosts`: Sentinels, or some of the Cluster's nodes. `options` and `sentinel`: for redis-py.

    `options` and `sentinel` include credentials; `where` names the address for people without user and password.
    """

    kind: RedisKind
    url: str = field(repr=False)
    where: str
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    tls: bool = False
    options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)
    sentinel: tuple[tuple[str, Any], ...] = field(default=(), repr=False)


def parse(url: str) -> RedisAddress:
    """Parse an address. Raises UnusableStore, which shows how an address must look and quotes no part of this one."""
    scheme, _, rest = url.partition("://")
    kind = SCHEMES.get(scheme.lower())
    if kind is None or "://" not in url:
        *most, last = (f"{each}://" for each in SCHEMES)
        raise UnusableStore(f"REDIS_URL must begin with {', '.join(most)} or {last}.")
    example = {
        RedisKind.SERVER: SERVER_EXAMPLE,
        RedisKind.SENTINEL: SENTINEL_EXAMPLE,
        RedisKind.CLUSTER: CLUSTER_EXAMPLE,
    }[kind]
    try:
        return _server(url) if kind is RedisKind.SERVER else _several(kind, scheme.lower().partition("+")[0], rest)
    except ValueError:
        # Without the cause, which may quote part of the password.
        raise UnusableStore(example) from None


def _server(url: str) -> RedisAddress:
    options: dict[str, Any] = dict(parse_url(url))
    where = str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', SERVER_PORT)}")
    return RedisAddress(RedisKind.SERVER, url, where)


def _several(kind: RedisKind, scheme: str, rest: str) -> RedisAddress:
    """Parse an address with a list of hosts; redis-py gets the first. Raises ValueError."""
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    default = SENTINEL_PORT if kind is RedisKind.SENTINEL else SERVER_PORT
    listed = tuple(_host(each, default) for each in hosts.split(","))
    names = ", ".join(_name(*each) for each in listed)
    service, _, database = path.strip("/").partition("/") if kind is RedisKind.SENTINEL else ("", "", path.strip("/"))
    service = unquote(service)
    if kind is RedisKind.SENTINEL and not service:
        raise ValueError("no service")
    if database and not (kind is RedisKind.SENTINEL and database.isdecimal()):
        raise ValueError("no such database")
    url = f"{scheme}://{login}{at}{_name(*listed[0])}/{database or 0}" + (f"?{query}" if query else "")
    options: dict[str, Any] = dict(parse_url(url))
    tls = options.pop("connection_class", None) is SSLConnection
    for ours in ("host", "port") if kind is RedisKind.SENTINEL else ("host", "port", "db"):
        options.pop(ours, None)
    # Sentinels may have their own user and password, and TLS; they never get those of the servers.
    sentinel = {
        name.removeprefix("sentinel_"): options.pop(name) for name in tuple(options) if name.startswith("sentinel_")
    }
    if sentinel.keys() - {"username", "password", "ssl"}:
        raise ValueError("no such option")
    if "ssl" in sentinel:
        sentinel["ssl"] = str(sentinel["ssl"]).lower() in ("1", "true", "yes")
        if sentinel["ssl"]:
            sentinel |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    where = f"{service} (Sentinel at {names})" if kind is RedisKind.SENTINEL else names
    return RedisAddress(kind, url, where, listed, service, tls, tuple(options.items()), tuple(sentinel.items()))


def _host(text: str, default: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or default) if found else 0
    if not found or not 0 < port < 65_536:
        raise ValueError("no host")
    return found["host"].strip("[]"), port


def _name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
