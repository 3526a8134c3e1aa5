"""Pages: a growing text as messages within a limit; a page is closed for good once the text after it does not fit.

A model writes Markdown, letter by letter, and often more than one message holds. After each letter people should see
messages that look right: within the platform's limit, no code block without its end, no half link, and never a
message that changes after the next one has begun. `flow` does this. It takes the pages so far and the text so far,
and returns the pages now.

There are closed pages and one open page. The open page begins where the last closed one ended. As long as the rest of
the text fits, it is the open page. When it no longer fits, `find_break` looks for the best place to end the page; the
page is closed, and what follows begins the next one. Closed pages are never looked at again, so a new word costs the
same on page 1 as on page 100. Even a text that arrives all at once is only looked at in windows, as far as a page can
reach.

A page may end at many places, and some are better than others (`Rank`): between blocks, between items of a list, at a
blank line of code, between rows, sentences, words, and at worst between two letters as a reader sees them, since an
emoji may have many characters. A better place wins over a later one if it leaves the page full enough. Some places
look harmless and are not: a heading stays with its text, a link or a piece of inline code stays whole unless it fills
a page by itself, and no page begins with a word that would be read there as a list or a heading. Nor, if possible,
does a page end in text whose meaning may yet change (`settled`), because a closed page can't be corrected.

A break can fall inside something that is still open. Then each half is made whole. The page gets what closes it
(`close`): the end of the code block, or the marks that end bold text. The next page begins with what opens it again
(`lead`): the fence with its language, the head of the table, the marks, the number that a list has reached. A list
that goes on has lost its first line, and with it the reason for its indentation. So the columns of all lists that
began on earlier pages are taken out of the following lines (`nest`); `_View` does that, and knows for every place in
this shortened text where it is in the whole one.

The open page is unfinished, because the model is in the middle of something. `mend` makes it whole. Bold text and code
that have begun are closed. What can't be shown yet is held back: half a link, half an emoji, a row of a table, a dash
that may become a list. It is held back for HOLD_CHARACTERS at most; after that it counts as plain text. When the
answer is complete, nothing is mended any more but a code block without its end: people see what the model wrote.

Some surfaces can only append: what is sent can be neither changed nor closed. For these a page also has its `raw`
text, and `stable_length` says how much of it keeps its meaning whatever comes next; they show that much. It has two
consequences here. A page never ends before the text that may have been shown (`floor`). And a page that is nearly
full takes the next good place to end (`find_early_break`): if it waited until the text no longer fits, the best places
would be behind it, and it might have to cut a word.

"""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.markdown.break_points import BreakPoint
from core.markdown.incomplete import finish, mend, mending
from core.markdown.nesting import Nest, dedent, lines, merge
from core.markdown.page_break import find_break, find_early_break, force_break
from core.markdown.stable_prefix import stable_length
from core.pauses import Pausing, at_once

_NUMBERED = re.compile(r" {0,3}\d{1,9}[.)]\s")
_ROOM = "\n\n" + "x" * 400  # this far before its limit, a page that can't be rewritten looks for a good end
_WINDOW = 1024  # characters to look at beyond those of the frame before; doubled until a page is full
LONGEST_PAGE = 16_000
"""In characters of its text, of which the dialects may drop some, such as white space."""
MOST_LINES = 600
"""Of a page. Reading a list costs as much for each item, however short it is."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The Markdown of the pages that never change again (`closed`) and of the page that grows (`open`), mended.

    `raw` is the open page as it came, with nothing closed or held back. `starts` says where in the text each page
    begins, the open one last. `lead` is what the open page reopens before its text; `nest` holds the columns of the
    lists around that text, which are taken out of it.
    """

    closed: tuple[str, ...] = ()
    open: str = ""
    raw: str = ""
    starts: tuple[int, ...] = (0,)
    lead: str = ""
    nest: Nest = (0,)


def flow(pages: Pages, text: str, fits: Callable[[str], bool], *, final: bool, append_only: bool = False) -> Pages:
    """The pages of a text that begins as it did when `pages` was made, and may have grown.

    `fits` says whether Markdown is within the limits of one page. `final`: the text is complete and shown as it is.
    `append_only`: the first `stable_length` characters of a page's raw text may be on screen and can't be taken back,
    so no page ends before them. The cost depends on the open page, however long the text before it is.
    """
    while True:
        pages, complete = at_once(step(pages, text, fits, final=final, append_only=append_only))
        if complete:
            return pages


def step(
    pages: Pages, text: str, fits: Callable[[str], bool], *, final: bool, append_only: bool = False
) -> Pausing[tuple[Pages, bool]]:
    """The same up to the end of the next page, and whether that is all. So nobody has to wait for many pages, and
    there is a pause whenever much of a long page has been read.
    """
    size, fitted = len(pages.raw) + _WINDOW, len(pages.raw)
    if not pages.raw and len(pages.starts) > 1:
        size = max(size, pages.starts[-1] - pages.starts[-2])  # most pages hold about as much as the one before
    while True:
        view = _View(text, pages, size)
        markdown = view.markdown
        growing = not (final and view.whole)
        is_long = len(markdown) > _WINDOW
        if is_long:
            yield
        mended = (yield from mending(markdown)) if is_long else mend(markdown)
        shown = mended.of(markdown) if growing else finish(markdown)
        if not markdown[view.begin :].strip():
            shown = ""
        settled = mended.settled if growing else len(markdown)
        if is_long:
            yield
        floor = stable_length(pages.raw) if append_only else 0
        most = _most(markdown)
        short = len(markdown) <= most
        fitting, point = short and (not shown or fits(shown)), None
        if not fitting:
            markdown = markdown[:most]
            yield
            point = yield from find_break(
                markdown, view.begin, min(settled, most), fits, growing=growing, floor=floor, fitted=fitted
            )
        elif floor and growing and not fits(shown + _ROOM):
            yield
            point = yield from find_early_break(markdown, view.begin, settled, fits, floor)
        if fitting and point is None:
            if view.whole:
                return replace(pages, open=shown, raw=markdown), True
            size, fitted = 2 * size, len(markdown)
            continue
        if point is None and pages.lead and floor <= view.begin:
            pages = replace(pages, lead="", nest=(0,), raw="")  # what is reopened leaves no space for text
            continue
        if point is None:
            point = yield from force_break(markdown, fits, floor)
        yield
        return _close(pages, view, markdown, point), False


def split(text: str, fits: Callable[[str], bool]) -> Pausing[tuple[str, ...]]:
    """A complete text as the Markdown of its pages; none if there is nothing to see."""
    pages, complete = Pages(), False
    while not complete:
        pages, complete = yield from step(pages, text, fits, final=True)
    return tuple(page for page in (*pages.closed, pages.open) if page)


def _most(markdown: str) -> int:
    """How many characters of the text one page may hold at most, whatever the platform's limit."""
    if markdown.count("\n") <= MOST_LINES:
        return LONGEST_PAGE
    return min(LONGEST_PAGE, len(markdown) - len(markdown.split("\n", MOST_LINES)[-1]))


def _close(pages: Pages, view: "_View", markdown: str, point: BreakPoint) -> Pages:
    lead = point.lead if len(point.lead) * 2 <= point.end or len(point.lead) < 16 else ""
    return Pages(
        closed=(*pages.closed, point.page(markdown)),
        starts=(*pages.starts, view.source(point.next)),
        lead=lead,
        nest=merge(view.nest(point.next), point.nest),
    )


class _View:
    """The open page's part of the text after its lead, without the columns of lists that began on earlier pages."""

    def __init__(self, text: str, pages: Pages, size: int) -> None:
        start = pages.starts[-1]
        window = text[start : start + size]
        self.whole = start + size >= len(text)
        self.begin = len(pages.lead)
        self._ends: list[int] = []  # where the text of each line ends in this view
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
                    # Its column ended the list's last paragraph. That column is gone, and a number alone ends none.
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
        """Where in the whole text a place of this view is: equally far from its line's end; only beginnings differ."""
        line = bisect_left(self._ends, at)
        return max(self._sources[line] - (self._ends[line] - at), self._starts[line])

    def nest(self, at: int) -> Nest:
        """The columns that were taken out of the line at that place."""
        return self._nests[min(bisect_left(self._ends, at), len(self._nests) - 1)]
