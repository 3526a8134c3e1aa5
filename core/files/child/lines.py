"""Gathers the lines that a reader finds: their beginning and their end, in bounded memory, however many come."""

from collections import deque

from core.files.part import Part, cut

LONGEST_TEXT = 2_000_000
"""Characters of a file that leave the process: more than the largest windows of models hold."""
MOST_COLUMNS = 100
"""Columns that a table shows."""
_LONGEST_CELL = 1_000


class Lines:
    """The lines of one part of a file. Of those that come after the first half of `most` characters, it keeps the
    last."""

    def __init__(self, most: int = LONGEST_TEXT) -> None:
        self._half = most // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._room = self._half  # characters of the head that are left
        self._kept = 0  # characters of the tail
        self._lines = self._characters = 0  # what is missing
        self.seen = 0  # characters of all lines, without blanks around them

    def add(self, line: str) -> None:
        """The next line, or several."""
        self.seen += len(line.strip())
        line += "\n"
        if len(line) > self._half:
            line = cut(Part("", line), self._half - 100).text
        if not self._tail and len(line) <= self._room:
            self._head.append(line)
            self._room -= len(line)
            return
        self._tail.append(line)
        self._kept += len(line)
        while self._kept > self._half:
            gone = self._tail.popleft()
            self._kept -= len(gone)
            self._lines += gone.count("\n")
            self._characters += len(gone)

    def part(self, title: str = "") -> Part:
        """All of it."""
        head, tail = "".join(self._head), "".join(self._tail)
        if not self._characters:
            return Part(title, head + tail)
        return Part(title, head, tail, self._lines, self._characters)


class TableRows:
    """The rows of a table, as lines of a Markdown table without padding."""

    def __init__(self, most: int = LONGEST_TEXT) -> None:
        self._lines = Lines(most)
        self.rows = self.columns = 0

    def add(self, cells: list[str], columns: int = 0) -> None:
        """The next row. The first one becomes the head of the table. `columns`: see `table_row`."""
        columns = max(columns, len(cells))
        self._lines.add(table_row(cells, columns))
        if not self.rows:
            self._lines.add("|" + "---|" * min(columns, MOST_COLUMNS))
        self.rows += 1
        self.columns = max(self.columns, columns)

    def part(self, title: str) -> Part:
        """The table, with its size in the title."""
        size = f"{_count(self.rows, 'row')} × {_count(self.columns, 'column')}"
        return self._lines.part(f"{title}: {size}" if title else size)


def table_row(cells: list[str], columns: int = 0) -> str:
    """A row on one line, whatever its cells hold. `columns`: how many it has, if `cells` are only the first ones and
    those after them, as far as they are shown, are empty."""
    columns = max(columns, len(cells))
    shown = [_cell(each) for each in cells[:MOST_COLUMNS]]
    shown += [""] * (min(columns, MOST_COLUMNS) - len(shown))
    if columns > len(shown):
        shown.append(f"(… {_count(columns - len(shown), 'more column')})")
    return f"| {' | '.join(shown)} |"


def _cell(text: str) -> str:
    line = " ".join(text[: _LONGEST_CELL + 1].split()).replace("|", "\\|")
    return f"{line[:_LONGEST_CELL]}…" if len(text) > _LONGEST_CELL else line


def _count(many: int, what: str) -> str:
    return f"{many:,} {what}{'' if many == 1 else 's'}"
