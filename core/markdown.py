"""The blocks of a Markdown text with their places in it, as a real parser (CommonMark and tables) sees them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

Kind = Literal["paragraph", "heading", "fence", "code", "table", "html", "rule"]

_PARSER = MarkdownIt("commonmark", {"maxNesting": 60}).enable("table")
_PARSER.core.ruler.enableOnly(["normalize", "block"])

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_MARKER = re.compile(r"\s*(?:[-+*]|\d{1,9}[.)])( *)")
_KINDS: dict[str, Kind] = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "fence": "fence",
    "code_block": "code",
    "table_open": "table",
    "html_block": "html",
    "hr": "rule",
}

Nest = tuple[int, ...]
"""Where a block stands: the columns its lists take up before the first quote mark, after the first, and so on."""


def lines(text: str) -> list[str]:
    """The lines of a text as Markdown counts them, each with its line end."""
    return _LINE.findall(text)


def continuation(nest: Nest) -> str:
    """What a line must begin with to go on in a block that stands there."""
    return "> ".join(" " * columns for columns in nest)


def merge(outer: Nest, inner: Nest) -> Nest:
    """`inner`, seen from outside a text out of which the columns of `outer` were taken."""
    return tuple(columns + (outer[i] if i < len(outer) else 0) for i, columns in enumerate(inner))


def dedent(line: str, nest: Nest) -> tuple[str, Nest]:
    """The line without the columns of the lists around it, quote marks kept; and which of the lists go on after it."""
    out, rest = "", line
    for quotes, columns in enumerate(nest):
        body = rest.lstrip(" \t")
        if not body.strip():
            return out + rest[min(columns, len(rest) - len(body)) :], nest
        indent = rest[: len(rest) - len(body)].expandtabs(4)
        taken = min(columns, len(indent))
        rest = indent[taken:] + body if taken else rest
        if taken < columns:
            return out + rest, (*nest[:quotes], taken)
        if quotes < len(nest) - 1:
            mark = re.match(r" {0,3}> ?", rest)
            if mark is None:
                return out + rest, nest[: quotes + 1]
            out, rest = out + mark[0], rest[mark.end() :]
    return out + rest, nest


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block that holds no other block. `start` and `end` are characters: of its first line, and after its last.

    `head` is what stands before it in its first line (list markers, quote marks), `nest` what stands before the others.
    `marker` and `info` belong to a fence, `level` to a heading; `rows` are the starts of the lines of a table or code,
    `cells` a table's cells as written, header first, `align` its columns ("left", "right", "center", "").
    """

    kind: Kind
    start: int
    end: int
    nest: Nest
    head: str
    marker: str = ""
    info: str = ""
    closed: bool = True
    level: int = 0
    rows: tuple[int, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    align: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Boundary:
    """A line at which a block begins inside `depth` lists, items and quotes.

    `number` is set when a list counts differently from what is written there: it is the marker to write instead, and
    `after` is where the written one ends.
    """

    at: int
    depth: int
    nest: Nest
    number: str = ""
    after: int = 0


@dataclass(frozen=True, slots=True)
class Blocks:
    leaves: tuple[Leaf, ...]
    boundaries: tuple[Boundary, ...]


@lru_cache(maxsize=32)
def blocks(markdown: str) -> Blocks:
    """The blocks of a text, in order."""
    return _Reader(markdown).read()


class _Reader:
    """Walks the parser's tokens and keeps account of the lists and quotes around them."""

    def __init__(self, markdown: str) -> None:
        self.text = markdown
        self.lines = lines(markdown)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.leaves: list[Leaf] = []
        self.boundaries: dict[int, Boundary] = {}
        self.around: list[tuple[Nest, int]] = [((0,), 0)]  # nest and depth inside each open container
        self.counts: list[int] = []  # the number of the next item of each open list, 0 for bullets

    def read(self) -> Blocks:
        text = self.text if self.text.endswith(("\n", "\r")) else self.text + "\n"
        tokens = _PARSER.parse(text)
        for i, token in enumerate(tokens):
            nest, depth = self.around[-1]
            if token.nesting >= 0 and token.map and token.type in _OPENERS:
                self._boundary(token, nest, depth)
            match token.type:
                case "blockquote_open":
                    self.around.append(((*nest, 0), depth + 1))
                case "bullet_list_open" | "ordered_list_open":
                    self.around.append((nest, depth + 1))
                    start = token.attrGet("start")
                    self.counts.append(0 if token.type[0] == "b" else 1 if start is None else int(start))
                case "list_item_open":
                    self.around.append((self._item(token, nest), depth + 1))
                case "blockquote_close" | "list_item_close":
                    self.around.pop()
                case "bullet_list_close" | "ordered_list_close":
                    self.around.pop()
                    self.counts.pop()
                case kind if kind in _KINDS:
                    self._leaf(_KINDS[kind], tokens, i, nest)
        return Blocks(tuple(self.leaves), tuple(self.boundaries.values()))

    def _boundary(self, token: Token, nest: Nest, depth: int) -> None:
        assert token.map is not None
        line = token.map[0]
        number, after = "", 0
        if token.type == "list_item_open" and token.info:
            number = f"{self.counts[-1]}{token.markup}"
            self.counts[-1] += 1
            if number == token.info + token.markup:
                number = ""
            else:
                after = self.starts[line] + self._segment(line, nest) + len(token.info) + 1
                after += self.text[self.starts[line] + self._segment(line, nest) :].find(token.info)
        if line not in self.boundaries:
            self.boundaries[line] = Boundary(self.starts[line], depth, nest, number, after)

    def _segment(self, line: int, nest: Nest) -> int:
        """Where, in characters of that line, a block inside those lists and quotes begins."""
        text, at = self.lines[line], 0
        for _ in nest[1:]:
            found = text.find(">", at)
            if found < 0:
                return 0  # a lazy line
            at = found + (2 if text[found + 1 : found + 2] == " " else 1)
        return min(at + nest[-1], len(text))

    def _item(self, token: Token, nest: Nest) -> Nest:
        assert token.map is not None
        line = token.map[0]
        rest = self.lines[line][self._segment(line, nest) :].expandtabs(4).rstrip("\r\n")
        found = _MARKER.match(rest)
        if found is None:
            return nest
        space = len(found[1])
        content = found.end() - space + (space if 1 <= space <= 4 and rest[found.end() :] else 1)
        return (*nest[:-1], nest[-1] + content)

    def _cells(self, line: int, nest: Nest) -> list[str]:
        """All cells of a row: the parser drops those beyond the header's, mostly code with a bar in it."""
        cells = escapedSplit(self.lines[line][self._segment(line, nest) :].strip())
        cells = cells[1:] if cells and not cells[0].strip() else cells
        return [cell.strip() for cell in (cells[:-1] if cells and not cells[-1].strip() else cells)]

    def _leaf(self, kind: Kind, tokens: list[Token], i: int, nest: Nest) -> None:
        token = tokens[i]
        assert token.map is not None
        first, last = token.map[0], min(token.map[1], len(self.lines))
        while kind in ("code", "html") and last > first + 1 and not self.lines[last - 1].strip():
            last -= 1
        closed, level = True, 0
        cells: list[list[str]] = []
        align: list[str] = []
        if kind == "fence":
            closed = token.map[1] - token.map[0] == token.content.count("\n") + 2
        elif kind == "heading":
            level = int(token.tag[1])
        elif kind == "table":
            for inner in tokens[i + 1 :]:
                if inner.type == "table_close":
                    break
                if inner.type == "th_open":
                    align.append(str(inner.attrGet("style") or "").removeprefix("text-align:"))
                elif inner.type == "tr_open" and inner.map:
                    cells.append(self._cells(inner.map[0], nest))
            cells = [_folded(row, len(align)) for row in cells]
        head = self.lines[first][: self._segment(first, nest)]
        self.leaves.append(
            Leaf(
                kind=kind,
                start=self.starts[first],
                end=self.starts[last],
                nest=nest,
                head=head,
                marker=token.markup if kind == "fence" else "",
                info=token.info.strip() if kind == "fence" else "",
                closed=closed,
                level=level,
                rows=tuple(self.starts[first:last]) if kind in ("table", "fence", "code", "html") else (),
                cells=tuple(map(tuple, cells)),
                align=tuple(align),
            )
        )


def _folded(row: list[str], columns: int) -> list[str]:
    """The row with as many cells as the header: those too many are joined, first where a bar stands in code."""
    cells = list(row)
    while len(cells) > columns:
        odd = (i for i, cell in enumerate(cells[:-1]) if cell.count("`") % 2)
        i = next(odd, len(cells) - 2)
        cells[i : i + 2] = [f"{cells[i]} | {cells[i + 1]}"]
    return cells + [""] * (columns - len(cells))


_OPENERS = {*_KINDS, "blockquote_open", "bullet_list_open", "ordered_list_open", "list_item_open"}
