"""What reading a stranger's file costs beside the same reader in this process, and how much a hostile file can take."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from core.files.child import pdf as pdf_reader
from core.files.child import picture as picture_reader
from core.files.child.decoding import decoded
from core.files.child.isolation import Budget
from core.files.child.office import document
from core.files.found import FileText
from core.files.kinds import FileKind, recognise
from core.files.quoting import quote_files
from core.files.reader import FileLimits, FileReader, command
from core.pauses import with_pauses
from core.prompt.tokens import TokenEstimator
from tests.bench.table import Table, ms, ratio
from tests.core.files.documents import pdf, picture, rows, xlsx
from tests.core.files.hostile import HOSTILE

TIMES = 5  # each is read, and the quickest counts
TICK = 0.001  # seconds between two looks at the loop
WINDOW = 128_000  # tokens for all files of a question
FILE_SECONDS, FILE_MEMORY = 5.0, 300  # targets for any file: seconds, MB
STALL = 0.1  # target, in seconds

_LINES = (f"2026-11-28 12:{i // 60 % 60:02}:{i % 60:02} INFO worker {i} took a job: 1,200 ms\n" for i in range(17_500))
_LOG = "".join(_LINES)
_PROSE = "It keeps its entries in an array, and a second one says where the first free place is.\n" * 50
# Started by a small process, as the kernel counts the memory of whoever starts one as its own.
_MEASURED = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], {})
_, status, used = os.wait4(process, 0)
scale = 1 if sys.platform == "darwin" else 1024
print(used.ru_maxrss * scale, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def _bare_pdf(content: bytes) -> object:
    return pdf_reader.read(content, Budget(3_600, 3_600))


def _bare_workbook(content: bytes) -> object:
    return document.read(content, Budget(3_600, 3_600))


FILES: dict[str, tuple[str, Callable[[], bytes], Callable[[bytes], object]]] = {
    "an empty text": ("a.txt", lambda: b"x", decoded),
    "a log of 1 MB": ("a.log", _LOG.encode, decoded),
    "a PDF of 100 pages": ("a.pdf", lambda: pdf([_PROSE] * 100, compress=True), _bare_pdf),
    "a workbook of 20,000 × 11": ("a.xlsx", lambda: xlsx({"a": rows([["some words"] * 11] * 20_000)}), _bare_workbook),
    "a photo of 12 megapixels": ("a.jpg", lambda: picture("JPEG", (4_000, 3_000)), picture_reader.read),
}


async def measure() -> Table:
    """About 50 s."""
    cells = [await _row(what, name, make(), bare) for what, (name, make, bare) in FILES.items()]
    return Table(
        "Reading a file",
        f"From its bytes to what is quoted of it in {WINDOW:,} tokens, in a process of its own; best of {TIMES}. The "
        "floor is the same reader in this process, with everything imported. Stalls are CPU time between two rounds of "
        f"the loop; target: {ms(STALL)} ms.",
        ("file", "floor, ms", "ms", "ratio", "longest stall, ms"),
        tuple(cells),
        await asyncio.to_thread(_hostile),
    )


async def _row(what: str, name: str, content: bytes, bare: Callable[[bytes], object]) -> tuple[str, ...]:
    floor = whole = float("inf")
    stall = 0.0
    reader = FileReader()
    for _ in range(TIMES):
        begun = time.perf_counter()
        bare(content)
        floor = min(floor, time.perf_counter() - begun)
        async with asyncio.TaskGroup() as tasks:
            over = asyncio.Event()
            watch = tasks.create_task(_longest_step(over))
            begun = time.perf_counter()
            file = await reader.read(name, content)
            if isinstance(file, FileText):
                await with_pauses(quote_files([file], WINDOW, partial(TokenEstimator().count, "")))
            whole = min(whole, time.perf_counter() - begun)
            over.set()
        stall = max(stall, watch.result())
    return (what, ms(floor), ms(whole), ratio(whole, floor), ms(stall))


async def _longest_step(over: asyncio.Event) -> float:
    """The most CPU time that others took of the loop between two looks."""
    longest, before = 0.0, time.thread_time()
    while not over.is_set():
        await asyncio.sleep(TICK)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest


def _hostile() -> tuple[str, ...]:
    """Read each hostile file; what the longest and the largest of them took."""
    found: list[tuple[str, float, float]] = []
    limits = FileLimits()
    for what, case in HOSTILE.items():
        content = case.make()
        kind = recognise(content, case.name)
        if not isinstance(kind, FileKind):
            continue
        measured = [sys.executable, "-I", "-S", "-c", _MEASURED, *command(kind, limits)]
        done = subprocess.run(measured, input=content, capture_output=True, check=True, env={})
        memory, cpu = map(float, done.stderr.split()[-2:])
        found.append((what, cpu, memory / 1e6))
    longest, largest = max(found, key=lambda each: each[1]), max(found, key=lambda each: each[2])
    slow = sum(each[1] > 1 for each in found)
    return (
        f"Of {len(HOSTILE)} hostile files, {len(found)} need a process, and {slow} of them more than a second of CPU.",
        f"The longest (“{longest[0]}”) takes {longest[1]:.1f} s of CPU; by the clock, any is ended after "
        f"{limits.seconds:g} s (target: {FILE_SECONDS:g} s).",
        f"The largest (“{largest[0]}”) takes {largest[2]:.0f} MB (target: {FILE_MEMORY} MB).",
    )
