"""The connection to Redis: what it supports, how it fails, and how soon."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.store.redis.check import check
from core.store.redis.client import connect, connection, guarded
from core.store.redis.embedded import bound, find_server
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection, up


@contextmanager
def process(folder: str, *settings: str) -> Iterator[int]:
    """A server process with these settings on the unix socket `s` in the folder; yields its pid."""
    command = [str(find_server()), "--port", "0", "--unixsocket", "s", "--dir", folder, "--save", "", *settings]
    with Path(folder, "log").open("wb") as log, subprocess.Popen(bound(command), stdout=log, stderr=log) as child:
        try:
            yield child.pid
        finally:
            child.kill()


@asynccontextmanager
async def server(*settings: str) -> AsyncIterator[tuple[str, int]]:
    """A private server with these settings, once it listens; yields its address and pid."""
    with TemporaryDirectory(prefix="nb-") as folder, process(folder, *settings) as pid:
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(f"{folder}/s")
                    break
                await asyncio.sleep(0.01)
        writer.close()
        yield f"unix://{folder}/s", pid


@asynccontextmanager
async def wire(answers: dict[bytes, bytes]) -> AsyncIterator[str]:
    """A server that answers these commands with these bytes and all others with OK; yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                parts = []
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    parts.append((await reader.readexactly(size + 2))[:-2])
                writer.write(answers.get(parts[0].upper(), b"+OK\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0"


def info(text: str) -> dict[bytes, bytes]:
    """A server with protocol 3 that reports this about itself."""
    body = text.replace("\n", "\r\n").encode()
    return {
        b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
        b"PING": b"+PONG\r\n",
        b"INFO": b"$%d\r\n%s\r\n" % (len(body), body),
    }


async def test_check_names_the_server(redis_client: Redis) -> None:
    """A good server is reported with its version and without warnings."""
    found = await check(redis_client)
    assert found.name in ("Redis", "Valkey")
    assert int(found.version.split(".")[0]) >= 6
    assert found.warnings == ()


async def test_check_warns_of_eviction() -> None:
    """A server that evicts keys when full is usable, with a warning that says what to set."""
    async with server("--maxmemory-policy", "allkeys-lru") as (url, _), patient_connection(url) as client:
        (warning,) = (await check(client)).warnings
    assert "allkeys-lru" in warning
    assert "noeviction" in warning


async def test_check_says_where_nothing_listens() -> None:
    """A port without a server gives a sentence with the address and without the password."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
    async with connection(f"redis://bot:hunter2@127.0.0.1:{port}/0") as client:
        with pytest.raises(StoreError, match=rf"Can't reach Redis at 127\.0\.0\.1:{port} .*is it running") as caught:
            await check(client)
    assert "hunter2" not in str(caught.value)


async def test_check_says_that_a_server_may_not_speak_tls() -> None:
    """A plain Redis waits for the rest of what it takes for a command, and says nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with connection(f"rediss://127.0.0.1:{port}/0", connect_timeout=0.05) as client:
            with pytest.raises(StoreError, match=r"does it speak TLS, which rediss:// asks for, and is REDIS_URL"):
                await check(client)


@pytest.mark.parametrize("user", ["", ":wr0ng@"])
async def test_check_says_that_the_password_is_refused(user: str) -> None:
    """A missing or wrong password gives a sentence that points to REDIS_URL and quotes no part of it."""
    async with server("--requirepass", "right") as (url, _), patient_connection(f"unix://{user}{url[7:]}") as client:
        with pytest.raises(StoreError, match=r"rejects the user or password .*REDIS_URL") as caught:
            await check(client)
    assert "wr0ng" not in str(caught.value)


async def test_check_refuses_an_old_server() -> None:
    """A server older than 6.2 is recognised, even one too old to know the handshake."""
    for answers in (info("redis_version:6.0.16\n"), {b"HELLO": b"-ERR unknown command 'HELLO'\r\n"}):
        async with wire(answers) as url, connection(url) as client:
            with pytest.raises(StoreError, match=r"too old .*6\.2 or newer"):
                await check(client)


async def test_check_refuses_a_replica() -> None:
    """A replica, which accepts no writes, is refused at the start and not at the first question."""
    async with wire(info("redis_version:7.2.4\nrole:slave\n")) as url, connection(url) as client:
        with pytest.raises(StoreError, match="replica"):
            await check(client)


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://:p4ss/word@host:6379"])
def test_connect_refuses_a_wrong_address(url: str) -> None:
    """An invalid address gives a sentence that quotes no part of it."""
    with pytest.raises(StoreError, match="REDIS_URL") as caught:
        connect(url)
    assert "p4ss" not in str(caught.value)


async def test_more_callers_than_connections(redis_client: Redis) -> None:
    """Two hundred simultaneous commands share the pool; none fails."""
    await asyncio.gather(*(redis_client.incr("n") for _ in range(200)))
    assert await redis_client.get("n") == b"200"


async def test_frozen_server_is_an_error_and_recovers() -> None:
    """A hanging server gives every caller a StoreError in bounded time; when it resumes, so do we."""
    async with server() as (url, pid), connection(url, answer_timeout=0.3, connect_timeout=0.2) as client:

        @guarded(0.5)
        async def step() -> None:
            await client.incr("n")

        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(HANG_SECONDS):  # the library's defaults take minutes
                results = await asyncio.gather(*(step() for _ in range(40)), return_exceptions=True)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert {type(result) for result in results} == {StoreError}
        assert "no answer in time" in str(results[0])

        async def again() -> None:
            while True:
                with suppress(StoreError):  # half a second may be too short for forty on a busy machine
                    return await step()

        async with asyncio.timeout(HANG_SECONDS):
            await up(client)
            await asyncio.gather(*(again() for _ in range(40)))


async def test_a_timeout_is_not_repeated() -> None:
    """A command that timed out is not sent again, since it may have been applied."""
    async with server() as (url, pid), connection(url, answer_timeout=0.2) as client:
        await up(client)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError):
                async with guarded():
                    await client.rpush("list", "once")
        finally:
            os.kill(pid, signal.SIGCONT)
        async with patient_connection(url) as other:
            await up(other)
            assert await other.llen("list") == 1


async def test_a_lost_connection_is_repeated() -> None:
    """A connection that the server closed while idle is not an error for the next command."""
    async with server() as (url, _), patient_connection(url) as client, patient_connection(url) as other:
        await client.ping()
        await other.client_kill_filter(_type="normal", skipme=True)
        async with guarded():
            assert await client.incr("n") == 1


async def test_errors_do_not_reveal_what_people_wrote(redis_client: Redis) -> None:
    """The text of a refused command is neither in the error nor in what would be logged of its cause."""
    await redis_client.set("key", "value")
    pipe = redis_client.pipeline(transaction=False)
    pipe.rpush("key", "a secret (of Ada) of pipeline")
    with pytest.raises(StoreError, match="WRONGTYPE") as caught:
        async with guarded():
            await pipe.execute()
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    with pytest.raises(StoreError, match="unknown command") as caught:
        async with guarded():
            await redis_client.execute_command("NOSUCH", "a secret of Ada")  # type: ignore[no-untyped-call]
    assert "secret" not in str(caught.value)


async def test_cancelled_calls_leave_no_partly_read_answer(redis_url: str) -> None:
    """After any cancellation at any time, each later answer on a pooled connection belongs to its own command."""
    draw = random.Random(1)
    # On a busy machine forty calls at once may take longer than the bot itself allows; this test does not check that.
    async with patient_connection(redis_url) as redis:
        for number in range(50):
            await redis.set(f"key {number}", number)

        async def ask(number: int) -> None:
            async with guarded(HANG_SECONDS):
                found = await redis.get(f"key {number}")
            assert found == str(number).encode()

        for _ in range(40):
            calls = [asyncio.create_task(ask(draw.randrange(50))) for _ in range(40)]
            for call in draw.sample(calls, 20):
                for _ in range(draw.randrange(6)):  # not yet begun, waiting for a connection, sent, or answered
                    await asyncio.sleep(0)
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert [each for each in ended if each and not isinstance(each, asyncio.CancelledError)] == []
        for number in range(50):
            await ask(number)
