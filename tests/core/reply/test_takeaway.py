"""What people can take out of an answer: which buttons it has, and what is in the files."""

import csv
import io

import pytest

from core.domain.page import Action, Page
from core.pauses import at_once
from core.reply.takeaway import LONGEST_ANSWER, MOST_FILES, code_files, offers, table_files
from tests.growth import MOST, growth

TABLE = "| name | sum |\n|---|---|\n{}\n"


def fits(page: Page) -> bool:
    return len(page.text) <= 100


def code(length: int, language: str = "python") -> str:
    return f"```{language}\n{'x' * length}\n```\n"


@pytest.mark.parametrize(
    ("text", "pages", "actions"),
    [
        ("words", 1, ()),
        ("words " * 100, 6, ()),
        (code(50), 1, ()),
        (code(50) * 5, 5, ()),
        (code(200), 3, (Action.FILE,)),
        (code(20_000), 200, (Action.FILE,)),
        (TABLE.format("| a | 1 |"), 1, (Action.TABLE,)),
        (code(200) + TABLE.format("| a | 1 |"), 4, (Action.FILE, Action.TABLE)),
        ("a | b", 1, ()),
        (code(200) + TABLE.format("| a | 1 |") + "x" * LONGEST_ANSWER, 10, ()),
    ],
)
def test_only_what_applies_is_offered(text: str, pages: int, actions: tuple[Action, ...]) -> None:
    """Code that is longer than a page, and any table; nothing of an answer that is a file already."""
    assert at_once(offers(text, fits, pages)) == actions


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("python", "answer.py"),
        ("JavaScript", "answer.js"),
        ("C++", "answer.cpp"),
        ("bash", "answer.sh"),
        ("", "answer.txt"),
        ("bat", "answer.txt"),
        ("vbs", "answer.txt"),
        ("hta", "answer.txt"),
        ("../../x", "answer.txt"),
        ("exe", "answer.txt"),
    ],
)
def test_a_file_is_named_after_its_language(language: str, name: str) -> None:
    """From a table alone: a model can't name a file."""
    [file] = code_files(code(10, language))
    assert file.name == name
    assert file.content == b"x" * 10 + b"\n"


def test_several_blocks_are_several_files() -> None:
    """Five at most, the longest ones, in their order, each with a name of its own."""
    text = "".join(code(length) for length in (9, 1, 8, 7, 6, 2, 5)) + code(0)
    files = code_files(text)
    assert len(files) == MOST_FILES
    assert [len(file.content) - 1 for file in files] == [9, 8, 7, 6, 5]
    assert [file.name for file in files] == ["answer.py", *(f"answer-{number}.py" for number in range(2, 6))]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+cmd\\|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("`=1+1`", "'=1+1"),
        ("**=1+1**", "'=1+1"),
        ("***`=1+1`***", "'=1+1"),
        ("<br>=1+1", "'=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-5", "-5"),
        ("+3.20 €", "+3.20 €"),
        ("-12%", "-12%"),
        ("-", "-"),
        ("a=b", "a=b"),
        ("**bold**", "bold"),
        ("**a** and **b**", "**a** and **b**"),
        ("one<br>two", "one\ntwo"),
        ('say "hi", now', 'say "hi", now'),
        ("München", "München"),
    ],
)
def test_a_cell_is_never_a_formula(cell: str, shown: str) -> None:
    """Whatever marks are around it; a number stays one."""
    [file] = table_files(TABLE.format(f"| {cell} | 1 |"))
    assert file.name == "table.csv"
    assert file.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"), newline="")))
    assert rows == [["name", "sum"], [shown, "1"]]


def test_a_header_is_a_cell_too() -> None:
    """It may hold a formula as well."""
    [file] = table_files("| =1+1 | b |\n|---|---|\n| 1 | 2 |\n")
    assert file.content.decode("utf-8-sig").startswith("'=1+1,b\r\n")


def test_several_tables_are_several_files() -> None:
    """Five at most, those with the most rows, in their order."""
    tables = ["\n".join(["| 1 | 2 |"] * rows) for rows in (3, 1, 4, 2, 5, 6)]
    files = table_files("\n".join(TABLE.format(each) for each in tables))
    assert [file.content.count(b"\r\n") - 1 for file in files] == [3, 4, 2, 5, 6]
    assert [file.name for file in files][1:] == [f"table-{number}.csv" for number in range(2, 6)]


def test_marks_without_end_take_no_time() -> None:
    """A cell of nothing but marks."""
    for mark in "`*_~":
        table_files(TABLE.format(f"| {mark * 50_000} | 1 |"))


async def test_a_number_costs_in_proportion_to_its_length() -> None:
    """Also one with blanks in it, which then is none."""
    assert await growth(table_files, lambda n: TABLE.format(f"| +1{' ' * n}x | 1 |")) <= MOST
