"""The private server: real processes that start it, join it, die, hang and are replaced."""

import asyncio
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis

from core.domain.errors import StoreError
from core.store.redis.client import connection, guarded
from core.store.redis.embedded import LOCK, LOG, MAX_LOG_BYTES, SOCKET, EmbeddedServer, embedded, find_server
from tests.bounds import HANG_SECONDS
from tests.redis_server import patient_connection

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")

# A process that uses the directory until it is killed or its standard input ends.
USER_PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from core.store.redis.embedded import embedded

async def main():
    async with embedded(Path(sys.argv[1])) as server:
        os.write(1, b"%r\\n" % server.started)  # a line in one write, because other processes write too
        await asyncio.to_thread(sys.stdin.read)

for _ in range(int(sys.argv[2]) - 1):  # fork more of the same, without loading all modules again
    if not os.fork():
        break
asyncio.run(main())
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory whose path leaves room for a socket, which tmp_path does not always do."""
    with TemporaryDirectory(prefix="nb-") as folder:
        yield Path(folder, "data").resolve()


@asynccontextmanager
async def user(data: Path, many: int = 1) -> AsyncIterator[Process]:
    """Another process, or several, that enter the directory; they share their standard input and output."""
    program = (sys.executable, "-c", USER_PROGRAM, str(data), str(many))
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # all of them
        await process.communicate()


async def line(process: Process) -> str:
    """The next line that the process prints."""
    assert process.stdout
    return (await process.stdout.readline()).decode().strip()


async def pid(client: Redis) -> int:
    """The process id of the server, once it answers."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(StoreError):
                async with guarded():
                    return int((await client.info("server"))["process_id"])
            await asyncio.sleep(0.01)


async def said(data: Path, words: str) -> None:
    """Wait until the server's log contains these words."""
    async with asyncio.timeout(HANG_SECONDS):
        while words not in (data / LOG).read_text():
            await asyncio.sleep(0.01)


def modes(folder: Path) -> dict[Path, int]:
    """The permissions of the directory and everything in it."""
    return {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


async def replaced(client: Redis, old: int) -> int:
    """The process id of the server that replaced the one with this id."""
    async with asyncio.timeout(HANG_SECONDS):
        while (new := await pid(client)) == old:
            await asyncio.sleep(0.01)
    return new


async def test_start(data: Path) -> None:
    """The first user starts the server, gets its address, and can use it through the bot's client."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert server == EmbeddedServer(f"unix://{data / SOCKET}", data, server.version, started=True)
        assert server.version.split()[0] in ("Valkey", "Redis")
        assert await client.set("key", "value")


async def test_a_directory_that_others_can_enter_stays_as_it_is(data: Path) -> None:
    """It may be /tmp: the server's files are in a private directory inside, which the next start finds again."""
    os.mkdir(data)
    os.chmod(data, 0o1777)
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert modes(data)[data] == 0o1777
        found = modes(server.data)
        assert server.data.parent == data
        assert {path: mode for path, mode in found.items() if mode & 0o077} == {}
        await client.set("kept", 1)
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert await client.get("kept") == b"1"


async def test_data_of_an_earlier_version_is_found(data: Path) -> None:
    """It is in the directory itself, even if others may enter that."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        await client.set("kept", 1)
    os.chmod(data, 0o755)
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert (server.data, await client.get("kept")) == (data, b"1")


@pytest.mark.parametrize("trap", ["link", "open"])
async def test_a_directory_prepared_by_somebody_else_is_refused(data: Path, trap: str) -> None:
    """In a place where others may write, they must not lead us into a place of theirs."""
    os.mkdir(data)
    os.chmod(data, 0o1777)
    if trap == "link":
        (data / "elsewhere").mkdir(mode=0o700)
        (data / "redis").symlink_to(data / "elsewhere")
    else:
        (data / "redis").mkdir()
        (data / "redis").chmod(0o777)
    with pytest.raises(StoreError, match="choose another directory"):
        async with embedded(data):
            pass


@pytest.mark.parametrize("name", [LOG, LOCK])
async def test_links_are_not_followed(data: Path, name: str) -> None:
    """A link in place of one of the files would have us write elsewhere."""
    os.mkdir(data, 0o700)
    (victim := data.parent / "victim").write_text("precious")
    (data / name).symlink_to(victim)
    with pytest.raises(StoreError, match="symbolic links"):
        async with embedded(data):
            pass
    assert victim.read_text() == "precious"


@linux
async def test_the_server_gets_none_of_our_secrets(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads its memory or environment must not find the bot's tokens."""
    monkeypatch.setenv("DISCORD_TOKEN", "a secret")
    monkeypatch.setenv("NEBULA_API_KEY", "a secret")
    async with embedded(data) as server, patient_connection(server.url) as client:
        number = (await client.info("server"))["process_id"]
        environment = await asyncio.to_thread(Path(f"/proc/{number}/environ").read_bytes)
        assert b"secret" not in environment


async def test_only_the_owner_may_enter(data: Path) -> None:
    """Directory, socket and files are private; no port is open."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        found = modes(data)
        assert {path: mode for path, mode in found.items() if mode & 0o077} == {}
        assert {data / SOCKET, data / LOCK, data / LOG} < set(found)
        assert (await client.config_get("port"))["port"] == "0"


async def test_no_data_is_discarded(data: Path) -> None:
    """The server writes every change to disk within a second and refuses writes rather than evict."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        settings = await client.config_get("appendonly", "appendfsync", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


async def test_data_is_kept_over_a_restart(data: Path) -> None:
    """When the last user exits, the server ends cleanly; the next start has the data."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        await client.set("key", "value")
        first = await pid(client)
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert server.started
        assert await client.get("key") == b"value"


async def test_eight_processes_share_one_server(data: Path) -> None:
    """However many processes start at the same time, one starts the server and all others join it."""
    async with user(data, 8) as users:
        answers = [await line(users) for _ in range(8)]
        starts = (data / LOG).read_text().count("Ready to accept connections")
    assert sorted(answers) == ["False"] * 7 + ["True"]
    assert starts == 1


async def test_a_long_log_is_set_aside(data: Path) -> None:
    """While the server runs: it goes on in the same file, and the older one is kept, for its owner alone."""
    async with embedded(data, log_look=0.01) as server, patient_connection(server.url) as client:
        long = b"x" * MAX_LOG_BYTES
        with (data / LOG).open("ab") as file:
            file.write(long)
        async with asyncio.timeout(HANG_SECONDS):
            while (data / LOG).stat().st_size > MAX_LOG_BYTES:
                await asyncio.sleep(0.01)
        assert (data / f"{LOG}.1").read_bytes().endswith(long)
        assert stat.S_IMODE((data / f"{LOG}.1").stat().st_mode) == 0o600
        await client.bgrewriteaof()
        await said(data, "rewrite")
        assert (data / LOG).stat().st_size < MAX_LOG_BYTES


async def test_a_killed_server_is_replaced(data: Path) -> None:
    """When the server is killed, exactly one of its users restarts it on the same socket with the data."""
    async with embedded(data) as first, embedded(data) as second, patient_connection(second.url) as client:
        assert (first.started, second.started) == (True, False)
        old = await pid(client)
        for _ in range(100):
            await client.incr("n")
        # While the disk is busy the server holds back what it writes for up to two seconds (redis.conf, appendfsync).
        async with asyncio.timeout(HANG_SECONDS):
            while (await client.info("persistence"))["aof_buffer_length"]:
                await asyncio.sleep(0.01)
        os.kill(old, signal.SIGKILL)
        await replaced(client, old)
        assert await client.get("n") == b"100"
        assert first.url == second.url
        assert (data / LOG).read_text().count("Ready to accept connections") == 2


async def test_another_user_takes_over(data: Path) -> None:
    """When the starter exits, its server ends; another user of the directory starts its own server and continues."""
    async with AsyncExitStack() as starter:
        await starter.enter_async_context(embedded(data))
        async with embedded(data) as server, patient_connection(server.url) as client:
            await client.set("key", "value")
            old = await pid(client)
            await starter.aclose()
            await replaced(client, old)
            assert await client.get("key") == b"value"


@linux
async def test_a_killed_process_loses_nothing(data: Path) -> None:
    """A bot killed with SIGKILL takes its server down cleanly; the next start has all that was acknowledged."""
    async with user(data) as process:
        assert await line(process) == "True"
        async with patient_connection(f"unix://{data / SOCKET}") as client:
            await client.set("key", "value")
        process.kill()
        await said(data, "ready to exit")
    async with embedded(data) as found, patient_connection(found.url) as client:
        assert found.started
        assert await client.get("key") == b"value"


@linux
async def test_start_right_after_a_kill(data: Path) -> None:
    """A start that meets the dying server of a killed process ends with a working server and the data."""
    async with user(data) as process:
        assert await line(process) == "True"
        async with patient_connection(f"unix://{data / SOCKET}") as client:
            await client.set("key", "value")
            old = await pid(client)
        process.kill()
        async with embedded(data) as found, patient_connection(found.url) as client:
            await replaced(client, old)
            assert await client.get("key") == b"value"


async def test_long_path(data: Path) -> None:
    """A directory whose path has spaces and is too long for a socket works for all users through a short link."""
    deep = data / ("a long name " * 6 + "x") / ("another long name " * 4 + "x")
    async with embedded(deep) as server, embedded(deep) as joined:
        assert server.data == deep
        for url in (server.url, joined.url):
            assert len(url.removeprefix("unix://")) <= 100
            async with patient_connection(url) as client:
                await client.incr("users")
                assert await client.get("users") in (b"1", b"2")
        assert (deep / SOCKET).is_socket()
        link = Path(server.url.removeprefix("unix://")).parent
        assert stat.S_IMODE(link.parent.stat().st_mode) == 0o700
    assert not link.parent.exists()


async def test_corrupt_data_is_reported_and_left_alone(data: Path) -> None:
    """A damaged file stops the start with the server's own message; nothing is repaired silently."""
    async with embedded(data) as server, patient_connection(server.url) as client:
        for number in range(100):
            await client.set(f"key{number}", "value")
    (file,) = (data / "appendonlydir").glob("*.incr.aof")
    content = file.read_bytes()
    damaged = content[:500] + b"\x00" * 100 + content[600:]
    file.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"does not start \(.*Bad file format reading the append only.*read its log"):
        async with embedded(data):
            pass
    assert file.read_bytes() == damaged


def test_missing_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a server program the error says what to set or install; it names a wrong REDIS_SERVER."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"REDIS_URL.*valkey-server.*REDIS_SERVER"):
        find_server()
    with pytest.raises(StoreError, match=r"REDIS_SERVER is not a program"):
        find_server("/nowhere/redis")


def test_program_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """REDIS_SERVER comes first, then the packaged program, then valkey-server and redis-server on PATH."""
    for name in ("valkey-server", "redis-server", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server("mine") == tmp_path / "mine"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_server() == tmp_path / "valkey-server"
    (tmp_path / "valkey-server").unlink()
    assert find_server() == tmp_path / "redis-server"


async def test_program_that_is_no_server(data: Path, tmp_path: Path) -> None:
    """A program that only prints an error fails the start with that error."""
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho 'GLIBC_9.99 not found' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(StoreError, match=r"does not start \(GLIBC_9\.99 not found\): read its log"):
        async with embedded(data, str(program)):
            pass


async def test_invalid_data_dir_is_an_error(tmp_path: Path) -> None:
    """A DATA_DIR that is a file is an error that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"DATA_DIR .*file can't be used"):
        async with embedded(tmp_path / "file"):
            pass


async def test_frozen_server(data: Path) -> None:
    """A hanging server is neither joined nor replaced, because it still holds the data; when it resumes, so do we."""
    async with embedded(data) as server, connection(server.url, answer_timeout=0.2) as client:
        frozen = await pid(client)
        os.kill(frozen, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match="no answer in time"):
                async with guarded(0.5):
                    await client.get("key")
            with pytest.raises(StoreError, match=rf"does not answer: end the process that holds .*{LOCK}"):
                async with embedded(data, start_timeout=0.1):
                    pass
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert await pid(client) == frozen


async def test_frozen_server_does_not_delay_the_exit(data: Path) -> None:
    """A server that hangs at the end is killed after the timeout, and what it acknowledged is kept."""
    async with embedded(data, stop_timeout=0.2) as server, patient_connection(server.url) as client:
        await client.set("key", "value")
        os.kill(await pid(client), signal.SIGSTOP)
    async with embedded(data) as server, patient_connection(server.url) as client:
        assert await client.get("key") == b"value"


async def test_an_error_inside_comes_out_as_itself(data: Path) -> None:
    """An error in the code that uses the server is neither wrapped nor changed."""
    with pytest.raises(KeyError, match="mine"):
        async with embedded(data):
            raise KeyError("mine")
