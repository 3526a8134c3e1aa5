"""The arithmetic of a limit: never more calls than allowed, one left for an end, and what platforms tell is heeded."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.rates import RateLimitStatus
from core.ratelimit.window import HORIZON, PATIENCE, SlidingWindow

FLIGHT = 0.05


def run(
    budget: SlidingWindow, seconds: float, *, start: float = 0.0, flight: float = FLIGHT, active: int = 1
) -> list[float]:
    """One reply that always has something new calls as often as it may; when its calls left."""
    now, left = start, []
    while now < start + seconds:
        at = budget.free_at(now, final=False, active=active)
        now = max(now, at)
        budget.take(now, interim=True)
        left.append(now)
        now += flight
        budget.land(left[-1], now)
    return left


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 12),
    st.floats(0.5, 70),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.001, 2), st.booleans()), min_size=20, max_size=80),
)
def test_no_window_sees_more_calls_than_allowed(
    calls: int, window: float, wishes: list[tuple[float, float, bool]]
) -> None:
    """Whenever calls arrive between their leaving and their landing, the platform's limit holds."""
    budget, now, arrived = SlidingWindow(calls, window), 0.0, list[float]()
    for pause, flight, final in wishes:
        now = max(now + pause, budget.free_at(now + pause, final=final))
        budget.take(now, interim=not final)
        arrived.append(now + flight * (len(arrived) % 3) / 2)  # at once, on half the way, at the end
        now += flight
        budget.land(now - flight, now)
    for first, later in zip(arrived, arrived[calls:], strict=False):
        assert later - first >= window - 1e-6


def test_calls_are_spread() -> None:
    """One reply under five calls in five seconds is shown about every 1.2 s, not five times at once."""
    left = run(SlidingWindow(5, 5.0), 20)
    assert all(1.15 < later - first < 1.22 for first, later in pairwise(left))


def test_an_end_never_waits_long() -> None:
    """Whenever the answer ends, its last frame may go within PATIENCE."""
    for end in range(10, 90):
        budget = SlidingWindow(5, 5.0)
        now = run(budget, end / 4)[-1] + FLIGHT
        assert budget.free_at(now, final=True) - now <= PATIENCE + FLIGHT


def test_a_budget_that_is_full_is_spent_faster() -> None:
    """Under fifty calls in a minute, five replies that begin after a pause are shown more often than every 6 s each."""
    left = run(SlidingWindow(50, 60.0), 10, active=5)
    assert 10 < len(left) < 30
    gaps = [later - first for first, later in pairwise(left)]
    assert gaps[-1] > gaps[0]


def test_nobody_freezes_in_a_long_minute() -> None:
    """However long it goes on, the pauses stay near to what the limit forces."""
    left = run(SlidingWindow(50, 60.0), 300, active=5)
    assert max(later - first for first, later in pairwise(left)) < 3.0
    assert len(left) > 300 / 60 * 50 * 0.7


def test_one_reply_keeps_the_least_pause() -> None:
    """A message is not edited more often than the platform asks for, however much is saved up."""
    left = run(SlidingWindow(50, 60.0, least=1.0), 20)
    assert all(later - first >= 1.0 for first, later in pairwise(left))
    assert len(left) >= 19


def test_posts_are_not_spread() -> None:
    """New messages go as long as there are calls."""
    budget = SlidingWindow(5, 5.0, spread=False)
    assert len([at for at in run(budget, 1, flight=0.0) if at == 0.0]) == 4  # one is left for who ends


def test_calls_on_their_way_count() -> None:
    """With all calls of a window on their way nothing can be said about the next one."""
    budget = SlidingWindow(2, 1.0)
    for _ in range(2):
        budget.take(0.0, interim=False)
    assert budget.free_at(10.0, final=True) == math.inf
    budget.land(0.0, 10.0)
    assert budget.free_at(10.0, final=True) == pytest.approx(11.0, abs=0.1)


def test_headers_go_before_belief() -> None:
    """A lower limit, a longer window, calls of somebody else and an empty bucket are heeded as they are told."""
    budget = SlidingWindow(5, 5.0)
    budget.take(0.0, interim=False)
    budget.land(0.0, 0.0)
    budget.learn(RateLimitStatus(2, 1, 8.0), 0.0)
    assert (budget.calls, budget.seconds) == (2, 8.0)
    budget.learn(RateLimitStatus(2, 0, 3.0), 0.0)
    assert budget.free_at(0.0, final=True) >= 3.0
    other = SlidingWindow(5, 5.0)
    other.learn(RateLimitStatus(5, 1, 5.0), 0.0)
    other.take(0.1, interim=False)
    other.land(0.1, 0.1)
    assert other.free_at(0.2, final=True) >= 5.0


def test_a_refusal_halves_what_nobody_told() -> None:
    """Where a platform only refuses, half is left, and it comes back bit by bit."""
    budget = SlidingWindow(50, 60.0)
    budget.refused(0.0, 10.0)
    assert budget.calls == 25
    assert budget.free_at(1.0, final=True) == 10.0
    budget.refused(1.0, 10.0)  # one that was on its way says the same again
    assert budget.calls == 25
    for later in range(100, 400, 10):
        budget.free_at(float(later), final=False)
    assert budget.calls == 50


def test_a_refusal_where_limits_are_told_is_just_a_pause() -> None:
    """With headers there is nothing to guess."""
    budget = SlidingWindow(5, 5.0)
    budget.learn(RateLimitStatus(5, 4, 5.0), 0.0)
    budget.refused(0.0, 1.0)
    assert budget.calls == 5


def test_an_unused_call_is_given_back() -> None:
    """What was not sent does not count."""
    budget = SlidingWindow(1, HORIZON)
    before = budget.take(0.0, interim=True)
    budget.give_back(before)
    assert budget.free_at(0.0, final=False) <= 0.0
