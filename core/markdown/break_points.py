"""BreakPoint: a place where a page may end, with what closes that page and what begins the next one."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate

from wcwidth import grapheme_boundary_before, iter_graphemes

from core.markdown.blocks import Blocks, Leaf
from core.markdown.incomplete import MAX_DEPTH, closing, finish
from core.markdown.nesting import Nest, dedent
from core.markdown.spans import Inline, inline


class Rank(IntEnum):
    """Kinds of break points, the best first."""

    BLOCK = 0  # between outermost blocks
    ITEM = 1  # between items of a list, blocks of a quote
    NESTED = 2  # deeper
    BLANK = 3  # at a blank line of code
    ROW = 4  # at a line of code or a table
    SENTENCE = 5
    WORD = 6
    GRAPHEME = 7  # inside a word
    INSIDE = 8  # inside code or a link that fills a page
    ANYWHERE = 9


_SENTENCE = re.compile(r"[.!?…]+[\"'”’»)\]*_~`]*(?=\s)|[。！？]+[」』）”’》*_~]*|\S(?=[ \t]*\n)")
_WORD = re.compile(r"\S(?=\s)|[，、；：]+[*_~]*")
_ENTITY = re.compile(r"&#?\w{1,31};")
# What would turn into a list, heading, quote, table, fence, rule or HTML at the start of a line.
_BLOCKISH = re.compile(
    r"[-+*](?:\s|$)|#{1,6}(?:\s|$)|[>|]|[=-]+\s*$|-{2,}|```|~~~|\d{1,9}[.)](?:\s|$)|<[!?/a-zA-Z]", re.MULTILINE
)
_SPACE = re.compile(r"\s*")
_HALF_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """The page is the text before `end`, then `close`. The next is `lead`, then the text from `next` on, in `nest`."""

    rank: Rank
    end: int
    next: int
    close: str = ""
    lead: str = ""
    nest: Nest = (0,)

    def page(self, text: str) -> str:
        """The page as it is shown. Without the text after it, a last line may have become the beginning of a fence."""
        return finish(text[: self.end].rstrip() + self.close)


def _quotes(nest: Nest) -> str:
    return "> " * (len(nest) - 1)


def points_between_blocks(text: str, found: Blocks) -> list[BreakPoint]:
    """The points between blocks, between lines of code and between rows of tables."""
    points, ends = [], {leaf.end: leaf for leaf in found.leaves}
    before: Leaf | None = None
    starts = iter(sorted(ends))
    upcoming = next(starts, None)
    for at in found.boundaries:
        while upcoming is not None and upcoming <= at.at:
            before, upcoming = ends[upcoming], next(starts, None)
        rank = (Rank.BLOCK, Rank.ITEM, Rank.NESTED)[min(at.depth, 2)]
        if before is not None and before.kind == "heading":
            rank = Rank.WORD  # a heading stays with its text
        elif before is not None and text[max(0, before.end - 200) : before.end].rstrip().endswith((":", "：")):
            rank = Rank.SENTENCE
        lead = _quotes(at.nest) + at.number if at.number else ""
        points.append(BreakPoint(rank, at.at, at.after if at.number else at.at, lead=lead, nest=at.nest))
    for leaf in found.leaves:
        points += _rows(text, leaf)
    return points


def _rows(text: str, leaf: Leaf) -> Iterator[BreakPoint]:
    if not leaf.rows:
        return
    close, lead = _reopening(text, leaf)
    last = len(leaf.rows) - (1 if leaf.kind == "fence" and leaf.closed else 0)
    ends = (*leaf.rows[1:], leaf.end)
    blank = [not text[row:end].strip(" \t\r\n>") for row, end in zip(leaf.rows, ends, strict=True)]
    upcoming = list(range(last))  # the next row that has text
    for i in range(last - 1, -1, -1):
        if leaf.kind != "table" and blank[i]:
            upcoming[i] = upcoming[i + 1] if i + 1 < last else last
    for i in range({"fence": 2, "table": 3}.get(leaf.kind, 1), last):
        if upcoming[i] < last:
            rank = Rank.BLANK if blank[i - 1] and leaf.kind != "table" else Rank.ROW
            yield BreakPoint(rank, leaf.rows[i], leaf.rows[upcoming[i]], close, lead, leaf.nest)


def _reopening(text: str, leaf: Leaf) -> tuple[str, str]:
    """What closes a fence or table at a break, and what opens it again on the next page."""
    quotes = _quotes(leaf.nest)
    if leaf.kind == "fence":
        return closing(leaf), f"{quotes}{leaf.marker}{leaf.info if len(leaf.info) <= 40 else ''}\n"
    if leaf.kind == "table":
        header = text[leaf.rows[0] + len(leaf.head) : leaf.rows[1]].strip()
        rule = dedent(text[leaf.rows[1] : leaf.rows[2] if len(leaf.rows) > 2 else leaf.end], leaf.nest)[0].strip()
        return "", f"{quotes}{header}\n{rule}\n"
    return "", ""


def is_whole(text: str, point: BreakPoint) -> bool:
    """Whether neither side of the break splits a grapheme cluster."""
    for at in {point.end, point.next}:
        if _HALF_PAIR.match(text, at - 1):
            return False
        if text[at - 1 : at + 1].isascii() and text[at - 1 : at + 1] != "\r\n":
            continue
        if at < len(text) and grapheme_boundary_before(text, at + 1) != at:
            return False
    return True


class Region:
    """The part of one block in which a page ends when no point between blocks or rows is good enough."""

    def __init__(self, text: str, found: Blocks, start: int, stop: int, growing: bool) -> None:
        self.text, self.start, self.stop = text, start, stop
        self.leaf = next((leaf for leaf in found.leaves if leaf.end > start and leaf.start < stop), None)
        self.base = self.leaf.start if self.leaf else start
        self.code = self.leaf is not None and self.leaf.kind in ("fence", "code")
        self.marks = Inline() if self.code else inline(text[self.base : self.leaf.end if self.leaf else stop])
        last = self.leaf is not None and self.leaf is found.leaves[-1]
        self.openers: tuple[int, ...] = self.marks.openers if growing and last else ()
        self.sorted = sorted(self.marks.pairs)
        # The pairs around the place that was looked at last, and how many of all begin before it.
        self.around: list[tuple[int, int]] = []
        self.pairs = self.swept = 0
        self.close, self.lead = _reopening(text, self.leaf) if self.leaf else ("", "")
        if self.leaf is not None and self.leaf.kind == "fence" and self.leaf.rows[1:]:
            self.start = max(self.start, self.leaf.rows[1])

    def words(self) -> list[BreakPoint]:
        """The points after sentences and words."""
        ranks: dict[int, Rank] = {}
        sentence = () if self.code else _SENTENCE.finditer(self.text, self.start, self.stop)
        for match in sentence:
            ranks[match.end()] = Rank.SENTENCE
        for match in _WORD.finditer(self.text, self.start, self.stop):
            ranks.setdefault(match.end(), Rank.WORD)
        points = (self._at(end, ranks[end]) for end in sorted(ranks) if not self._inside(end))
        return [point for point in points if point is not None and not self._misread(point)]

    def letters(self) -> list[int]:
        """Where the graphemes of the region end."""
        return list(accumulate(map(len, iter_graphemes(self.text[self.start : self.stop])), initial=self.start))[1:]

    def letter(self, at: int, *, strict: bool) -> BreakPoint | None:
        """The point after that grapheme, unless it is (with `strict`) inside links, code or marks."""
        around = self.text[at - 1 : at + 1]
        if strict and (self._inside(at) or (not self.code and set(around) & set("*_~`[]()!<\\"))):
            return None
        if strict and any(m.start() < at < m.end() for m in _ENTITY.finditer(self.text, max(0, at - 40), at + 40)):
            return None
        point = self._at(at, Rank.GRAPHEME if strict else Rank.INSIDE)
        whole = point is not None and is_whole(self.text, point) and not (strict and self._misread(point))
        return point if whole else None

    def _inside(self, at: int) -> bool:
        return self.marks.inside(at - self.base) is not None

    def _misread(self, point: BreakPoint) -> bool:
        """Whether the text after that point would mean something else at the beginning of a line."""
        if self.code:
            return self.leaf is not None and self.text[point.next :].startswith(self.leaf.marker[:1] or "\n")
        return self.leaf is None or (self.leaf.kind != "table" and bool(_BLOCKISH.match(self.text, point.next)))

    def _at(self, end: int, rank: Rank) -> BreakPoint | None:
        space = _SPACE.match(self.text, end)
        go_on = space.end() if space else end
        nest = self.leaf.nest if self.leaf else (0,)
        newline = "\n" in self.text[end:go_on]
        if self.code or (self.leaf is not None and self.leaf.kind == "table"):
            if newline:
                return None
            cells = self._cells(end) if self.leaf is not None and self.leaf.kind == "table" else ""
            if cells is None:
                return None
            return BreakPoint(rank, end, go_on, self.close, self.lead + cells, nest)
        if newline and len(nest) > 1:
            for _ in nest[1:]:
                mark = re.match(r">\s?", self.text[go_on : go_on + 2])
                go_on += mark.end() if mark else 0
        opened = self._opened(end - self.base)
        code = self.marks.inside(end - self.base)
        if code is not None and code.kind == "code":
            ticks = re.match(r"`+", self.text[self.base + code.start :])
            opened += ticks[0] if ticks else ""
        return BreakPoint(rank, end, go_on, opened[::-1], _quotes(nest) + opened, nest)

    def _opened(self, at: int) -> str:
        """The marks that are open there."""
        if at < self.swept:
            self.pairs, self.around = 0, []
        self.swept = at
        while self.pairs < len(self.sorted) and self.sorted[self.pairs][0] < at:
            self.around.append(self.sorted[self.pairs])
            self.pairs += 1
        while self.around and self.around[-1][1] < at:  # pairs are nested: the last one ends first
            self.around.pop()
        spans = [start for start, end in self.around[-2 * MAX_DEPTH :] if at <= end]
        upto = bisect_left(self.openers, at)
        starts = sorted((*spans, *self.openers[max(0, upto - MAX_DEPTH) : upto]))[-MAX_DEPTH:]
        marks = (self.text[self.base + start] for start in starts)
        return "".join("~~" if mark == "~" else mark for mark in marks)

    def _cells(self, at: int) -> str | None:
        """Empty cells that put the rest of a row back into its column; None where no cell has begun."""
        assert self.leaf is not None
        row = max(start for start in self.leaf.rows if start < at)
        before = dedent(self.text[row:at], self.leaf.nest)[0].lstrip(" >")
        if not before.strip(" |"):
            return None
        bars = before.count("|") - before.count("\\|")
        return _quotes(self.leaf.nest) + "| " * (bars if before.startswith("|") else bars + 1)
