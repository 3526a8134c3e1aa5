"""Starts the program in a process that has loaded its modules already: loading them takes half a second of CPU time.

A process per test worker loads the modules, and forks whenever the program is to start. The fork takes the folder, the
environment, the arguments, and the standard input, output and error that a new process would get, and then does what
`python -m bots` does. Tests of the start itself use tests/scenarios/program.py.
"""

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from tests.scenarios import program

MODULES = (
    *("bots.cli", "bots.doctor.app", "bots.run", "bots.console.app", "bots.sandbox.app", "bots.setup.wizard"),
    *("bots.slack.app", "bots.discord.app"),
)
_ROOT = Path(__file__).parents[2]
_LENGTH = struct.Struct("!I")
_FORKS = sys.platform != "darwin"  # whose own libraries do not work in a fork


class Fork:
    """The program in a fork: what the tests use of `asyncio.subprocess.Process`. The streams are None at a terminal."""

    stdin: asyncio.StreamWriter | None = None
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None

    def __init__(self, pid: int, words: asyncio.StreamReader) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._words = words

    async def wait(self) -> int:
        """Wait until it ends; returns its exit status, or the number of a signal below zero."""
        if self.returncode is None:
            self.returncode = int(await self._words.readline())
        return self.returncode

    async def communicate(self, said: bytes = b"") -> tuple[bytes, bytes]:
        """Write this and close the input, read to the end, and wait; returns the standard output and error."""
        assert self.stdin
        assert self.stdout
        assert self.stderr
        with suppress(ConnectionError):
            self.stdin.write(said)
            await self.stdin.drain()
        self.stdin.close()
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Running = Process | Fork


async def run(folder: Path, *arguments: str, said: str = "", **settings: str) -> tuple[int, str, str]:
    """Run a command to its end; returns its exit status, standard output and standard error."""
    async with started(folder, *arguments, **settings) as process:
        out, err = await process.communicate(said.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def started(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Running]:
    """Start a command; it is killed at the end of the context if it still runs.

    With settings that are not ours it starts anew: Python and the libraries read some of theirs when they are loaded.
    """
    if not _FORKS or not all(name.startswith(program.OUR_PREFIXES) for name in settings):
        async with program.started(folder, *arguments, **settings) as process:
            yield process
        return
    inputs, outputs, errors = (os.pipe() for _ in range(3))
    files = (inputs[0], outputs[1], errors[1])
    async with (
        _written(inputs[1]) as stdin,
        _read(outputs[0]) as stdout,
        _read(errors[0]) as stderr,
        _forked(folder, arguments, program.environment(folder, settings), files) as fork,
    ):
        fork.stdin, fork.stdout, fork.stderr = stdin, stdout, stderr
        yield fork


@asynccontextmanager
async def started_at(terminal: int, folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Running]:
    """Start a command at a terminal, which is closed here; it is killed at the end of the context if it still runs."""
    environment = program.environment(folder, settings)
    if _FORKS:
        async with _forked(folder, arguments, environment, (terminal, terminal, terminal)) as fork:
            yield fork
        return
    command = (*program.PROGRAM, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _forked(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], files: tuple[int, int, int]
) -> AsyncIterator[Fork]:
    """Fork with these files as standard input, output and error, which are closed here."""
    words, its = os.pipe()
    asked = json.dumps([str(folder), list(arguments), dict(environment)]).encode()
    keeper = _keeper()
    socket.send_fds(keeper, [_LENGTH.pack(len(asked))], [*files, its])
    keeper.sendall(asked)
    for each in {*files, its}:
        os.close(each)
    async with _read(words) as said:
        fork = Fork(int(await said.readline()), said)
        try:
            yield fork
        finally:
            fork.kill()
            await fork.wait()


@functools.cache
def _keeper() -> socket.socket:
    """Where to ask for a fork. The process behind it starts when it is first needed, and ends with this one."""
    ours, its = socket.socketpair()
    command = (sys.executable, "-m", __name__, str(its.fileno()))
    with its:
        process = subprocess.Popen(command, cwd=_ROOT, env=program.environment(_ROOT, {}), pass_fds=[its.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


@asynccontextmanager
async def _read(end: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes out of a pipe."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(end, "rb", 0)
    )
    with closing(transport):
        yield stream


@asynccontextmanager
async def _written(end: int) -> AsyncIterator[asyncio.StreamWriter]:
    """What goes into a pipe."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(end, "wb", 0)
    )
    with closing(transport):
        yield asyncio.StreamWriter(transport, protocol, None, loop)


def _serve(asked: socket.socket) -> None:
    """Fork for everybody who asks."""
    gc.disable()
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()  # a fork that looked at these objects would copy them
    gc.enable()
    while True:
        length, files, _, _ = socket.recv_fds(asked, _LENGTH.size, 4)
        if not length:
            return
        content = b""
        while len(content) < _LENGTH.unpack(length)[0]:
            content += asked.recv(_LENGTH.unpack(length)[0] - len(content))
        if os.fork() == 0:
            asked.close()
            _keep(files, *json.loads(content))
            return
        for each in files:
            os.close(each)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(files: Sequence[int], folder: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Run the program in a fork; say its process id, and then how it ended."""
    *standard, word = files
    process = os.fork()
    if process == 0:
        os.close(word)
        _become(standard, folder, arguments, environment)
    for each in standard:
        os.close(each)
    os.write(word, b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    os.write(word, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(files: Sequence[int], folder: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Do what `python -m bots` does. Raises SystemExit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, processes inherit that they ignore it
    for target, each in enumerate(files):
        os.dup2(each, target)
        os.close(each)
    encoding = sys.stdout.encoding
    sys.stdin = open(0, encoding=encoding, newline="\n", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = open(1, "w", encoding=encoding, newline="\n", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding, "backslashreplace", "\n", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv[1:] = arguments
    runpy.run_module("bots", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _serve(socket.socket(fileno=int(sys.argv[1])))
