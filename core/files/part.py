"""A part of a file's text, which can be cut in the middle, again and again, and knows how much is missing."""

from typing import NamedTuple


class Part(NamedTuple):
    """`head` and `tail`, between which `lines` and `characters` are missing; all of the text is in `head` if none are.
    `title`: what to call it, "" if it is the whole file.

    It is a tuple because it goes through a pipe as one, and the reading process would need 8 ms to import dataclasses.
    """

    title: str
    head: str
    tail: str = ""
    lines: int = 0
    characters: int = 0

    @property
    def size(self) -> int:
        """How many characters are there."""
        return len(self.head) + len(self.tail)

    @property
    def text(self) -> str:
        """The text, with a line in the middle that says what is missing."""
        if not self.characters:
            return self.head
        gap = f"{self.lines:,} line" if self.lines else f"{self.characters:,} character"
        plural = "" if (self.lines or self.characters) == 1 else "s"
        border = "" if not self.head or self.head.endswith("\n") else "\n"
        return f"{self.head}{border}(… {gap}{plural} left out …)\n{self.tail}"


def cut(part: Part, most: int) -> Part:
    """What is left if at most `most` characters may stay: as much of the beginning as of the end.

    A line stays whole, unless it is longer than a quarter of what stays.
    """
    if part.size <= most:
        return part
    begin, end = (part.head, part.tail) if part.characters else (part.head, part.head)
    last = min(most // 2, len(end))
    first = min(most - last, len(begin))
    head, tail = _first(begin, first), _last(end, min(most - first, len(end)))
    if not part.characters:
        missing = begin[len(head) : len(begin) - len(tail)]
        return Part(part.title, head, tail, missing.count("\n"), len(missing))
    more, before = begin[len(head) :], end[: len(end) - len(tail)]
    lines = part.lines + more.count("\n") + before.count("\n")
    return Part(part.title, head, tail, lines, part.characters + len(more) + len(before))


def _first(text: str, most: int) -> str:
    border = most if most == len(text) else text.rfind("\n", most // 2, most) + 1
    return text[: border or most]


def _last(text: str, most: int) -> str:
    begin = len(text) - most
    border = text.find("\n", begin - 1, begin + most // 2) + 1 if begin else 0
    return text[border or begin :]
