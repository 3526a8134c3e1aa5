"""Nesting: what comes before the lines of a block: the columns of the lists and the markers of the quotes around it."""

import re

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")

Nest = tuple[int, ...]
"""What is around a block: the columns that lists take up before the first quote marker, after the first, and so on."""


def lines(text: str) -> list[str]:
    """The lines of a text as Markdown counts them, each with its line ending."""
    return _LINE.findall(text)


def continuation(nest: Nest) -> str:
    """What a line must begin with to continue a block inside those lists and quotes."""
    return "> ".join(" " * columns for columns in nest)


def merge(outer: Nest, inner: Nest) -> Nest:
    """`inner` as seen in the original text, from which the columns of `outer` had been taken out."""
    return tuple(columns + (outer[i] if i < len(outer) else 0) for i, columns in enumerate(inner))


def dedent(line: str, nest: Nest) -> tuple[str, Nest]:
    """The line without the columns of the lists around it, quote markers kept; and which lists go on after it."""
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
