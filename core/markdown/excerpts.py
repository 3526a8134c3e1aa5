"""What people want out of a text as a file: its blocks of code and its tables, read line by line, with pauses.

The parser of `blocks` would take a hundred times as long for a long text. This reads fences and tables as models write
them: in quotes and lists too, and a fence of Markdown holds other fences.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.markdown.blocks import nests
from core.markdown.nesting import lines
from core.markdown.tables import Cells, grid
from core.pauses import Pausing

# A fence, behind the marks of the quotes and list items around it.
_FENCE = re.compile(r"((?:[ \t]|>|(?:[-+*]|\d{1,9}[.)])(?=[ \t]))*)(`{3,}|~{3,})([^\r\n]*)")
_AROUND = re.compile(r"[ \t>]*")
_ROWS = 500  # that are read between two pauses
_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block: the language that it names, in lower case, and its text without what is around it."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Excerpts:
    """The blocks of code and the tables of a text, in order. The first row of a table is its header."""

    code: tuple[CodeBlock, ...] = ()
    tables: tuple[Cells, ...] = ()


def excerpts(markdown: str) -> Pausing[Excerpts]:
    """The excerpts of a text. Takes time in proportion to its length."""
    code: list[CodeBlock] = []
    tables: list[Cells] = []
    rest, table = iter(lines(markdown)), list[str]()
    for number, line in enumerate(rest):
        if number % _ROWS == 0:
            yield
        bare = _AROUND.sub("", line, count=1).strip()
        if opened := _FENCE.match(line):
            if opened[2][0] == "~" or "`" not in opened[3]:
                code.append(_block(rest, opened[1], opened[2], opened[3].strip()))
            bare = ""
        if "|" in bare:
            table.append(bare)
            continue
        tables += yield from _table(table)
        table = []
    tables += yield from _table(table)
    return Excerpts(tuple(code), tuple(tables))


def _block(rest: Iterator[str], head: str, marker: str, info: str) -> CodeBlock:
    """The block that a fence opens, up to the one that closes it, or to the end."""
    width, depth = len(head.expandtabs(4)), 1
    text: list[str] = []
    for line in rest:
        found = _FENCE.match(line)
        if found and found[2].startswith(marker):
            if not found[3].strip():
                depth -= 1
            elif nests(info):
                depth += 1
            if not depth:
                break
        text.append(_inside(line, width))
    words = info.split()
    return CodeBlock(words[0].strip("{}.").lower() if words else "", "".join(text))


def _inside(line: str, width: int) -> str:
    """A line of a block without the quotes and columns around the block."""
    around = line[: len(line) - len(line.lstrip(" \t>"))]
    return line[min(width, len(around)) :]


def _table(rows: list[str]) -> Pausing[tuple[Cells, ...]]:
    """The table in lines that have bars, if there is one; what comes before its header is no part of it."""
    for index in range(1, len(rows)):
        if index % _ROWS == 0:
            yield
        head, columns = rows[index - 1 : index + 1], rows[index].strip("|").count("|") + 1
        if _RULE.fullmatch(rows[index]) and len((found := grid(head))[0]) == columns:
            for begin in range(index + 1, len(rows), _ROWS):
                found += grid((*head, *rows[begin : begin + _ROWS]))[1:]
                yield
            return (found,) if len(found) > 1 else ()
    return ()
