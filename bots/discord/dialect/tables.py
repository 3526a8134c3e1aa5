"""Shows tables in Discord, which has none: aligned in a code block, or as a list if they are too wide."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from core.markdown.blocks import Leaf
from core.markdown.nesting import continuation
from core.markdown.spans import inline
from core.markdown.tables import Cells, alignment, cells, drawn

WIDTH = 72
"""Columns that a code block shows without wrapping lines; a wider table becomes a list."""

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def table(leaf: Leaf, text: str, block: Callable[[Leaf, list[str]], str], prose: Callable[[str], str]) -> str:
    """Translate the table in `text`. `block` makes lines a code block; `prose` translates text outside of one."""
    found = cells(leaf, text)
    body = drawn([[_plain(cell) if cell else "" for cell in row] for row in found], alignment(leaf, text))
    if len(body[1]) > WIDTH:
        return leaf.head + f"\n{continuation(leaf.nest)}".join(_records(found, prose))
    return block(leaf, body)


def _records(found: Cells, prose: Callable[[str], str]) -> Iterator[str]:
    header, *rows = found
    if not any(map(any, rows)):
        yield prose(" · ".join(header))
    for row in rows:
        mark = "- "
        for name, value in zip(header, row, strict=True):
            if value:
                yield mark + prose(f"**{name.replace('**', '')}**: {value}" if name else value)
                mark = "  "


@lru_cache(maxsize=1024)
def _plain(cell: str) -> str:
    """A cell without marks, which a code block would show literally. Code and formulas keep their source text."""
    found = inline(cell)
    drop = {i for pair in found.pairs for at in pair for i in range(at, at + (2 if cell[at] == "~" else 1))}

    def words(start: int, end: int) -> str:
        return _ESCAPED.sub(r"\1", "".join(char for i, char in enumerate(cell[start:end], start) if i not in drop))

    out, at = "", 0
    for atom in found.atoms:
        text = cell[atom.start : atom.end]
        if atom.kind == "code":
            text = text.strip("`").strip()
        elif atom.kind in ("link", "image", "autolink"):
            text = atom.target if atom.label in ("", atom.target) else f"{_plain(atom.label)} ({atom.target})"
        elif atom.kind == "html" and re.fullmatch(r"<br\s*/?>", text):
            text = " "
        out, at = out + words(at, atom.start) + text, atom.end
    return (out + words(at, len(cell))).strip()
