"""Tables of figures as Markdown, and the few statistics in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """The result of one case. `setting` says how it was measured, `notes` how to read it."""

    title: str
    setting: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in (self.columns, *self.rows)) for i in range(len(self.columns))]
        rule = "|".join(("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":") for i, width in enumerate(widths))
        lines = [f"### {self.title}", "", self.setting, "", _line(self.columns, widths), f"|{rule}|"]
        lines += [_line(row, widths) for row in self.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    padded = [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(pairs)]
    return f"| {' | '.join(padded)} |"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1e3:.1f}"


def us(seconds: float) -> str:
    """Seconds as microseconds."""
    return f"{seconds * 1e6:,.0f}"


def ratio(value: float, floor: float) -> str:
    """A multiple of the floor."""
    return f"{value / floor:.1f} ×"
