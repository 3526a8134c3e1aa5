"""Tables of figures as Markdown, the few statistics in them, and their targets."""

import math
import os
import platform
import time
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


class Targets:
    """Figures beside their targets; counts the missed targets."""

    def __init__(self) -> None:
        self.missed = 0

    def __call__(self, found: float, most: float | None, digits: int = 2) -> str:
        if most is None:
            return f"{found:.{digits}f}"
        reached = found <= most
        self.missed += not reached
        return f"{found:.{digits}f} (≤ {most:g}) {'✓' if reached else '✗'}"


def machine() -> str:
    """When and on what a run was."""
    return (
        f"Nebula Bot, {time.strftime('%Y-%m-%d %H:%M %Z')}: {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}, {platform.python_implementation()} {platform.python_version()}; all on 127.0.0.1"
    )


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
