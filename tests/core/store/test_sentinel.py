"""A real primary with a replica and Sentinel, and primaries that change behind an address: callers continue."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from core.domain.conversation import Author, Conversation, Lane, Place
from core.domain.errors import StoreError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.mailbox import Retention
from core.store.redis.check import check
from core.store.redis.client import SENTINEL_TIMEOUT_SECONDS, connection, guarded
from core.store.turns import Acceptance, Claimed, Queued, Turns
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection
from tests.redis_topologies import LOSS_MS, SERVICE, STALL_MS, Guarded, RedisProcess, guarded_primary, server, until

PLACE = Place("slack", "T1", "C1")
HERE = Conversation(PLACE.name)


@pytest.fixture(autouse=True)
def patient_sentinels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a Sentinel's answer as long as a busy machine takes."""
    monkeypatch.setattr("core.store.redis.client.SENTINEL_TIMEOUT_SECONDS", HANG_SECONDS)


@pytest.fixture(scope="module")
def healthy() -> Iterator[Guarded]:
    """A primary, a replica and a Sentinel, shared by all tests of this file that leave them intact."""
    with guarded_primary() as topology:
        yield topology


def question(number: int) -> Question:
    return Question(
        id=TurnId(f"{HERE}/{number}"), place=PLACE, author=Author("U1", "Ann"), text="why?", message=str(number)
    )


def asks(one: RedisProcess, *command: object) -> object:
    with one.talk() as client:
        answer: object = client.execute_command(*command)  # type: ignore[no-untyped-call]
        return answer


def waiting(one: RedisProcess, turns: Turns) -> object:
    """How many questions of the conversation this server knows."""
    return asks(one, "LLEN", turns.mailboxes.key("q", HERE))


async def accepted(turns: Turns, here: Conversation, asked: Question) -> Acceptance:
    """Queue a question; half a second may be too short for that on a busy machine, and is the only excuse."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                return await turns.accept(Lane(here), asked, "request 1")
            except StoreError as error:
                if str(error) != "no answer in time":
                    raise


async def claimed(turns: Turns) -> Question:
    """The next question, as soon as it can be claimed."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(StoreError):
                if turn := await turns.claim(Lane(HERE)):
                    return turn.question
            await asyncio.sleep(0.05)


@asynccontextmanager
async def door(*ports: int) -> AsyncIterator[tuple[str, list[int]]]:
    """An address that leads to the last of these ports; earlier connections stay on their servers."""
    way: list[int] = list(ports)
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        there, back = await asyncio.open_connection("127.0.0.1", way[-1])
        await asyncio.gather(carry(reader, back), carry(there, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}", way
    finally:
        listener.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_check_names_the_primary(healthy: Guarded) -> None:
    """The address of the Sentinels leads to the server that accepts writes."""
    async with patient_connection(healthy.url) as redis:
        assert (await check(redis)).name in ("Redis", "Valkey")
        assert (await redis.info())["tcp_port"] == healthy.primary.port


async def test_one_sentinel_is_enough(healthy: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Sentinel that is gone and one that hangs only delay the call until the next one answers."""
    monkeypatch.setattr("core.store.redis.client.SENTINEL_TIMEOUT_SECONDS", SENTINEL_TIMEOUT_SECONDS)
    with server() as gone, server() as hung:
        gone.kill()
        os.kill(hung.process.pid, signal.SIGSTOP)
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (gone, hung, *healthy.sentinels))
        async with patient_connection(f"redis+sentinel://{hosts}/{SERVICE}") as redis:
            await check(redis)


async def test_more_callers_than_connections(healthy: Guarded) -> None:
    """Two hundred simultaneous commands share the pool; none fails."""
    async with patient_connection(healthy.url) as redis:
        await redis.delete("n")
        await asyncio.gather(*(redis.incr("n") for _ in range(200)))
        assert await redis.get("n") == b"200"


async def test_databases_are_kept_apart(healthy: Guarded) -> None:
    """The number after the service chooses the database."""
    async with (
        patient_connection(healthy.url) as redis,
        patient_connection(healthy.url.removesuffix("0") + "1") as other,
    ):
        await redis.set("where", "0")
        assert await other.get("where") is None


async def test_check_says_that_the_service_is_unknown(healthy: Guarded) -> None:
    """A misspelt service gives a sentence with the existing names."""
    async with patient_connection(healthy.url.replace(SERVICE, "nebla")) as redis:
        with pytest.raises(StoreError, match=rf"no service nebla, only {SERVICE}"):
            await check(redis)


async def test_check_says_that_no_sentinel_answers() -> None:
    """Unreachable Sentinels give a sentence with their addresses and without the password."""
    with server() as gone:
        gone.kill()
        async with patient_connection(f"redis+sentinel://bot:hunter2@127.0.0.1:{gone.port}/{SERVICE}") as redis:
            with pytest.raises(StoreError, match=rf"Can't reach any Sentinel at 127\.0\.0\.1:{gone.port} ") as caught:
                await check(redis)
    assert "hunter2" not in str(caught.value)


async def test_check_says_that_it_is_no_sentinel(healthy: Guarded) -> None:
    """A server's port instead of its Sentinel's is recognised."""
    async with patient_connection(f"redis+sentinel://127.0.0.1:{healthy.primary.port}/{SERVICE}") as redis:
        with pytest.raises(StoreError, match="There is no Sentinel"):
            await check(redis)


async def test_check_says_that_it_is_a_sentinel(healthy: Guarded) -> None:
    """A Sentinel's port instead of its server's is recognised."""
    async with patient_connection(f"redis://127.0.0.1:{healthy.sentinels[0].port}") as redis:
        with pytest.raises(StoreError, match=r"There is a Sentinel.*redis\+sentinel://"):
            await check(redis)


async def test_check_refuses_a_replica(healthy: Guarded) -> None:
    """The bot can't write to the replica's own address."""
    async with patient_connection(f"redis://127.0.0.1:{healthy.replica.port}") as redis:
        with pytest.raises(StoreError, match="is a replica"):
            await check(redis)


async def test_user_and_password_are_the_servers() -> None:
    """Sentinels without a password get none; one with a password gets its own."""
    for secret, more in (("", ""), ("wall", "?sentinel_password=wall")):
        with guarded_primary(password="right", sentinel_password=secret) as topology:
            url = topology.url.replace("://", "://:right@") + more
            async with patient_connection(url) as redis:
                await check(redis)


async def test_check_says_that_sentinels_want_a_password() -> None:
    """The sentence names a Sentinel that needs its own password, and says how to give it."""
    with guarded_primary(sentinel_password="wall") as topology:
        async with patient_connection(topology.url) as redis:
            with pytest.raises(StoreError, match=r"Sentinels at .* reject .*sentinel_password"):
                await check(redis)


async def test_queued_question_survives_a_failover() -> None:
    """When the primary is killed, the replica takes over, and the same client claims the queued question there."""
    with guarded_primary() as topology:
        async with patient_connection(topology.url) as redis:
            turns = Turns(redis, Retention(lease=0.5))
            assert isinstance(await turns.accept(Lane(HERE), question(1), "request 1"), Claimed)
            assert isinstance(await turns.accept(Lane(HERE), question(2), "request 2"), Queued)
            await until(lambda: waiting(topology.replica, turns) == 2)
            topology.lose_after(LOSS_MS)
            topology.primary.kill()
            assert await claimed(turns) == question(1)
            assert await turns.waiting(HERE) == 2
            assert (await redis.info())["tcp_port"] == topology.replica.port


async def test_hung_primary_is_abandoned() -> None:
    """A hanging primary is replaced; when it resumes it is a replica, and nobody is still connected to it."""
    with guarded_primary() as topology:
        async with connection(topology.url, answer_timeout=0.5, connect_timeout=0.3) as redis:
            turns = Turns(redis, Retention(lease=0.5))
            await asyncio.gather(*(accepted(turns, HERE, question(1)) for _ in range(20)))
            await until(lambda: waiting(topology.replica, turns) == 1)
            topology.lose_after(LOSS_MS)
            os.kill(topology.primary.process.pid, signal.SIGSTOP)
            try:
                assert await claimed(turns) == question(1)
                topology.lose_after(STALL_MS)
            finally:
                os.kill(topology.primary.process.pid, signal.SIGCONT)
            await until(lambda: asks(topology.primary, "ROLE")[0] == "slave")  # type: ignore[index]
            turns = Turns(redis, Retention(lease=3600))  # a claim whose answer came too late is still one
            for number in range(100, 120):
                there = Conversation(f"{HERE}/{number}")
                assert isinstance(await accepted(turns, there, question(number)), Claimed)


async def test_stop_is_heard_after_a_failover() -> None:
    """A process that listened on the lost primary listens on its successor."""
    heard: list[str] = []
    with guarded_primary() as topology:
        async with patient_connection(topology.url) as redis, asyncio.TaskGroup() as group:
            listening = group.create_task(Turns(redis).signals.listen(heard.append, lambda _: None, lambda _: None))
            await until(lambda: topology.primary.listeners("nb:stop"))
            topology.lose_after(LOSS_MS)
            topology.primary.kill()
            await until(lambda: topology.replica.listeners("nb:stop"))
            asks(topology.replica, "PUBLISH", "nb:stop", "this turn")
            await until(lambda: heard)
            listening.cancel()
    assert heard == ["this turn"]


async def test_demoted_server_behind_one_address_is_abandoned() -> None:
    """If the server became a replica during our connection, we leave it at its first refusal, and the call succeeds."""
    with server() as old, server() as new:
        async with door(old.port) as (url, way), patient_connection(url) as redis:
            turns = Turns(redis)
            assert isinstance(await turns.accept(Lane(HERE), question(1), "request 1"), Claimed)
            await asyncio.gather(*(redis.incr("n") for _ in range(20)))
            asks(old, "REPLICAOF", "127.0.0.1", new.port)
            way.append(new.port)
            assert isinstance(await turns.accept(Lane(HERE), question(2), "request 2"), Claimed)
            await asyncio.gather(*(redis.incr("m") for _ in range(20)))
        assert asks(new, "GET", "m") == "20"


async def test_demoted_server_alone_is_an_error() -> None:
    """Without a successor the refusal is an error at once."""
    with server() as old:
        async with patient_connection(f"redis://127.0.0.1:{old.port}") as redis:
            await redis.ping()
            asks(old, "REPLICAOF", "127.0.0.1", 1)
            with pytest.raises(StoreError, match="read only replica"):
                async with guarded():
                    await redis.incr("n")
