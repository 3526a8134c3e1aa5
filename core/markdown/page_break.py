"""find_break: decides where to end a page when its text has become too long."""

from collections.abc import Callable, Iterable

from wcwidth import iter_graphemes

from core.markdown.blocks import blocks
from core.markdown.break_points import BreakPoint, Rank, Region, is_whole, points_between_blocks

# How full a page must be (of what it could hold) for a point of this rank to win over a worse one further on.
_FULL = {
    Rank.BLOCK: 0.4,
    Rank.ITEM: 0.5,
    Rank.NESTED: 0.5,
    Rank.BLANK: 0.75,
    Rank.ROW: 0.5,
    Rank.SENTENCE: 0.5,
    Rank.WORD: 0.25,
}


def find_break(
    text: str, begin: int, settled: int, fits: Callable[[str], bool], *, growing: bool, floor: int = 0
) -> BreakPoint | None:
    """Where to end a page whose text does not fit; None if nothing beyond `begin`, where its lead ends, fits.

    If possible, the page does not end after `settled`; it never ends before `floor`. `growing`: marks without a partner
    may still get one.
    """

    def ok(point: BreakPoint) -> bool:
        return fits(point.page(text))

    def useful(points: Iterable[BreakPoint]) -> list[BreakPoint]:
        return _useful(text, points, begin, floor)

    found = blocks(text)
    base = max(begin, floor)
    coarse = [p for p in useful(points_between_blocks(text, found)) if p.next <= settled]
    last = _last_fit(coarse, ok)
    start = coarse[last].next if last >= 0 else base
    stop = coarse[last + 1].end if last + 1 < len(coarse) else len(text)
    point = _pick(coarse[: last + 1], base, stop)
    if point is not None and ok(point):
        return point
    region = Region(text, found, max(start, begin, floor - 1), stop, growing)
    fine = [p for p in useful(region.words()) if p.next <= settled and is_whole(text, p)]
    fitting = coarse[: last + 1] + fine[: _last_fit(fine, ok) + 1]
    reach = max((p.end for p in fitting), default=base)
    point = _pick(fitting, base, reach) if reach - base >= (stop - base) * 0.25 else None
    if point is not None and ok(point):
        return point
    for points in (region.graphemes(strict=True), region.graphemes(strict=False)):
        letters = useful(points)
        last = _last_fit(letters, ok)
        if last >= 0 and letters[last].end - base > 2 * (reach - base):
            return letters[last]
        if reach > base:
            break
    return max((p for p in fitting if ok(p)), key=lambda p: p.end, default=None)


def find_early_break(text: str, begin: int, settled: int, fits: Callable[[str], bool], floor: int) -> BreakPoint | None:
    """A good point after `floor` to end a page that is nearly full, if there is one."""
    found = blocks(text)
    coarse = _useful(text, points_between_blocks(text, found), begin, floor)
    start, stop = max(begin, floor - 1), coarse[0].end if coarse else len(text)
    points = coarse + _useful(text, Region(text, found, start, stop, True).words(), begin, floor)
    good = [p for p in points if p.rank <= Rank.SENTENCE and p.next <= settled and is_whole(text, p)]
    return min((p for p in good if fits(p.page(text))), key=lambda p: (p.rank, -p.end), default=None)


def _useful(text: str, points: Iterable[BreakPoint], begin: int, floor: int) -> list[BreakPoint]:
    """The points that leave text on both sides, in order."""
    kept = (p for p in points if max(begin + 1, floor) <= p.end and text[begin : p.end].strip())
    return sorted((p for p in kept if text[p.next :].strip()), key=lambda p: (p.end, -p.rank))


def force_break(text: str, floor: int = 0) -> BreakPoint:
    """The last resort, for a page that nothing fits: after what is on screen already, or after the first character."""
    if text[:floor].strip():
        return BreakPoint(Rank.ANYWHERE, floor, floor)
    first = len(next(iter_graphemes(text.lstrip()), ""))
    end = len(text) - len(text.lstrip()) + first
    return BreakPoint(Rank.ANYWHERE, end, end)


def _last_fit(points: list[BreakPoint], ok: Callable[[BreakPoint], bool]) -> int:
    """Index of the last point that fits, or -1. Looks from the end, since a text is usually only a little too long."""
    high, step = len(points), 1
    low = high - 1
    while low >= 0 and not ok(points[low]):
        high, low, step = low, low - step, step * 2
    low = max(low, -1)
    while high - low > 1:
        middle = (low + high) // 2
        if ok(points[middle]):
            low = middle
        else:
            high = middle
    return low


def _pick(points: list[BreakPoint], begin: int, reach: int) -> BreakPoint | None:
    for rank, full in _FULL.items():
        best = [p for p in points if p.rank == rank and p.end - begin >= full * (reach - begin)]
        if best:
            return best[-1]
    return None
