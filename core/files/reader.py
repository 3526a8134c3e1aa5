"""Reads the files of strangers: each in a process of its own, which has little time and memory and no environment, and
can open no file and no connection when it parses (see `seal` for what root could). This process never parses their
bytes, and takes no more than it asked for."""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from core.domain.chat import Picture
from core.files.found import FileText, Unread
from core.files.kinds import FileKind, Trouble, recognise
from core.files.part import Part
from core.files.slots import FairSlots
from core.text import file_name

log = logging.getLogger(__name__)

_CHILD = str(Path(__file__).with_name("child") / "__main__.py")
_ROOT = Path(__file__).parents[2]  # of `core`
_MOST_PARTS = 64
_PIECE = 65_536  # bytes that are written or read at once
_DRAIN_SECONDS = 1.0  # for what an ended process has left in its pipe
# A picture is a JPEG of at most 1,024 x 1,024 pixels (`child/picture.py`); pure noise needs 1.9 MB.
_JPEG, _MOST_PICTURE = b"\xff\xd8\xff", 4_000_000


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What reading a file may cost. `content`, `answer`: bytes that go into the process, and that come out of it;
    `memory`: bytes of its address space; `cpu`: seconds of its CPU time; `seconds`: from its start to its end;
    `at_once`: how many processes there are at once, while other files wait."""

    content: int = 32_000_000
    answer: int = 16_000_000
    memory: int = 280_000_000
    cpu: int = 3
    seconds: float = 4.5
    at_once: int = 2


class _Answer(msgspec.Struct):
    """What a process found: see `child/reading.py`."""

    kind: FileKind = FileKind.TEXT
    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=_MOST_PARTS)] = ()
    note: str = ""
    picture: bytes = b""
    trouble: Trouble | None = None


class _TooMuch(Exception):
    """The process wrote more than it may."""


class FileReader:
    """Reads files, some at once."""

    def __init__(self, limits: FileLimits | None = None) -> None:
        self._limits = limits or FileLimits()
        self._slots = FairSlots(self._limits.at_once)
        self._decoder = msgspec.json.Decoder(_Answer)

    async def read(self, name: str, content: bytes, hint: str = "", person: str = "") -> FileText | Picture | Unread:
        """What is in a file. `hint`: its MIME type, or Slack's `filetype`, which like its name may be wrong. `person`:
        who wants to know; the processes are shared fairly among people.

        Nothing in a file raises an error. A cancelled call ends the process.
        """
        name = file_name(name)
        kind = recognise(content, name, hint)
        if isinstance(kind, FileKind) and len(content) > self._limits.content:
            kind = Trouble.LARGE
        if isinstance(kind, Trouble):
            return Unread(name, kind)
        async with self._slots.one(person):
            answer = await self._answer(kind, content)
        if answer.trouble is not None:
            log.info("a file (%s, %d bytes) can't be read: %s", kind, len(content), answer.trouble)
            return Unread(name, answer.trouble)
        if kind is FileKind.PICTURE:
            return Picture(name, answer.picture)
        return FileText(name, answer.kind, answer.parts, answer.note)

    async def _answer(self, kind: FileKind, content: bytes) -> _Answer:
        try:
            async with asyncio.timeout(self._limits.seconds):
                written, status = await self._run(kind, content)
        except TimeoutError:
            return _Answer(trouble=Trouble.TIME)
        except _TooMuch:
            return _Answer(trouble=Trouble.UNPACKED)
        except OSError as error:
            log.warning("can't start a process to read a file: %s", error)
            return _Answer(trouble=Trouble.BUSY)
        if status:  # it was killed, or a library gave up when there was no memory
            return _Answer(trouble=Trouble.TIME if status == -signal.SIGXCPU else Trouble.MEMORY)
        try:
            answer = self._decoder.decode(written)
        except msgspec.DecodeError:
            return _Answer(trouble=Trouble.DAMAGED)
        seen = answer.picture.startswith(_JPEG) and len(answer.picture) <= _MOST_PICTURE
        if answer.trouble is None and seen != (kind is FileKind.PICTURE):
            return _Answer(trouble=Trouble.DAMAGED)
        return answer

    async def _run(self, kind: FileKind, content: bytes) -> tuple[bytearray, int]:
        """What a process wrote about the file, and its exit status."""
        async with _process(command(kind, self._limits)) as process:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_feed(process, content))
                    output = tasks.create_task(_output(process, self._limits.answer))
            except* _TooMuch:
                raise _TooMuch from None
            return output.result(), await process.wait()


def command(kind: FileKind, limits: FileLimits) -> list[str]:
    """What starts a process that reads a file of this kind from its standard input.

    It finds modules where this process does, and needs neither the environment nor `site` for it.
    """
    places = "\n".join((*map(os.path.abspath, sys.path), str(_ROOT)))
    bounds = map(str, (limits.memory, limits.cpu, limits.seconds))
    return [sys.executable, "-I", "-S", "-B", _CHILD, places, kind, *bounds]


@asynccontextmanager
async def _process(arguments: list[str]) -> AsyncIterator[Process]:
    """A process that is over when this ends, with all that it has started."""
    loop = asyncio.get_running_loop()
    # As create_subprocess_exec does, which keeps the transport for itself.
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(_PIECE, loop),
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
    )
    try:
        # When a start is cancelled, asyncio waits for all who hold its pipes, even for one that left its group.
        yield Process(*await asyncio.shield(starting), loop)
    finally:
        transport, protocol = await starting
        process = Process(transport, protocol, loop)
        with suppress(ProcessLookupError, PermissionError):  # macOS forbids it where all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await _rest(process)
        transport.close()  # somebody who left its group may still hold the pipe
        await process.wait()


async def _rest(process: Process) -> None:
    """Read what is left, which would hide the end of the process."""
    assert process.stdout
    while await process.stdout.read(_PIECE):
        pass


async def _feed(process: Process, content: bytes) -> None:
    """Write piece by piece, so that the pipe's buffer never holds the whole file once more."""
    assert process.stdin
    with suppress(BrokenPipeError, ConnectionResetError):  # it needed no more
        for begin in range(0, len(content), _PIECE):
            process.stdin.write(content[begin : begin + _PIECE])
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _output(process: Process, most: int) -> bytearray:
    assert process.stdout
    written = bytearray()
    while piece := await process.stdout.read(_PIECE):
        written += piece
        if len(written) > most:
            raise _TooMuch
    return written
