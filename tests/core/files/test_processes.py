"""The processes that read files: what they may do, how many there are, and that none outlives its call."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import SubprocessStreamProtocol
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from core.files.found import FileText, Unread
from core.files.kinds import FileKind, Trouble
from core.files.reader import FileLimits, FileReader, command
from tests.bounds import HANG_SECONDS
from tests.core.files.children import reading
from tests.core.files.hostile import HOSTILE

SLOW = HOSTILE["HTML of open comments"].make()
ROOT = Path(__file__).parents[3]


async def begun(many: int = 1) -> list[int]:
    """Wait until this many processes read."""
    async with asyncio.timeout(HANG_SECONDS):
        while len(found := await asyncio.to_thread(reading)) < many:
            pass
    return found


SEALED = f"""
import os, socket, sys
sys.path.append({str(ROOT)!r})
from core.files.child.isolation import bound, seal
bound(300_000_000, 3)
seal()
try:
    print(eval(sys.argv[1]))
except OSError as error:
    print(error.errno)
"""


def sealed(code: str) -> str:
    """What comes of this in a process that has closed all doors. It may write to a pipe, and to no file."""
    program = [sys.executable, "-I", "-S", "-c", SEALED, code]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("door", ["open('/etc/hostname')", "open('/dev/null', 'w')", "socket.socket()", "os.pipe()"])
def test_nothing_can_be_opened(door: str) -> None:
    """Neither a file nor a socket: there is no descriptor for it, whatever the user may do."""
    assert int(sealed(door)) == 24  # EMFILE


def test_no_process_can_be_started() -> None:
    """Not even a copy."""
    assert int(sealed("os.fork()")) == 11  # EAGAIN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_nobody() -> None:
    """Root could undo the limits, and start processes in spite of them."""
    assert sealed("os.getresuid(), os.getresgid(), os.getgroups()") == f"{(65534,) * 3, (65534,) * 3, []}"


WITNESS = f"""
import resource, sys
sys.path.append({str(ROOT)!r})
import charset_normalizer
guess = charset_normalizer.from_bytes
def from_bytes(*arguments, **named):
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[1], file=sys.stderr)
    return guess(*arguments, **named)
charset_normalizer.from_bytes = from_bytes
from core.files.child.reading import main
main(sys.argv[1], 1_000_000_000, 30, 30.0)
"""


@pytest.mark.parametrize("kind", [FileKind.TEXT, FileKind.CSV, FileKind.HTML])
def test_a_library_guesses_only_where_nothing_can_be_opened(kind: FileKind) -> None:
    """It is code of others, in C, and the bytes are a stranger's."""
    text = "Привет, это текст; написан давно\n".encode("cp1251") * 20
    command = [sys.executable, "-c", WITNESS, kind]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # it opens files
    run = subprocess.run(command, input=text, capture_output=True, check=True, env=alone)
    assert run.stderr.split() == [b"0"]
    assert "Привет" in run.stdout.decode()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit the address space")
def test_memory_is_bounded() -> None:
    """What exceeds it fails at once."""
    assert sealed("os.getpid() > 0") == "True"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        sealed("len(bytes(300_000_000))")
    assert "MemoryError" in failed.value.stderr


WATCHED = f"""
import ctypes, sys
sys.path.append({str(ROOT)!r})
from core.files.child.isolation import seal, watch
watch(100_000_000)
seal()
taken = []
for _ in range(int(sys.argv[1])):
    taken.append(ctypes.create_string_buffer(1_000_000))
    ctypes.memset(taken[-1], 1, 1_000_000)
print("done")
"""


@pytest.mark.parametrize(("megabytes", "ended"), [(20, False), (1_000, True)])
def test_where_the_system_bounds_no_memory_a_thread_does(megabytes: int, *, ended: bool) -> None:
    """Also behind the seal, and while native code takes the memory."""
    run = subprocess.run([sys.executable, "-I", "-S", "-c", WATCHED, str(megabytes)], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == ((1, "", "") if ended else (0, "done\n", ""))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
async def test_a_process_knows_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is empty, and of our files it has none open."""
    look = "cat /proc/$$/environ >{0}/environment; readlink /proc/$$/fd/* >{0}/files"
    program(look.format(tmp_path), tmp_path, monkeypatch)
    await FileReader(FileLimits(seconds=HANG_SECONDS)).read("a.txt", b"words")
    assert (tmp_path / "environment").read_bytes() == b""
    files = [each for each in (tmp_path / "files").read_text().split() if not each.startswith("pipe:")]
    assert set(files) == {
        os.devnull,
        str(tmp_path / "files"),
        str(tmp_path / "program"),
    }  # the last two are the shell's


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no prctl")
def test_no_other_process_looks_into_it() -> None:
    """Two strangers' files are read side by side, by the same user."""
    assert sealed("__import__('ctypes').CDLL(None).prctl(3)") == "0"  # PR_GET_DUMPABLE


async def test_it_works_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any folder, and whatever the environment says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert isinstance(await FileReader(FileLimits(seconds=HANG_SECONDS)).read("a.txt", b"words"), FileText)


async def test_a_cancelled_call_ends_its_process() -> None:
    """At once, and it leaves none behind."""
    task = asyncio.create_task(FileReader(FileLimits(seconds=HANG_SECONDS)).read("a.html", SLOW))
    await begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reading() == []


async def test_a_process_that_takes_too_long_is_ended() -> None:
    """By the clock, too: it may wait instead of working."""
    file = await FileReader(FileLimits(seconds=0.2)).read("a.html", SLOW)
    assert file == Unread("a.html", Trouble.TIME)
    assert reading() == []


async def test_an_answer_that_is_too_long_is_not_taken() -> None:
    """A process that writes without end is ended when it has written what it may."""
    file = await FileReader(FileLimits(seconds=HANG_SECONDS, answer=100_000)).read("a.txt", b"words\n" * 100_000)
    assert file == Unread("a.txt", Trouble.UNPACKED)
    assert reading() == []


async def test_few_processes_read_at_once() -> None:
    """The others wait, and are read then; a cancelled one among them lets go of its place."""
    reader = FileReader(FileLimits(seconds=HANG_SECONDS, cpu=1, at_once=2))
    tasks = [asyncio.create_task(reader.read("a.html", SLOW)) for _ in range(5)]
    most = len(await begun(2))
    tasks[0].cancel()
    tasks[4].cancel()
    async with asyncio.timeout(HANG_SECONDS):
        while not all(task.done() for task in tasks):
            most = max(most, len(await asyncio.to_thread(reading)))
    assert most == 2
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError, Unread, Unread, Unread, asyncio.CancelledError]


async def test_people_take_turns() -> None:
    """Whoever sent many files has one read, and then it is the turn of somebody who sent one."""
    reader, ended = FileReader(FileLimits(seconds=HANG_SECONDS, cpu=1, at_once=1)), []

    async def read(person: str, content: bytes) -> None:
        await reader.read("a.html", content, person=person)
        ended.append(person)

    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(read("ann", SLOW))
        await begun()
        group.create_task(read("bob", b"words"))
    assert ended == ["ann", "bob", "ann", "ann"]


async def test_a_process_that_can_t_be_started_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong on our side is not blamed on the file."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert await FileReader().read("a.txt", b"words") == Unread("a.txt", Trouble.BUSY)


def test_it_runs_on_the_program_s_loop() -> None:
    """uvloop starts processes in its own way."""

    async def both() -> None:
        reader = FileReader(FileLimits(seconds=HANG_SECONDS))
        assert isinstance(await reader.read("a.txt", b"words"), FileText)
        task = asyncio.create_task(reader.read("a.html", SLOW))
        await begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reading() == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(both())


STAYING = {
    "in its group": ('sleep 1000 >/dev/null & echo $! >{file}; echo \'{{"parts": [["", "words", "", 1, 5]]}}\'', True),
    "in a session of its own": ("setsid sleep 1000 & echo $! >{file}; exec sleep 1000", False),
}


@pytest.mark.parametrize("stays", STAYING)
async def test_what_a_process_has_started_keeps_nobody_waiting(
    stays: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """It ends with the process, even if that has ended itself; what left its group, and holds the pipe, is left."""
    script, ends = STAYING[stays]
    started = tmp_path / "pid"
    program(script.format(file=started), tmp_path, monkeypatch)
    for seconds in (HANG_SECONDS,) if ends else (0.5, 2.0, 8.0, 32.0):
        async with asyncio.timeout(HANG_SECONDS):
            file = await FileReader(FileLimits(seconds=seconds)).read("a.txt", b"words")
        if started.exists() and started.read_text():  # if not, it was ended before it had started anything
            break
    process = int(started.read_text())
    request.addfinalizer(lambda: kill(process))
    assert isinstance(file, FileText) if ends else file == Unread("a.txt", Trouble.TIME)
    if ends:
        async with asyncio.timeout(HANG_SECONDS):
            while await asyncio.to_thread(runs, process):
                pass


async def test_a_start_that_comes_too_late_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The time is over before the loop has noticed the process, of which a part has already left its group."""
    script, _ = STAYING["in a session of its own"]
    started = tmp_path / "pid"
    started.touch()
    program(script.format(file=started), tmp_path, monkeypatch)

    class Late(SubprocessStreamProtocol):
        """The loop stands still once the process was started, until that has left its group."""

        def __init__(self, *values: Any) -> None:
            super().__init__(*values)
            asyncio.get_running_loop().call_soon(self.stall)

        def stall(self) -> None:
            while not started.read_text():
                pass

    monkeypatch.setattr("core.files.reader.SubprocessStreamProtocol", Late)
    async with asyncio.timeout(HANG_SECONDS):
        file = await FileReader(FileLimits(seconds=0.001)).read("a.txt", b"words")
    process = int(started.read_text())
    request.addfinalizer(lambda: kill(process))
    assert file == Unread("a.txt", Trouble.TIME)


@pytest.mark.parametrize(
    "picture", [b"<svg onload='alert(1)'/>", b"", b"\xff\xd8\xff" + bytes(4_000_000)], ids=["SVG", "none", "large"]
)
async def test_only_a_jpeg_is_taken_as_a_picture(
    picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that read it may be a stranger's by then: what it writes goes to the model."""
    answer = tmp_path / "answer"
    answer.write_bytes(msgspec.json.encode({"kind": FileKind.PICTURE, "picture": picture}))
    program(f"cat {answer}", tmp_path, monkeypatch)
    png = b"\x89PNG\r\n\x1a\n"
    assert await FileReader(FileLimits(seconds=HANG_SECONDS)).read("a.png", png) == Unread("a.png", Trouble.DAMAGED)


async def test_a_picture_is_taken_for_a_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text does not become one."""
    answer = tmp_path / "answer"
    answer.write_bytes(msgspec.json.encode({"kind": FileKind.TEXT, "picture": b"\xff\xd8\xff"}))
    program(f"cat {answer}", tmp_path, monkeypatch)
    assert isinstance(await FileReader(FileLimits(seconds=HANG_SECONDS)).read("a.txt", b"words"), Unread)


def program(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this shell script run in place of Python."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\nPATH={os.environ['PATH']}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def runs(process: int) -> bool:
    """Whether a process runs, and is not only not yet taken note of."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_the_command_names_no_secret() -> None:
    """All that a process is told is where modules are, the kind and the limits: others can see it."""
    assert command(FileKind.PDF, FileLimits())[6:] == ["PDF", "280000000", "3", "4.5"]


def test_it_writes_no_compiled_code() -> None:
    """Next to the sources that this process imports, nobody but this process writes."""
    assert "-B" in command(FileKind.PDF, FileLimits())
