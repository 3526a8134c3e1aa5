"""The processes that read files: what they may do, how many there are, and that none outlives its call."""

import asyncio
import subprocess
import sys
from pathlib import Path

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


def seen(process: int) -> tuple[bytes, set[str]]:
    """The environment of a process, and its open descriptors."""
    folder = Path(f"/proc/{process}")
    return (folder / "environ").read_bytes(), {each.name for each in (folder / "fd").iterdir()}


SEALED = f"""
import os, socket, sys
sys.path.append({str(ROOT)!r})
from core.files.child.isolation import bound, seal
if os.geteuid() == 0:  # for root, the system limits no number of processes
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
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


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit the address space")
def test_memory_is_bounded() -> None:
    """What exceeds it fails at once."""
    assert sealed("os.getpid() > 0") == "True"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        sealed("len(bytes(300_000_000))")
    assert "MemoryError" in failed.value.stderr


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
async def test_a_process_knows_nothing_of_ours() -> None:
    """Its environment is empty, and of our files it has none open."""
    task = asyncio.create_task(FileReader(FileLimits(seconds=HANG_SECONDS, cpu=1)).read("a.html", SLOW))
    [process] = await begun()
    environment, files = await asyncio.to_thread(seen, process)
    assert environment == b""
    assert files <= {"0", "1", "2", "3"}  # the last while it imports
    assert isinstance(await task, Unread)


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
    most = 0
    tasks = [asyncio.create_task(reader.read("a.html", SLOW)) for _ in range(5)]
    await begun(2)
    tasks[0].cancel()
    tasks[4].cancel()
    async with asyncio.timeout(HANG_SECONDS):
        while not all(task.done() for task in tasks):
            most = max(most, len(await asyncio.to_thread(reading)))
    assert most == 2
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError, Unread, Unread, Unread, asyncio.CancelledError]


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


def test_the_command_names_no_secret() -> None:
    """All that a process is told is where modules are, the kind and the limits: others can see it."""
    assert command(FileKind.PDF, FileLimits())[5:] == ["PDF", "280000000", "3", "4.5"]
