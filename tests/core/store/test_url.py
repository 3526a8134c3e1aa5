"""Addresses of Redis: the meaning of each form; the error for an invalid one quotes no part of it."""

import pytest
from redis.asyncio.connection import SSLConnection

from core.domain.errors import StoreError
from core.store.redis.client import connect
from core.store.redis.url import SCHEMES, RedisKind, parse


def test_sentinels() -> None:
    """Hosts with and without port, the service, the database, and which password belongs to what."""
    found = parse("redis+sentinel://bot:p%40ss@one:26380,[::1],three/main/2?sentinel_password=wall")
    assert found.kind is RedisKind.SENTINEL
    assert found.hosts == (("one", 26380), ("::1", 26379), ("three", 26379))
    assert (found.service, found.tls) == ("main", False)
    assert dict(found.options) == {"username": "bot", "password": "p@ss", "db": 2}
    assert dict(found.sentinel) == {"password": "wall"}
    assert "p@ss" not in repr(found)
    assert "p%40ss" not in repr(found)
    assert found.where == "main (Sentinel at one:26380, [::1]:26379, three:26379)"


def test_cluster() -> None:
    """Hosts and credentials; over TLS with rediss, and with redis-py's own options."""
    found = parse("rediss+cluster://:secret@one:7000,two?ssl_ca_certs=/ca.pem")
    assert found.kind is RedisKind.CLUSTER
    assert found.hosts == (("one", 7000), ("two", 6379))
    assert found.tls
    assert dict(found.options) == {"password": "secret", "ssl_ca_certs": "/ca.pem"}
    assert found.where == "one:7000, two:6379"


def test_sentinels_over_tls() -> None:
    """Connections to Sentinels use no TLS unless asked for; then they use the same certificate authority."""
    url = "rediss+sentinel://one/main?ssl_ca_certs=/ca.pem"
    assert parse(url).tls
    assert dict(parse(url).sentinel) == {}
    assert issubclass(connect(url).connection_pool.connection_class, SSLConnection)
    assert dict(parse(url + "&sentinel_ssl=true").sentinel) == {"ssl": True, "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize(
    ("url", "looks"),
    [
        ("redis://:hunter2/x@host:6379", "redis://user:password@host"),
        ("redis+sentinel://:hunter2@one:26379", "/service/0"),
        ("redis+sentinel://:hunter2@one:26379/", "/service/0"),
        ("redis+sentinel://:hunter2@one:26379/main/two", "/service/0"),
        ("redis+sentinel://:hunter2@one:26379,/main", "/service/0"),
        ("redis+sentinel://:hunter2@one:99999/main", "/service/0"),
        ("redis+sentinel://:hunter2/x@one:26379/main", "/service/0"),
        ("redis+cluster://:hunter2@one:7000;two:7001", "without a database"),
        ("redis+cluster://:hunter2@one:7000/1", "without a database"),
        ("redis+cluster://", "without a database"),
    ],
)
def test_invalid_address_gets_an_example(url: str, looks: str) -> None:
    """The sentence has an example of the same kind and no part of the password."""
    with pytest.raises(StoreError, match="REDIS_URL") as caught:
        parse(url)
    assert looks in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url", ["redis://host?sentinels=1", "redis+sentinel://host/main?x=1", "redis+cluster://host?x=1"]
)
def test_unknown_option_is_refused(url: str) -> None:
    """An option that redis-py does not have is an error at the start, not at the first question."""
    with pytest.raises(StoreError, match="option"):
        connect(url)


def test_unknown_scheme_gets_a_list_of_schemes() -> None:
    """The sentence names all schemes."""
    with pytest.raises(StoreError) as caught:
        parse("http://localhost")
    assert all(f"{scheme}://" in str(caught.value) for scheme in SCHEMES)
