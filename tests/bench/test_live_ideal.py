"""Tests of the ideal pacer of `make bench-live` against figures calculated by hand."""

from itertools import pairwise

import pytest

from tests.bench.live_ideal import Budget, Sight, Stream, age, clairvoyant, ideal

TRIP = 0.05
SECONDS, RATE = 10, 100
TOKENS = tuple(number / RATE for number in range(SECONDS * RATE + 1))


def streams(many: int, edit: Budget) -> list[Stream]:
    return [Stream(TOKENS, Budget(f"post/{number}", 5, 5.0), edit) for number in range(many)]


def mean(many: int, edit: Budget) -> float:
    wanted = streams(many, edit)
    return sum(age(each.written, seen) for each, seen in zip(wanted, ideal(wanted, TRIP), strict=True)) / many


def test_age_is_integrated_exactly() -> None:
    """A triangle before the first sight, trapezoids after it; a sight after the last token does not count."""
    written = (10.0, 11.0, 12.0, 14.0)
    assert age(written, ()) == pytest.approx(2.0)  # from 0 to 4
    # 0 to 1 until 11; then token 2 is 0.5 old at 11.5 and 2.5 old at 13.5; then token 3, 1.5 to 2 old
    seen = (Sight(11.0, 1), Sight(11.5, 2), Sight(13.5, 3), Sight(20.0, 4))
    areas = 0.5 + (1.0 + 1.5) / 2 * 0.5 + (0.5 + 2.5) / 2 * 2 + (1.5 + 2.0) / 2 * 0.5
    assert age(written, seen) == pytest.approx(areas / 4)


def test_a_removed_text_is_not_seen_any_more() -> None:
    """A sight with fewer tokens than the one before makes the reply older again."""
    written = (0.0, 1.0, 2.0)
    assert age(written, (Sight(0.0, 1), Sight(1.0, 2), Sight(1.0, 1))) == pytest.approx(1.0)


def test_one_reply_updates_at_an_even_rate() -> None:
    """The age runs from half a round trip to that plus an interval; the first edit follows the post at once."""
    assert mean(1, Budget("edit", 5, 5.0)) == pytest.approx(0.525, abs=0.03)


def test_replies_share_a_budget_in_turn() -> None:
    """With as many replies as edits in the window, people see each of them once per window."""
    seen = ideal(streams(5, Budget("edit", 5, 5.0)), TRIP)
    for sights in seen:
        edits = [sight.at for sight in sights[1:] if sight.at < SECONDS]
        assert [later - sooner for sooner, later in pairwise(edits)] == pytest.approx([5.0])
    assert {len(sights) for sights in seen} == {4}  # the post, two edits while the model writes, and the end


def test_no_window_holds_more_than_the_limit() -> None:
    """Neither edits nor posts, which come in a burst, exceed it; and a reply waits for its call's answer."""
    post, edit = Budget("post", 3, 4.0), Budget("edit", 50, 1.0)
    wanted = [Stream(TOKENS, post, edit)] * 5
    for pacer in (ideal, clairvoyant):
        seen = pacer(wanted, TRIP)
        assert sorted(sights[0].at for sights in seen) == pytest.approx([0.025, 0.025, 0.025, 4.025, 4.025])
        edits = sorted(sight.at for sights in seen for sight in sights[1:])
        assert all(b - a > 1.0 - 1e-6 for a, b in zip(edits, edits[50:], strict=False))
        for sights in seen:
            assert all(b.at - a.at > TRIP - 1e-6 for a, b in pairwise(sights))
            assert sights[-1].tokens == len(TOKENS)


def test_the_clairvoyant_bursts_if_the_window_is_longer_than_the_reply() -> None:
    """50 calls a minute are 50 calls in ten seconds if the pacer knows that the reply ends then."""
    wanted = streams(1, Budget("edit", 50, 60.0))
    (even,), (burst,) = ideal(wanted, TRIP), clairvoyant(wanted, TRIP)
    assert len([sight for sight in even if sight.at < SECONDS]) == pytest.approx(SECONDS / 1.2, abs=2)
    assert len([sight for sight in burst if sight.at < SECONDS]) == pytest.approx(50, abs=2)


def test_a_second_message_is_a_post() -> None:
    """The edit that fills the first message comes at its time, the next message follows it at once."""
    stream = Stream(TOKENS, Budget("post", 5, 5.0), Budget("edit", 5, 5.0), (0, 250))
    (seen,) = ideal([stream], TRIP)
    at = [sight.at - TRIP / 2 for sight in seen]
    assert at[:6] == pytest.approx([0.0, 0.05, 1.05, 2.05, 3.05, 3.10])
    assert [sight.tokens for sight in seen[4:6]] == pytest.approx([250, 311], abs=1)


def test_a_command_posts_and_edits_from_one_budget() -> None:
    """The first text is sent at once; the edits follow at the even rate of the same budget."""
    budget = Budget("token", 5, 2.0)
    (seen,) = ideal([Stream(TOKENS, budget, budget)], TRIP)
    assert [sight.at for sight in seen[:3]] == pytest.approx([0.025, 0.425, 0.825])
