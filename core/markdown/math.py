"""Formulas in LaTeX, which chat platforms can't show: kept as they are written."""

import re

from core.markdown.blocks import blocks
from core.markdown.spans import inline

LONGEST_FORMULA = 2000
"""In characters; anything longer is no formula."""

_SIGN = re.compile(r"\$|\\[\[(]")
_SIGNS = re.compile(r"[\\*_~`|\[\]]")


def escape_formulas(markdown: str) -> str:
    """The text with its formulas escaped, so that none of their characters is read as Markdown."""
    if not _SIGN.search(markdown):
        return markdown
    parts, at = [], 0
    for leaf in blocks(markdown).leaves:
        if leaf.kind in ("paragraph", "heading"):
            text = markdown[leaf.start : leaf.end]
            for atom in inline(text).atoms:
                if atom.kind == "math" and atom.end - atom.start <= LONGEST_FORMULA:
                    start, end = leaf.start + atom.start, leaf.start + atom.end
                    parts += [markdown[at:start], escaped(markdown[start:end])]
                    at = end
    return "".join([*parts, markdown[at:]])


def escaped(formula: str) -> str:
    """The formula with its characters escaped, so that none is read as Markdown."""
    return _SIGNS.sub(r"\\\g<0>", formula)
