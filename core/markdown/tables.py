"""Cells of a table, their alignment, and the table drawn with characters of one width."""

from collections.abc import Sequence

from markdown_it.rules_block.table import escapedSplit
from wcwidth import wcswidth

from core.markdown.blocks import Leaf
from core.markdown.nesting import dedent, lines

Cells = tuple[tuple[str, ...], ...]


def cells(leaf: Leaf, text: str) -> Cells:
    """The cells of a table with this text, as written, header first; each row has as many cells as the header."""
    return grid(_lines(leaf, text))


def grid(bare: Sequence[str]) -> Cells:
    """The cells of a table in these lines: its header, the rule below that, and its rows."""
    header, _, *rows = map(_row, bare)
    return tuple(tuple(_folded(row, len(header))) for row in (header, *rows))


def alignment(leaf: Leaf, text: str) -> tuple[str, ...]:
    """The alignment of each column: "left", "right", "center" or ""."""
    ends = [(cell.strip()[:1] == ":", cell.strip()[-1:] == ":") for cell in _row(_lines(leaf, text)[1])]
    names = {(True, True): "center", (False, True): "right", (True, False): "left"}
    return tuple(names.get(end, "") for end in ends)


def complete(leaf: Leaf, text: str) -> str:
    """The table's Markdown with all its text shown: cells beyond the header's, which Markdown drops, are joined."""
    bare = _lines(leaf, text)
    columns, out = len(_row(bare[0])), []
    for line, inner in zip(lines(text), bare, strict=True):
        found = _row(inner)
        if len(found) > columns:
            row = " | ".join(cell.replace("|", "\\|") for cell in _folded(found, columns))
            line = f"{line.removesuffix(inner)}| {row} |{inner[len(inner.rstrip()) :]}"
        out.append(line)
    return "".join(out)


def drawn(rows: Sequence[Sequence[str]], align: Sequence[str] = ()) -> list[str]:
    """The lines of a table drawn with characters of one width; the second one is a rule as long as the table is wide.
    `align` is as `alignment` returns it; without it all columns are aligned left."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    out = [" │ ".join(map(_padded, row, widths, align or [""] * len(row))).rstrip() for row in rows]
    out.insert(1, "─┼─".join("─" * width for width in widths))
    return out


def _width(text: str) -> int:
    return max(wcswidth(text), 0) or len(text)


def _padded(text: str, width: int, align: str) -> str:
    space = width - _width(text)
    left = {"right": space, "center": space // 2}.get(align, 0)
    return " " * left + text + " " * (space - left)


def _lines(leaf: Leaf, text: str) -> list[str]:
    """The lines of a table without what comes before them."""
    first, *rest = lines(text)
    return [first[len(leaf.head) :], *(dedent(line, leaf.nest)[0].lstrip(" \t>") for line in rest)]


def _row(line: str) -> list[str]:
    """All cells of a row, even those beyond the header's, which Markdown drops: most come from a bar in code."""
    found = escapedSplit(line.strip())
    found = found[1:] if found and not found[0].strip() else found
    return found[:-1] if found and not found[-1].strip() else found


def _folded(row: list[str], columns: int) -> list[str]:
    """The row with as many cells as the header; surplus cells are joined, first where a bar is inside code."""
    found: list[str] = []
    spare = len(row) - columns
    for cell in row:
        if spare > 0 and found and found[-1].count("`") % 2:
            found[-1] += f"|{cell}"
            spare -= 1
        else:
            found.append(cell)
    if spare > 0:
        found[columns - 1 :] = ["|".join(found[columns - 1 :])]
    return [cell.strip() for cell in found] + [""] * (columns - len(found))
