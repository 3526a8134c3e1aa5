"""Runs the program in a process that has loaded its modules already: loading them takes half a second of CPU time.

A process per test worker loads the modules, and forks whenever the program is to run. The fork takes the folder, the
environment, the arguments, and the standard input, output and error that a new process would get, and then does what
`python -m bots` does. Tests of the start itself, and of a program that stays, use tests/scenarios/program.py.
"""

import asyncio
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.scenarios import program

MODULES = (
    *("bots.cli", "bots.doctor.app", "bots.run", "bots.console.app", "bots.sandbox.app", "bots.setup.wizard"),
    *("bots.slack.app", "bots.discord.app"),
)
_ROOT = Path(__file__).parents[2]
_LENGTH = struct.Struct("!I")
_MOST_SAID = 4_096  # bytes: every pipe takes them without a reader
_asked: list[socket.socket] = []  # where to ask for a fork, once the process runs


@contextmanager
def warm() -> Iterator[None]:
    """Let `run` start the process that forks; it ends at the end of the context."""
    ours, its = socket.socketpair()
    with ours, its:
        _asked.append(ours)
        environment = program.environment(_ROOT, {})
        command = (sys.executable, "-m", __name__, str(its.fileno()))
        with subprocess.Popen(command, cwd=_ROOT, env=environment, pass_fds=[its.fileno()]):
            its.close()
            yield
            _asked.clear()
            ours.close()


async def run(folder: Path, *arguments: str, said: str = "", **settings: str) -> tuple[int, str, str]:
    """Run a command to its end; returns its exit status, standard output and standard error.

    With settings that are not ours it starts anew: Python and the libraries read some of theirs when they are loaded.
    So it does on macOS, whose own libraries do not work in a fork.
    """
    ours = all(name.startswith(program.OUR_PREFIXES) for name in settings)
    if not ours or len(said.encode()) > _MOST_SAID or sys.platform == "darwin":
        return await program.run(folder, *arguments, said=said, **settings)
    inputs, outputs, errors, words = (os.pipe() for _ in range(4))
    os.write(inputs[1], said.encode())
    os.close(inputs[1])
    theirs = [inputs[0], outputs[1], errors[1], words[1]]
    content = json.dumps([str(folder), list(arguments), program.environment(folder, settings)]).encode()
    socket.send_fds(_asked[0], [_LENGTH.pack(len(content))], theirs)
    _asked[0].sendall(content)
    for each in theirs:
        os.close(each)
    out, err, status = await asyncio.gather(_read(outputs[0]), _read(errors[0]), _ended(words[0]))
    return status, out.decode(), err.decode()


async def _stream(end: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """A pipe, as it is read."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end, "rb", 0)
    )
    return reader, transport


async def _read(end: int) -> bytes:
    reader, transport = await _stream(end)
    try:
        return await reader.read()
    finally:
        transport.close()


async def _ended(end: int) -> int:
    """The exit status that the keeper writes after the process id. Whoever does not wait for it ends the process."""
    reader, transport = await _stream(end)
    process = int(await reader.readline())
    try:
        status = int(await reader.read())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        raise
    finally:
        transport.close()
    return status


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
    os.write(word, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(files: Sequence[int], folder: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Do what `python -m bots` does. Raises SystemExit."""
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
