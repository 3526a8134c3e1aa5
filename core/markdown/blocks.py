"""Blocks of a Markdown text with their places in it, as a real parser (CommonMark with tables) sees them."""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, fence, reference, table
from markdown_it.token import Token

from core.markdown.nesting import Nest, lines

Kind = Literal["paragraph", "heading", "fence", "code", "table", "html", "rule"]

_MARKER = re.compile(r"\s*(?:[-+*]|\d{1,9}[.)])( *)")
_RULED = re.compile(r"[ \t]*[|:-][-:| \t]*$", re.MULTILINE)
_MARKDOWN = ("markdown", "md", "mdx")
_FENCE = re.compile(r"(`{3,})[ \t]*([\w+#.-]*)[ \t]*\Z")
_KINDS: dict[str, Kind] = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "fence": "fence",
    "code_block": "code",
    "table": "table",
    "html_block": "html",
    "hr": "rule",
}
_LISTS = ("bullet_list_open", "ordered_list_open")
_OPENERS = {*_KINDS, *_LISTS, "blockquote_open", "list_item_open"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block that holds no other block, from its first character (`start`) to the one after its last line (`end`).

    `head` is what comes before it in its first line (list and quote markers), `nest` what comes before its other lines.
    `marker` and `info` belong to a fence, `level` to a heading; `rows` are where the lines of a table or
    of code begin.
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


@dataclass(frozen=True, slots=True)
class Boundary:
    """A line at which a block begins inside `depth` lists, items and quotes.

    `number` is set where a list counts differently from what is written there: it is the marker to write instead, and
    `after` is where the written one ends.
    """

    at: int
    depth: int
    nest: Nest
    number: str = ""
    after: int = 0


@dataclass(frozen=True, slots=True)
class _Seam:
    """A line from which the rest of a text can be read by itself: there an outermost block or list item begins.

    The text up to `certain` proves that. `leaves` and `boundaries` are how many come before the line. `markup` is that
    of the list that continues there, `count` the number of its next item.
    """

    at: int
    certain: int
    leaves: int
    boundaries: int
    markup: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Blocks:
    """What a text consists of, in order."""

    leaves: tuple[Leaf, ...]
    boundaries: tuple[Boundary, ...]
    seams: tuple[_Seam, ...] = field(default=(), compare=False)

    @property
    def last(self) -> Leaf | None:
        """The last leaf; None in a text without any."""
        return self.leaves[-1] if self.leaves else None


_known: deque[tuple[str, Blocks]] = deque(maxlen=64)  # the newest first
_NEAR = 256  # characters: a text that shares all but this many is similar enough
_NOTHING = _Seam(0, 0, 0, 0)
MOST_COLUMNS = 40
"""A table with more columns is shown as it is written: each of its short rows would count as so many cells."""
_MOST_DEFINITIONS = 30


def blocks(markdown: str) -> Blocks:
    """The blocks of a text, in order.

    Recent results are remembered. A text that begins like one of those is read only from the last seam that they share,
    so one more word costs as much as the last block. All tasks share this memory, which is safe on one loop.
    """
    most, like = -1, Blocks((), ())
    for text, found in _known:
        if text == markdown:
            return found
        if most < len(markdown) - _NEAR and (shared := _shared(text, markdown)) > most:
            most, like = shared, found
    i = bisect_right(like.seams, most, key=lambda seam: seam.certain)
    seam = like.seams[i - 1] if i else _NOTHING
    fresh = _Reader(markdown, seam).read()
    result = Blocks(
        like.leaves[: seam.leaves] + fresh.leaves,
        like.boundaries[: seam.boundaries] + fresh.boundaries,
        like.seams[:i] + fresh.seams,
    )
    _known.appendleft((markdown, result))
    return result


def forget() -> None:
    """Forget all results. For tests."""
    _known.clear()


def _shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    if one.startswith(other) or other.startswith(one):
        return high
    if one[:64] != other[:64]:
        return 0
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def extent(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Find only the extent of a table: splitting cells costs more than all the rest, and most callers need none."""
    head = state.src[state.bMarks[start] : state.eMarks[start]]
    if head.count("|") > MOST_COLUMNS:
        return False
    if silent or not table(state, start, end, True):
        return silent and table(state, start, end, True)
    around, state.parentType = state.parentType, "table"
    stops = state.md.block.ruler.getRules("blockquote")
    line = start + 2
    while line < end and state.sCount[line] >= state.blkIndent and not state.isEmpty(line):
        if any(rule(state, line, end, True) for rule in stops) or state.is_code_block(line):
            break
        line += 1
    state.push("table", "table", 0).map = [start, line]
    state.parentType, state.line = around, line
    return True


def nests(info: str) -> bool:
    """Whether a fence with this info may hold other fences."""
    return info.strip().lower() in _MARKDOWN


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Find a fence. One of Markdown holds other fences, and models rarely write a longer marker around them: there a
    fence with a language begins one inside, and a bare one ends the innermost.
    """
    if not fence(state, start, end, silent) or silent:
        return silent and fence(state, start, end, True)
    token = state.tokens[-1]
    if token.markup[0] != "`" or not nests(token.info):
        return True
    depth, line, nested = 1, start + 1, False
    while line < end and (state.sCount[line] >= state.blkIndent or state.isEmpty(line)):
        found = _FENCE.match(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
        if found and len(found[1]) >= len(token.markup) and not state.is_code_block(line):
            nested |= bool(found[2])
            depth += 1 if found[2] else -1
            if not depth:
                break
        line += 1
    if nested:
        token.content = state.getLines(start + 1, line, state.sCount[start], True)
        state.line = line + (not depth)
        token.map = [start, state.line]
    return True


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Find a link definition. Each look reads the rest of its paragraph, so there is a limit to them; further
    definitions are text.
    """
    if not state.src.startswith("[", state.bMarks[start] + state.tShift[start]):
        return False
    state.env["definitions"] = tried = state.env.get("definitions", 0) + 1
    return tried <= _MOST_DEFINITIONS and reference(state, start, end, silent)


def _interrupts(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Whether a block begins in this line of a paragraph. markdown-it asks seven rules about each line, twice."""
    at = state.bMarks[start] + state.tShift[start]
    if not silent or at >= state.eMarks[start]:
        return False
    if state.src[at].isalpha():
        return extent(state, start, end, True)
    return any(rule(state, start, end, True) for rule in state.md.block.ruler.getRules("reference"))


def block_parser() -> MarkdownIt:
    """A parser that finds blocks alone: paragraphs are not read, and of tables it finds only where they are."""
    parser = MarkdownIt("commonmark", {"maxNesting": 60}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    ruler = parser.block.ruler
    ruler.at("table", extent, {"alt": ["paragraph", "reference"]})
    ruler.at("fence", _fence, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    ruler.at("reference", _reference)
    for rule in ruler.__rules__:  # each that ends a paragraph also ends a link definition
        rule.alt = [name for name in rule.alt if name != "paragraph"]
    ruler.push("interrupts", _interrupts, {"alt": ["paragraph"]})
    return parser


_PARSER = block_parser()


class _Reader:
    """Walks the parser's tokens from a seam on, and keeps track of the lists and quotes around them."""

    def __init__(self, markdown: str, seam: _Seam) -> None:
        self.text, self.seam = markdown, seam
        self.lines = lines(markdown[seam.at :])
        self.starts = [seam.at]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.leaves: list[Leaf] = []
        self.boundaries: dict[int, Boundary] = {}
        self.seams: list[_Seam] = []
        self.around: list[tuple[Nest, int]] = [((0,), 0)]  # nest and depth inside each open container
        self.counts: list[int] = []  # the number of the next item of each open list, 0 for bullets

    def read(self) -> Blocks:
        text = self.text[self.seam.at :]
        tokens = _PARSER.parse(text if text.endswith(("\n", "\r")) else text + "\n")
        for i, token in enumerate(tokens):
            nest, depth = self.around[-1]
            goes_on = i == 0 and token.type in _LISTS and token.markup == self.seam.markup
            if token.nesting >= 0 and token.map and token.type in _OPENERS:
                self._seam(tokens, i, goes_on)
                if not goes_on:
                    self._boundary(token, nest, depth)
            match token.type:
                case "blockquote_open":
                    self.around.append(((*nest, 0), depth + 1))
                case "bullet_list_open" | "ordered_list_open":
                    self.around.append((nest, depth + 1))
                    start = token.attrGet("start")
                    count = 0 if token.type[0] == "b" else 1 if start is None else int(start)
                    self.counts.append(self.seam.count if goes_on else count)
                case "list_item_open":
                    self.around.append((self._item(token, nest), depth + 1))
                case "blockquote_close" | "list_item_close":
                    self.around.pop()
                case "bullet_list_close" | "ordered_list_close":
                    self.around.pop()
                    self.counts.pop()
                case kind if kind in _KINDS:
                    self._leaf(_KINDS[kind], token, nest)
        return Blocks(tuple(self.leaves), tuple(self.boundaries.values()), tuple(self.seams))

    def _seam(self, tokens: Sequence[Token], i: int, goes_on: bool) -> None:
        token = tokens[i]
        assert token.map is not None
        line = token.map[0]
        item = token.type == "list_item_open" and token.level == 1 and bool(self.counts)
        if goes_on or not line or not (token.level == 0 or item) or line + 2 >= len(self.lines):
            return
        here, upcoming = self.lines[line], self.lines[line + 1]
        # A first item is its list's own seam; and a line above a rule could be the head of a table.
        if item and (tokens[i - 1].type in _LISTS or _RULED.match(upcoming) or here.startswith("    ")):
            return
        leaves, boundaries = self.seam.leaves + len(self.leaves), self.seam.boundaries + len(self.boundaries)
        markup, count = (token.markup, self.counts[-1]) if item else ("", 0)
        self.seams.append(_Seam(self.starts[line], self.starts[line + 2], leaves, boundaries, markup, count))

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
                begin = self.starts[line] + self._segment(line, nest)
                after = self.text.find(token.info, begin) + len(token.info) + 1
        if line not in self.boundaries:
            self.boundaries[line] = Boundary(self.starts[line], depth, nest, number, after)

    def _segment(self, line: int, nest: Nest) -> int:
        """Where in that line, in characters, a block inside those lists and quotes begins."""
        text, at = self.lines[line], 0
        for _ in nest[1:]:
            found = text.find(">", at)
            if found < 0:
                return 0  # a lazy continuation line
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

    def _leaf(self, kind: Kind, token: Token, nest: Nest) -> None:
        assert token.map is not None
        first, last = token.map[0], min(token.map[1], len(self.lines))
        while kind in ("code", "html") and last > first + 1 and not self.lines[last - 1].strip():
            last -= 1
        fenced = kind == "fence"
        self.leaves.append(
            Leaf(
                kind=kind,
                start=self.starts[first],
                end=self.starts[last],
                nest=nest,
                head=self.lines[first][: self._segment(first, nest)],
                marker=token.markup if fenced else "",
                info=token.info.strip() if fenced else "",
                closed=not fenced or token.map[1] - token.map[0] == token.content.count("\n") + 2,
                level=int(token.tag[1]) if kind == "heading" else 0,
                rows=tuple(self.starts[first:last]) if kind in ("table", "fence", "code", "html") else (),
            )
        )
