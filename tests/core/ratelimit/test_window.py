"""The arithmetic of a limit: never more calls than allowed, one kept for an end, and the platform's own numbers."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.rates import RateLimitStatus
from core.ratelimit.plan import HORIZON_SECONDS
from core.ratelimit.window import FINAL_WAIT_SECONDS, SlidingWindow

FLIGHT = 0.05


def run(
    window: SlidingWindow, seconds: float, *, start: float = 0.0, flight: float = FLIGHT, active: int = 1
) -> list[float]:
    """Simulate one reply that always has something new and calls as often as it may; return when its calls left."""
    now, left = start, []
    while now < start + seconds:
        at = window.free_at(now, final=False, active=active)
        now = max(now, at)
        window.take(now, interim=True)
        left.append(now)
        now += flight
        window.land(left[-1], now)
    return left


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 12),
    st.floats(0.5, 70),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.001, 2), st.booleans()), min_size=20, max_size=80),
)
def test_no_window_sees_more_calls_than_allowed(
    calls: int, seconds: float, wishes: list[tuple[float, float, bool]]
) -> None:
    """The platform's limit holds, no matter when between sending and answer a call arrives there."""
    window, now, arrived = SlidingWindow(calls, seconds), 0.0, list[float]()
    for pause, flight, final in wishes:
        now = max(now + pause, window.free_at(now + pause, final=final))
        window.take(now, interim=not final)
        arrived.append(now + flight * (len(arrived) % 3) / 2)  # at once, halfway, at the end
        now += flight
        window.land(now - flight, now)
    for first, later in zip(arrived, arrived[calls:], strict=False):
        assert later - first >= seconds - 1e-6


def test_calls_are_spread() -> None:
    """One reply under five calls in five seconds is shown about every 1.2 s, not five times at once."""
    left = run(SlidingWindow(5, 5.0), 20)
    assert all(1.15 < later - first < 1.22 for first, later in pairwise(left))


def test_an_end_never_waits_long() -> None:
    """Whenever the answer ends, its last frame may leave within FINAL_WAIT_SECONDS."""
    for end in range(10, 90):
        window = SlidingWindow(5, 5.0)
        now = run(window, end / 4)[-1] + FLIGHT
        assert window.free_at(now, final=True) - now <= FINAL_WAIT_SECONDS + FLIGHT


def test_an_unused_window_is_used_faster() -> None:
    """Under fifty calls in a minute, five replies that begin after a pause are each shown more often than every 6 s."""
    left = run(SlidingWindow(50, 60.0), 10, active=5)
    assert 10 < len(left) < 30
    gaps = [later - first for first, later in pairwise(left)]
    assert gaps[-1] > gaps[0]


def test_nobody_freezes_in_a_long_minute() -> None:
    """However long the reply grows, the pauses stay close to those that the limit forces."""
    left = run(SlidingWindow(50, 60.0), 300, active=5)
    assert max(later - first for first, later in pairwise(left)) < 3.0
    assert len(left) > 300 / 60 * 50 * 0.7


def test_one_reply_keeps_the_least_pause() -> None:
    """No message is edited more often than the platform asks for, however many calls are left."""
    left = run(SlidingWindow(50, 60.0, least=1.0), 20)
    assert all(later - first >= 1.0 for first, later in pairwise(left))
    assert len(left) >= 19


def test_posts_are_not_spread() -> None:
    """New messages are posted at once as long as calls are left."""
    window = SlidingWindow(5, 5.0, spread=False)
    assert len([at for at in run(window, 1, flight=0.0) if at == 0.0]) == 4  # one is kept for a reply that ends


def test_calls_in_flight_count() -> None:
    """While all calls of a window are in flight, the time of the next one is unknown."""
    window = SlidingWindow(2, 1.0)
    for _ in range(2):
        window.take(0.0, interim=False)
    assert window.free_at(10.0, final=True) == math.inf
    window.land(0.0, 10.0)
    assert window.free_at(10.0, final=True) == pytest.approx(11.0, abs=0.1)


def test_headers_override_the_estimate() -> None:
    """A lower limit, a longer window, calls of others and an empty bucket count as the platform states them."""
    window = SlidingWindow(5, 5.0)
    window.take(0.0, interim=False)
    window.land(0.0, 0.0)
    window.learn(RateLimitStatus(2, 1, 8.0), 0.0)
    assert (window.calls, window.seconds) == (2, 8.0)
    window.learn(RateLimitStatus(2, 0, 3.0), 0.0)
    assert window.free_at(0.0, final=True) >= 3.0
    other = SlidingWindow(5, 5.0)
    other.learn(RateLimitStatus(5, 1, 5.0), 0.0)
    other.take(0.1, interim=False)
    other.land(0.1, 0.1)
    assert other.free_at(0.2, final=True) >= 5.0


def test_a_stated_window_may_become_shorter_again() -> None:
    """A longer window that the platform states counts until it states another, but none shorter than the known one."""
    window = SlidingWindow(5, 2.0)
    window.learn(RateLimitStatus(3, 2, 4.0), 0.0)
    assert window.seconds == 4.0
    window.learn(RateLimitStatus(5, 4, 1.9), 10.0)
    assert (window.calls, window.seconds) == (5, 2.0)


@pytest.mark.parametrize(("replies", "kept"), [(1, 1), (5, 1), (6, 1), (7, 2), (8, 3), (20, 3)])
def test_calls_kept_for_the_ends_of_many_replies(replies: int, kept: int) -> None:
    """Where more replies run than a window has calls, interim calls leave so many that all ends find one soon."""
    assert SlidingWindow(5, 5.0).usable(replies)[0] == 5 - kept


def test_a_refusal_halves_a_limit_that_was_never_stated() -> None:
    """If a platform only refuses calls, half the limit remains, and it recovers step by step."""
    window = SlidingWindow(50, 60.0)
    window.refused(0.0, 10.0)
    assert window.calls == 25
    assert window.free_at(1.0, final=True) == 10.0
    window.refused(1.0, 10.0)  # a call that was in flight gets the same refusal
    assert window.calls == 25
    for later in range(100, 400, 10):
        window.free_at(float(later), final=False)
    assert window.calls == 50


def test_a_refusal_with_stated_limits_is_only_a_pause() -> None:
    """With headers the limit is known."""
    window = SlidingWindow(5, 5.0)
    window.learn(RateLimitStatus(5, 4, 5.0), 0.0)
    window.refused(0.0, 1.0)
    assert window.calls == 5


def test_an_unused_call_is_given_back() -> None:
    """A call that was not sent does not count."""
    window = SlidingWindow(1, HORIZON_SECONDS)
    before = window.take(0.0, interim=True)
    window.give_back(before)
    assert window.free_at(0.0, final=False) <= 0.0
