"""Addresses of Redis: what REDIS_URL says of one server, of Sentinels or of a Cluster; opens nothing."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from redis.asyncio.connection import SSLConnection, parse_url

from core.domain.errors import StoreError

SENTINEL_PORT, SERVER_PORT = 26379, 6379

LOOKS = (
    "REDIS_URL can't be read. It looks like redis://user:password@host:6379/0; special characters in the "
    "password must be percent-encoded."
)
SENTINEL_LOOKS = (
    "REDIS_URL can't be read. For Sentinel it looks like "
    "redis+sentinel://user:password@host1:26379,host2:26379/service/0; special characters in the password must be "
    "percent-encoded."
)
CLUSTER_LOOKS = (
    "REDIS_URL can't be read. For a Cluster it looks like redis+cluster://user:password@host1:6379,host2:6379, "
    "without a database; special characters in the password must be percent-encoded."
)

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\[\]:@/\s]+)(?::(?P<port>\d{1,5}))?")


class Kind(StrEnum):
    """What stands behind an address."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


# Everybody's prefix says the kind, `rediss` that the servers are spoken to over TLS.
SCHEMES = {
    "redis": Kind.SERVER,
    "rediss": Kind.SERVER,
    "unix": Kind.SERVER,
    "redis+sentinel": Kind.SENTINEL,
    "rediss+sentinel": Kind.SENTINEL,
    "redis+cluster": Kind.CLUSTER,
    "rediss+cluster": Kind.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class Address:
    """`hosts`: Sentinels, or some nodes of the Cluster. `options` and `sentinel` are redis-py's, credentials included.

    `where` names it for people, without user and password.
    """

    kind: Kind
    url: str = field(repr=False)
    where: str
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    tls: bool = False
    options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)
    sentinel: tuple[tuple[str, Any], ...] = field(default=(), repr=False)


def parse(url: str) -> Address:
    """Read an address. Raises StoreError, which says how it looks and quotes nothing of it."""
    scheme, _, rest = url.partition("://")
    kind = SCHEMES.get(scheme.lower())
    if kind is None or "://" not in url:
        *most, last = (f"{each}://" for each in SCHEMES)
        raise StoreError(f"REDIS_URL must begin with {', '.join(most)} or {last}.")
    looks = {Kind.SERVER: LOOKS, Kind.SENTINEL: SENTINEL_LOOKS, Kind.CLUSTER: CLUSTER_LOOKS}[kind]
    try:
        return _server(url) if kind is Kind.SERVER else _several(kind, scheme.lower().partition("+")[0], rest)
    except ValueError:
        # Without the cause, which may quote a part of the password.
        raise StoreError(looks) from None


def _server(url: str) -> Address:
    options: dict[str, Any] = dict(parse_url(url))
    where = str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', SERVER_PORT)}")
    return Address(Kind.SERVER, url, where)


def _several(kind: Kind, scheme: str, rest: str) -> Address:
    """An address with a list of hosts, of which redis-py is told the first. Raises ValueError."""
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    default = SENTINEL_PORT if kind is Kind.SENTINEL else SERVER_PORT
    listed = tuple(_host(each, default) for each in hosts.split(","))
    names = ", ".join(_name(*each) for each in listed)
    service, _, database = path.strip("/").partition("/") if kind is Kind.SENTINEL else ("", "", path.strip("/"))
    service = unquote(service)
    if kind is Kind.SENTINEL and not service:
        raise ValueError("no service")
    if database and not (kind is Kind.SENTINEL and database.isdecimal()):
        raise ValueError("no such database")
    url = f"{scheme}://{login}{at}{_name(*listed[0])}/{database or 0}" + (f"?{query}" if query else "")
    options: dict[str, Any] = dict(parse_url(url))
    tls = options.pop("connection_class", None) is SSLConnection
    for ours in ("host", "port") if kind is Kind.SENTINEL else ("host", "port", "db"):
        options.pop(ours, None)
    # Sentinels may have a user and password of their own, and TLS; they never get those of the servers.
    sentinel = {
        name.removeprefix("sentinel_"): options.pop(name) for name in tuple(options) if name.startswith("sentinel_")
    }
    if sentinel.keys() - {"username", "password", "ssl"}:
        raise ValueError("no such option")
    if "ssl" in sentinel:
        sentinel["ssl"] = str(sentinel["ssl"]).lower() in ("1", "true", "yes")
        if sentinel["ssl"]:
            sentinel |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    where = f"{service} (Sentinel at {names})" if kind is Kind.SENTINEL else names
    return Address(kind, url, where, listed, service, tls, tuple(options.items()), tuple(sentinel.items()))


def _host(text: str, default: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or default) if found else 0
    if not found or not 0 < port < 65_536:
        raise ValueError("no host")
    return found["host"].strip("[]"), port


def _name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
