"""Reads a web page as people see it: without scripts, styles and markup; the rows of tables stay rows."""

from html.parser import HTMLParser

from core.files.child.isolation import Budget
from core.files.child.lines import Lines, table_row
from core.files.part import Part

_PIECE = 65_536  # characters between two looks at the budget, or more
_UNSEEN = frozenset({"script", "style", "noscript", "template", "svg", "math", "object", "iframe", "textarea"})
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main"),
        *("nav", "ol", "p", "pre", "section", "summary", "table", "title", "tr", "ul"),
    }
)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()
        self._line: list[str] = []
        self._cells: list[str] | None = None  # of the row that is open, without the cell that is
        self._hidden = ""  # the tag whose content is not shown
        self._depth = 0  # how many of it are open
        self._pre = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            self._depth += tag == self._hidden
        elif tag in _UNSEEN:
            self._hidden, self._depth = tag, 1
        elif tag in ("td", "th"):
            if self._cells is not None:
                self._cells.append(self._taken())
        elif tag == "img":
            if words := dict(attrs).get("alt"):
                self._line.append(f"[picture: {words}]")
        elif tag == "br" or tag in _BLOCKS:
            self._break()
            self._begin(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._depth -= tag == self._hidden
            if not self._depth:
                self._hidden = ""
        elif tag in ("tr", "table"):
            self._end_row()
        elif tag in _BLOCKS:
            self._break()
            self._pre = self._pre and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._pre:
            *whole, data = data.split("\n")
            for line in whole:
                self._line.append(line)
                self._break()
        self._line.append(data)

    def close(self) -> None:
        super().close()
        self._end_row()
        self._break()

    def _begin(self, tag: str) -> None:
        if tag == "tr":
            self._end_row()
            self._cells = []
        elif tag == "pre":
            self._pre = True
        elif tag == "li":
            self._line.append("- ")
        elif tag[0] == "h" and tag[1:].isdigit():
            self._line.append("#" * int(tag[1:]) + " ")

    def _taken(self) -> str:
        text = "".join(self._line)
        self._line = []
        return text.rstrip() if self._pre else " ".join(text.split())

    def _break(self) -> None:
        """A line ends here; within a row, a word does."""
        if self._cells is not None:
            self._line.append(" ")
        elif text := self._taken():
            self.lines.add(text)

    def _end_row(self) -> None:
        if self._cells is not None:
            cells, self._cells = [*self._cells, self._taken()][1:], None  # before the first cell there is none
            if any(cells):
                self.lines.add(table_row(cells))


def read(text: str, budget: Budget) -> tuple[list[Part], str]:
    """The page's text; of a page that takes too long, its beginning.

    A tag that has not ended yet, such as one with a picture in it, is read again with each piece. So each piece is at
    least as long as what is left of those before: however long the tag, that only doubles the work.
    """
    page, begin = _Page(), 0
    while begin < len(text):
        if budget.spent:
            return [page.lines.part()], f"Only the first {begin / len(text):.0%} of the page was read."
        end = begin + max(_PIECE, len(page.rawdata))
        page.feed(text[begin:end])
        begin = end
    page.close()
    return [page.lines.part()], ""
