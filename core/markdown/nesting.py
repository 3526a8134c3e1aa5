"""Nesting: what stands before the lines of a block, which are the columns of lists and the marks of quotes."""

import re

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")

Nest = tuple[int, ...]
"""Where a block stands: the columns its lists take up before the first quote mark, after the first, and so on."""


def lines(text: str) -> list[str]:
    """The lines of a text as Markdown counts them, each with its line end."""
    return _LINE.findall(text)


def continuation(nest: Nest) -> str:
    """What a line must begin with to go on in a block that stands there."""
    return "> ".join(" " * columns for columns in nest)


def merge(outer: Nest, inner: Nest) -> Nest:
    """`inner`, seen from outside a text out of which the columns of `outer` were taken."""
    return tuple(columns + (outer[i] if i < len(outer) else 0) for i, columns in enumerate(inner))


def dedent(line: str, nest: Nest) -> tuple[str, Nest]:
    """The line without the columns of the lists around it, quote marks kept; and which of the lists go on after it."""
    out, rest = "", line
    for quotes, columns in enumerate(nest):
        body = rest.lstrip(" \t")
        if not body.strip():
            return out + rest[min(columns, len(rest) - len(body)) :], nest
        indent = rest[: len(rest) - len(body)].expandtabs(4)
        taken = min(columns, len(indent))
        rest = indent[taken:] + body if taken else rest
        if taken < columns:
            return out + rest, (*nest[:quotes], taken)
        if quotes < len(nest) - 1:
            mark = re.match(r" {0,3}> ?", rest)
            if mark is None:
                return out + rest, nest[: quotes + 1]
            out, rest = out + mark[0], rest[mark.end() :]
    return out + rest, nest
