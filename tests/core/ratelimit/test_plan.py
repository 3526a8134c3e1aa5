"""The plan: no window is exceeded, a promised end never waits, and what is left over follows the load."""

import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from core.ratelimit.plan import HORIZON_SECONDS, Load, lively, margin, pace, promises, rate, spare
from core.ratelimit.window import FINAL_WAIT_SECONDS, SlidingWindow
from tests.bench.plan import Ask, Shown, ours

CALLS, SECONDS = 50, 60.0
_counts = st.integers(0, 80)
_rates = st.floats(0, 5)


@dataclass(frozen=True, slots=True)
class Burst:
    """Some replies that come at about the same time, with their length."""

    pause: float
    replies: int
    length: float


_bursts = st.lists(st.builds(Burst, st.floats(0, 40), st.integers(1, 40), st.floats(0.2, 90)), min_size=1, max_size=8)


def _asks(bursts: list[Burst]) -> list[Ask]:
    now, asks = 0.0, []
    for burst in bursts:
        now += burst.pause
        asks += [Ask(now + number * 0.05, burst.length) for number in range(burst.replies)]
    return asks


@settings(max_examples=60, deadline=None)
@given(_bursts)
def test_no_window_is_exceeded_and_no_promised_end_waits(bursts: list[Burst]) -> None:
    """Whatever comes, the limit holds, and who was shown early finds a call for its end at once."""
    shown = ours(_asks(bursts), CALLS, SECONDS)
    edits = sorted(at for each in shown for at in each.edits)
    assert all(later - first >= SECONDS for first, later in zip(edits, edits[CALLS:], strict=False))
    assert all(each.late <= FINAL_WAIT_SECONDS for each in shown)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.floats(1, 60))
def test_growth_comes_back(replies: int, length: float) -> None:
    """After a load that nothing could meet, a few replies grow as if it had never been."""
    busy = [Ask(number / 3, 3.5) for number in range(360)]
    later = [Ask(240.0 + number * 3, length) for number in range(replies)]
    after, alone = ours(busy + later, CALLS, SECONDS)[-replies:], ours(later, CALLS, SECONDS)
    assert [_frames(each) for each in after] == [_frames(each) for each in alone]


def _frames(shown: Shown) -> tuple[bool, int]:
    return shown.grew, len(shown.edits)


@given(_counts, _counts, st.integers(1, 100))
def test_more_load_promises_no_more(used: int, owed: int, calls: int) -> None:
    """Whoever gets a promise would get it with fewer calls made, or owed, too."""
    if promises(calls, used, owed):
        assert used + owed + 1 <= calls - margin(calls)
        assert promises(calls, max(0, used - 1), owed)
        assert promises(calls, used, max(0, owed - 1))


@given(
    st.lists(st.floats(0.01, SECONDS), max_size=CALLS).map(sorted),
    st.integers(0, 60),
    st.integers(0, 60),
    _rates,
    _rates,
)
def test_more_load_never_gives_more_interim_calls(
    leave: list[float], owed: int, more: int, come: float, further: float
) -> None:
    """Neither what is owed nor what will come ever quickens the others."""
    before = pace(leave, len(leave), spare(CALLS, owed), SECONDS, come)
    assert pace(leave, len(leave), spare(CALLS, owed + more), SECONDS, come) <= before
    assert pace(leave, len(leave), spare(CALLS, owed), SECONDS, come + further) <= before
    if not lively(CALLS, len(leave), Load(owed, come), SECONDS):
        assert not lively(CALLS, len(leave), Load(owed + more, come + further), SECONDS)


def test_an_empty_window_is_used_within_the_horizon() -> None:
    """Without others, half a minute gets the calls of a whole one."""
    assert pace((), 0, 48, SECONDS) == 48 / HORIZON_SECONDS
    assert pace((), 0, 48, SECONDS, 48 / SECONDS) == 0.0
    assert pace((), 0, 1, -0.1) == math.inf


def test_a_burst_is_no_load_but_a_stream_is() -> None:
    """Twenty questions at once are expected once; those that come evenly are expected to go on."""
    assert rate([0.1] * 20, 1.0) == 0.0
    assert math.isclose(rate([float(number) for number in range(60)], 60.0), 1.0, rel_tol=0.1)
    assert rate([0.0, 10.0], 100.0) == 0.0


def test_a_platform_that_halves_its_limit_is_followed() -> None:
    """Below what is owed there is no interim call, however long one waits; an end still finds its call."""
    window = SlidingWindow(CALLS, SECONDS)
    window.refused(0.0, 1.0)
    assert window.free_at(2.0, final=False, load=Load(owed=25)) == math.inf
    assert window.free_at(2.0, final=True, load=Load(owed=25)) <= 2.0
