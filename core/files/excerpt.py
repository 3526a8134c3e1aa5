"""What of a file's text is sent: all of it, or as much as its share of the window holds, without the middle."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.files.found import FileText
from core.files.part import Part, cut

_SAFETY = 0.97  # a cut text may have more tokens a character than the whole


def excerpt(file: FileText, most: int, count: Callable[[str], int]) -> FileText:
    """The file in at most about `most` tokens, as counted by `count`; each of its parts keeps its beginning and end."""
    sizes = [count(part.text) for part in file.parts]
    if sum(sizes) <= most:
        return file
    fitted = (
        _fitted(part, size, share, count)
        for part, size, share in zip(file.parts, sizes, shares(sizes, most), strict=True)
    )
    return replace(file, parts=tuple(fitted))


def shares(sizes: Sequence[int], most: int) -> list[int]:
    """Divide `most` fairly: what is small gets all it needs, and what is large the same as any other."""
    found = [0] * len(sizes)
    left, waiting = max(0, most), len(sizes)
    for place in sorted(range(len(sizes)), key=sizes.__getitem__):
        found[place] = min(sizes[place], left // waiting)
        left, waiting = left - found[place], waiting - 1
    return found


def _fitted(part: Part, size: int, most: int, count: Callable[[str], int]) -> Part:
    """The part in at most `most` tokens; of a part that has no room, only how much is missing."""
    while size > most and part.size:
        part = cut(part, int(part.size * most / size * _SAFETY))
        size = count(part.text)
    return part
