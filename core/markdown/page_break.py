"""find_break: decides where to end a page when its text has become too long."""

from bisect import bisect_right
from collections.abc import Callable, Iterable

from wcwidth import iter_graphemes

from core.markdown.blocks import blocks
from core.markdown.break_points import BreakPoint, Rank, Region, is_whole, points_between_blocks
from core.pauses import Pausing

_TRIES = 16  # points to measure, of those that are equally good
_NEAR = 400  # letters to look at for one where a page may end

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
    text: str,
    begin: int,
    settled: int,
    fits: Callable[[str], bool],
    *,
    growing: bool,
    floor: int = 0,
    fitted: int = 0,
) -> Pausing[BreakPoint | None]:
    """Where to end a page whose text does not fit; None if nothing beyond `begin`, where its lead ends, fits.

    If possible, the page does not end after `settled`; it never ends before `floor`. `growing`: marks without a partner
    may still get one. `fitted`: the length of a beginning of the text that is known to fit, where measuring begins.
    Measuring reads much of the page each time, so it ends as soon as the rest makes little difference, and there is a
    pause before each time.
    """
    near = len(text) // 64

    def ok(point: BreakPoint) -> bool:
        return fits(point.page(text))

    def useful(points: Iterable[BreakPoint]) -> list[BreakPoint]:
        return _useful(text, points, begin, floor)

    found = blocks(text)
    base = max(begin, floor)
    coarse = [p for p in useful(points_between_blocks(text, found)) if p.next <= settled]
    last = yield from _last_fit(coarse, ok, fitted, near)
    start = coarse[last].next if last >= 0 else base
    stop = coarse[last + 1].end if last + 1 < len(coarse) else len(text)
    point = _pick(coarse[: last + 1], base, stop)
    yield
    if point is not None and ok(point):
        return point
    yield
    region = Region(text, found, max(start, begin, floor - 1), stop, growing)
    yield
    words = useful(region.words())
    yield
    fine = [p for p in words if p.next <= settled and is_whole(text, p)]
    fitting = coarse[: last + 1] + fine[: (yield from _last_fit(fine, ok, fitted, near)) + 1]
    reach = max((p.end for p in fitting), default=base)
    point = _pick(fitting, base, reach) if reach - base >= (stop - base) * 0.25 else None
    yield
    if point is not None and ok(point):
        return point
    letters = region.letters()
    for strict in (True, False):
        letter = yield from _last_letter(region, letters, useful, ok, near, strict=strict)
        if letter is not None and letter.end - base > 2 * (reach - base):
            return letter
        if reach > base:
            break
    return (yield from _first_fit(sorted(fitting, key=lambda p: p.end)[: -_TRIES - 1 : -1], ok))


def find_early_break(
    text: str, begin: int, settled: int, fits: Callable[[str], bool], floor: int
) -> Pausing[BreakPoint | None]:
    """A good point after `floor` to end a page that is nearly full, if there is one."""
    found = blocks(text)
    coarse = _useful(text, points_between_blocks(text, found), begin, floor)
    start, stop = max(begin, floor - 1), coarse[0].end if coarse else len(text)
    points = coarse + _useful(text, Region(text, found, start, stop, True).words(), begin, floor)
    good = [p for p in points if p.rank <= Rank.SENTENCE and p.next <= settled and is_whole(text, p)]
    best = sorted(good, key=lambda p: (p.rank, -p.end))[:_TRIES]
    return (yield from _first_fit(best, lambda point: fits(point.page(text))))


def _useful(text: str, points: Iterable[BreakPoint], begin: int, floor: int) -> list[BreakPoint]:
    """The points that leave text on both sides, in order."""
    first, last = len(text) - len(text[begin:].lstrip()), len(text.rstrip())
    kept = (p for p in points if max(begin + 1, floor, first + 1) <= p.end and p.next < last)
    return sorted(kept, key=lambda p: (p.end, -p.rank))


def force_break(text: str, fits: Callable[[str], bool], floor: int = 0) -> Pausing[BreakPoint]:
    """The last resort, for a page that nothing fits: after what is on screen already, or after as many characters as
    fit, at least one.
    """
    if text[:floor].strip():
        return BreakPoint(Rank.ANYWHERE, floor, floor)
    for size in (len(text) >> shift for shift in range(1, 8)):
        point = BreakPoint(Rank.ANYWHERE, size, size)
        yield
        if text[:size].strip() and is_whole(text, point) and fits(point.page(text)):
            return point
    first = len(next(iter_graphemes(text.lstrip()), ""))
    end = len(text) - len(text.lstrip()) + first
    return BreakPoint(Rank.ANYWHERE, end, end)


def _first_fit(points: Iterable[BreakPoint], ok: Callable[[BreakPoint], bool]) -> Pausing[BreakPoint | None]:
    for point in points:
        yield
        if ok(point):
            return point
    return None


def _last_fit(points: list[BreakPoint], ok: Callable[[BreakPoint], bool], fitted: int, near: int) -> Pausing[int]:
    """Index of the last point that fits, or of one at most `near` characters before it; -1 if none fits."""
    low, high = -1, len(points)
    middle = bisect_right(points, fitted, key=lambda point: point.end) - 1
    while high - low > 1 and (low < 0 or points[high - 1].end - points[low].end > near):
        if not low < middle < high:
            middle = (low + high) // 2
        yield
        if ok(points[middle]):
            low = middle
        else:
            high = middle
    return low


def _last_letter(
    region: Region,
    ends: list[int],
    useful: Callable[[Iterable[BreakPoint]], list[BreakPoint]],
    ok: Callable[[BreakPoint], bool],
    near: int,
    *,
    strict: bool,
) -> Pausing[BreakPoint | None]:
    """The last point after a letter that fits. Only the letters where it looks are made into points."""

    def before(i: int) -> BreakPoint | None:
        """A point after this letter or one of those before it."""
        for each in range(i, max(-1, i - _NEAR), -1):
            point = region.letter(ends[each], strict=strict)
            if point is not None and useful([point]):
                return point
        return None

    low, high, best = -1, len(ends), None
    while high - low > 1 and (best is None or ends[high - 1] - ends[low] > near):
        middle = (low + high) // 2
        yield
        point = before(middle)
        if point is None or ok(point):
            low, best = middle, point or best
        else:
            high = middle
    return best


def _pick(points: list[BreakPoint], begin: int, reach: int) -> BreakPoint | None:
    for rank, full in _FULL.items():
        best = [p for p in points if p.rank == rank and p.end - begin >= full * (reach - begin)]
        if best:
            return best[-1]
    return None
