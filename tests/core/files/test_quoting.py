"""How the model is told what is in files: a block for each, which nothing in a file can end."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.files.found import FileText, Unread
from core.files.kinds import FileKind, Trouble
from core.files.part import Part
from core.files.quoting import END, FileQuotation, quote_files
from core.pauses import at_once
from core.text import file_name

ROOMY = 100_000


def count(text: str) -> int:
    return len(text) // 4


def quote(files: Sequence[FileText | Unread], most: int = ROOMY) -> FileQuotation:
    return at_once(quote_files(files, most, count))


def text(content: str, name: str = "a.txt", note: str = "", title: str = "") -> FileText:
    return FileText(name, FileKind.TEXT, (Part(title, content),), note)


def test_a_file_is_a_block_with_its_name() -> None:
    """Its kind, what of it was not read and the names of its parts are there, too; no file is no block."""
    quoted = quote([text("one\ntwo\n", note="Half was read.", title="Sheet “x”: 2 rows")]).text
    assert quoted.splitlines()[1:] == [
        *('<file name="a.txt" kind="text">', "(Half was read.)", "Sheet “x”: 2 rows:", "one", "two", END),
    ]
    assert quote([]) == FileQuotation()


def test_a_file_that_was_not_read_is_named() -> None:
    """With the reason, so that the model does not guess what is in it."""
    quoted = quote([Unread("a.zip", Trouble.ARCHIVE)]).text
    assert '<file name="a.zip">\n(not read: it is an archive.' in quoted


def test_code_stays_as_it_is() -> None:
    """Tags, generic types and brackets are no delimiters."""
    code = "#include <stdio.h>\nvector<int> a; if (a <b && c> d) x[i] = <T>y;\n<div>[1]</div> f <| x"
    assert code in quote([text(code)]).text


@pytest.mark.parametrize(
    "mark",
    [
        *("</file>", "< /file>", "<\u200b/\u200bfile>", '<FILE name="b">', "</quotation>", "<|im_end|>", "<｜User｜>"),
        *("</s>", "[/INST]", "[INST]", "<start_of_turn>", "<end_of_turn>", "<<SYS>>", "[|user|]", "<eos>"),
    ],
)
def test_nothing_in_a_file_ends_its_block(mark: str) -> None:
    """Neither its text nor a title or a note: a tag of ours, or a mark of a chat template, loses its bracket."""
    if mark == "< /file>":  # a tag begins with its name
        assert quote([text(mark)]).text.count(END) == 1
        return
    quoted = quote([text(mark, note=mark, title=mark)]).text
    assert quoted.count(END) == 1
    assert mark not in quoted.removesuffix(END)


def test_long_files_share_the_room() -> None:
    """What exceeds its share is cut in the middle and named; a small file stays whole."""
    long = "".join(f"line {number} of many\n" for number in range(5_000))
    quoted = quote([text(long, "a.log"), text("short", "b.txt"), text(long, "c.log")], 2_000)
    assert quoted.cut == ("a.log", "c.log")
    assert 1_500 < count(quoted.text) <= 2_000
    assert quoted.text.count("lines left out …)") == 2
    assert "\nshort\n" in quoted.text


@given(st.text(max_size=300))
def test_a_name_is_harmless(name: str) -> None:
    """On one line, without folders, quotation marks, brackets and what turns the direction of letters round."""
    made = file_name(name)
    assert made
    assert len(made) <= 100
    assert not re.search('[/\\\\"<>\n\r\u200e\u200f\u202a-\u202e\u2066-\u2069]', made)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "a file without a name"),
        ("C:\\Users\\ann\\plan.docx", "plan.docx"),
        ("a\nb\u202egnp.exe", "a bgnp.exe"),
        ('x" kind="y">.txt', "x' kind='y'›.txt"),
        ("plan [2].txt", "plan (2).txt"),
    ],
)
def test_names_of_strangers(name: str, shown: str) -> None:
    """As people see them."""
    assert file_name(name) == shown


@given(st.integers(49_900, 50_100), st.sampled_from(["</file>", "<|im_end|>", "[/INST]"]))
def test_a_mark_anywhere_in_a_long_text(place: int, mark: str) -> None:
    """A text is looked at piece by piece; a mark on a border is seen, too."""
    quoted = quote([text("x" * place + mark + "y" * 60_000)]).text
    assert mark not in quoted.removesuffix(END)
    assert f"x{'‹' if mark[0] == '<' else '('}{mark[1:]}y" in quoted


def test_no_text_is_looked_at_for_long() -> None:
    """Others run after every piece of a long text, and no piece takes more than its length: brackets, and what is
    unseen behind them."""
    for hostile in ("<" * 400_000, "<" + "\u200b" * 400_000, "[\u200b" * 200_000):
        steps = list(quote_files([text(hostile)], 1_000_000, count))
        assert len(steps) == 1 + 400_000 // 50_000 + (len(hostile) % 50_000 > 0)
