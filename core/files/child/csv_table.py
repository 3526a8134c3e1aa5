"""Reads a table that is written as text, whatever separates its cells."""

import csv

from core.files.child.isolation import Budget
from core.files.child.lines import TableRows
from core.files.part import Part

_SEPARATORS = ",;\t|"
_LOOKED_AT = 16_384  # characters
_ROWS = 1_000  # between two looks at the budget
_LONGEST_FIELD = 2**31 - 1


def read(text: str, budget: Budget) -> tuple[list[Part], str]:
    """The table; of one that takes too long, its first rows."""
    csv.field_size_limit(_LONGEST_FIELD)
    table = TableRows()
    for cells in csv.reader(text.splitlines(keepends=True), delimiter=_separator(text[:_LOOKED_AT])):
        if not cells:
            continue
        table.add(cells)
        if not table.rows % _ROWS and budget.spent:
            return [table.part("")], f"Only the first {table.rows:,} rows were read."
    return [table.part("")], ""


def _separator(begin: str) -> str:
    """The one that most lines have as often as the first."""
    lines = begin.splitlines()[:50]

    def agreement(separator: str) -> tuple[int, int]:
        counts = [line.count(separator) for line in lines]
        return sum(count == counts[0] for count in counts) if counts and counts[0] else 0, max(counts, default=0)

    return max(_SEPARATORS, key=agreement)
