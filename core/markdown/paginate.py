"""Pages: a text that grows, as messages within a limit; a page is closed for good once text beyond it does not fit."""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.markdown.break_points import BreakPoint
from core.markdown.incomplete import finish, mend
from core.markdown.nesting import Nest, dedent, lines, merge
from core.markdown.page_break import find_break, find_early_break, force_break
from core.markdown.stable_prefix import stable_length

_NUMBERED = re.compile(r" {0,3}\d{1,9}[.)]\s")
_ROOM = "\n\n" + "x" * 400  # how far before its limit a page that can't be rewritten looks for a good end
_WINDOW = 4096  # characters looked at beyond those of the frame before; doubled until a page is full


@dataclass(frozen=True, slots=True)
class Pages:
    """`closed`: Markdown of pages that never change again. `open`: of the page that grows, healed so that it parses.

    `raw` is that page as it came, with nothing closed or held back. `starts`: where in the text each page begins, the
    open one last. `lead`: what the open page reopens before its text, `nest`: the columns of the lists in which that
    stands and which are taken out of it.
    """

    closed: tuple[str, ...] = ()
    open: str = ""
    raw: str = ""
    starts: tuple[int, ...] = (0,)
    lead: str = ""
    nest: Nest = (0,)


def flow(pages: Pages, text: str, fits: Callable[[str], bool], *, final: bool, append_only: bool = False) -> Pages:
    """The pages of a text that begins as it did when `pages` was made, and may have grown.

    `fits` says whether Markdown is within one page's limits. `final`: nothing will be added any more; the text is then
    shown as it is. `append_only`: of a page's raw text as much as is `sure` may have been shown and can't be taken
    back, so that no page ends before that. The cost is that of the open page, however long the text before it.
    """
    size = len(pages.raw) + _WINDOW
    while True:
        view = _View(text, pages, size)
        markdown = view.markdown
        growing = not (final and view.whole)
        mended = mend(markdown)
        shown = mended.of(markdown) if growing else finish(markdown)
        if not markdown[view.begin :].strip():
            shown = ""
        settled = mended.settled if growing else len(markdown)
        floor = stable_length(pages.raw) if append_only else 0
        fitting, point = not shown or fits(shown), None
        if not fitting:
            point = find_break(markdown, view.begin, settled, fits, growing=growing, floor=floor)
        elif floor and growing and not fits(shown + _ROOM):
            point = find_early_break(markdown, view.begin, settled, fits, floor)
        if fitting and point is None:
            if view.whole:
                return replace(pages, open=shown, raw=markdown)
            size *= 2
            continue
        if point is None and pages.lead and floor <= view.begin:
            pages = replace(pages, lead="", nest=(0,), raw="")  # what is reopened leaves no room for text
            continue
        pages = _close(pages, view, point or force_break(markdown, floor))


def _close(pages: Pages, view: "_View", point: BreakPoint) -> Pages:
    lead = point.lead if len(point.lead) * 2 <= point.end or len(point.lead) < 16 else ""
    return Pages(
        closed=(*pages.closed, point.page(view.markdown)),
        starts=(*pages.starts, view.source(point.next)),
        lead=lead,
        nest=merge(view.nest(point.next), point.nest),
    )


class _View:
    """The open page's part of the text, without the columns of lists that began on earlier pages, after its lead."""

    def __init__(self, text: str, pages: Pages, size: int) -> None:
        start = pages.starts[-1]
        window = text[start : start + size]
        self.whole = start + size >= len(text)
        self.begin = len(pages.lead)
        self._ends: list[int] = []  # where each line's text ends, here
        self._sources: list[int] = []  # and in the whole text
        self._starts: list[int] = []  # where it begins there
        self._nests: list[Nest] = []
        nest, parts, at, source = pages.nest, [pages.lead], len(pages.lead), start
        fresh = start == 0 or text[start - 1] in "\r\n"
        for raw in lines(window):
            source += len(raw)
            body = raw.rstrip("\r\n")
            line = body
            if fresh:
                line, inner = dedent(body, nest)
                if inner != nest and _NUMBERED.match(line):
                    # What ended the list's last paragraph was its column, now gone; a number alone would not.
                    parts.append("\n")
                    self._ends.append(at)
                    self._sources.append(source - len(raw))
                    self._starts.append(source - len(raw))
                    self._nests.append(nest)
                    at += 1
                nest = inner
            fresh = True
            at += len(line)
            self._ends.append(at)
            self._sources.append(source - len(raw) + len(body))
            self._starts.append(source - len(raw))
            self._nests.append(nest)
            parts.append(line)
            if len(raw) > len(body):
                parts.append("\n")
                at += 1
        self.markdown = "".join(parts)

    def source(self, at: int) -> int:
        """Where in the whole text a point of this one is: as far from the line's end, as only beginnings differ."""
        line = bisect_left(self._ends, at)
        return max(self._sources[line] - (self._ends[line] - at), self._starts[line])

    def nest(self, at: int) -> Nest:
        """The columns that were taken out of the line at that point."""
        return self._nests[min(bisect_left(self._ends, at), len(self._nests) - 1)]
