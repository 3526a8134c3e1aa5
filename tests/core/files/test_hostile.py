"""Hostile files: each costs a little time in a process of its own and a sentence, and this process does not notice."""

import asyncio
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.chat import Picture
from core.files.found import FileText, Unread
from core.files.reader import FileLimits, FileReader
from tests.bounds import HANG_SECONDS
from tests.core.files.children import reading
from tests.core.files.documents import docx, paragraph, pdf, picture, pptx, rows, word_table, xlsx
from tests.core.files.hostile import HOSTILE

# On a busy machine the clock says nothing; the CPU time is bounded as ever.
LIMITS = FileLimits(seconds=HANG_SECONDS, cpu=2)
MOST_MEMORY = 24_000_000  # bytes here at once: an answer as it is read, and as the text that is in it


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_file_costs_little(what: str) -> None:
    """It is read, or a sentence says why not; this process has only the answer, and no process is left."""
    case = HOSTILE[what]
    content = case.make()
    reader = FileReader(LIMITS)
    tracemalloc.start()
    try:
        file = await reader.read(case.name, content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    outcome = file.trouble if isinstance(file, Unread) else type(file)
    assert outcome in case.outcomes
    assert most < MOST_MEMORY
    assert reading() == []
    if isinstance(file, Unread):
        assert file.name == case.name
        assert file.reason


SAMPLES = [
    *(pdf(["A page of some words.\n" * 9] * 3, compress=compress) for compress in (False, True)),
    docx(paragraph("words") * 9 + word_table([["a", "b"]] * 9)),
    xlsx({"a": rows([["a", "b"]] * 9), "b": '<row><c t="s"><v>0</v></c></row>'}, ["word"], ["yyyy"]),
    pptx(["some words", "more"], {0: "note"}),
    *(picture(kind, (90, 70)) for kind in ("PNG", "JPEG", "GIF", "WEBP")),
    b"<html><table><tr><td>a</td></tr></table><pre>b</pre>" * 9,
    b'a,"b\nc",d\n' * 99,
    "größer\n".encode("utf-16") * 9,
    "größer\n".encode("cp1252") * 9,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sample, some of whose bytes are others, or gone, or there twice."""
    content = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 40)))
        content[begin:end] = draw(st.one_of(st.binary(max_size=40), st.just(bytes(content[begin:end]) * 2)))
    return bytes(content)


@settings(max_examples=25)
@given(
    st.lists(st.one_of(st.binary(max_size=4_000), mutated()), min_size=4, max_size=4),
    st.sampled_from(["a.csv", "a.html", "a.pdf", "a", ""]),
)
def test_any_bytes_come_to_something(contents: list[bytes], name: str) -> None:
    """Whatever the bytes: a text, a picture or a sentence, never an error, and never a process that is left."""

    async def read() -> None:
        reader = FileReader(LIMITS)
        for file in await asyncio.gather(*(reader.read(name, content) for content in contents)):
            assert isinstance(file, FileText | Picture | Unread)

    asyncio.run(read())
    assert reading() == []
