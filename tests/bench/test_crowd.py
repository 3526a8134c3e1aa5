"""Tests of what `make bench-crowd` makes of a run, with figures that are calculated by hand."""

from dataclasses import replace
from math import inf

from bots.sandbox.slack.methods.limits import PER_CHANNEL, SLACK_LIMITS, of_workspaces
from tests.bench.crowd import at_once, in_order, judged, ratios
from tests.bench.crowd_cases import CROWD_CASES
from tests.bench.crowd_scene import Ask, AskSeen, CrowdSeen, Spot

# Two people in one room, asked at once; the model writes for the first from 1 to 3 and for the second from 2 to 4.
FIRST = AskSeen(
    Ask(0.0, Spot.DISCORD, 0, 0), 0.0, 0.0, 0.5, "r1", 1.0, 3.0, own=2.0, sign=0.1, first=1.1, complete=4.0, states=3
)
SECOND = replace(FIRST, ask=Ask(0.0, Spot.DISCORD, 0, 1), requested=1.5, began=2.0, ended=4.0, complete=6.0, states=1)


def test_ends_are_multiples_of_the_answers_own_time() -> None:
    """From the question to the end on screen; an answer that never came, or never was asked for, is infinitely late."""
    assert ratios([FIRST, SECOND]) == [2.0, 3.0]
    assert ratios([replace(FIRST, complete=inf), replace(FIRST, own=inf, complete=inf)]) == [inf, inf]


def test_answers_at_once_are_those_of_one_room() -> None:
    """Rooms are counted apart, also if two platforms give them the same number."""
    assert at_once([FIRST, SECOND]) == 2
    assert at_once([FIRST, replace(SECOND, ask=replace(SECOND.ask, room=1))]) == 1
    assert at_once([FIRST, replace(SECOND, ask=replace(SECOND.ask, spot=Spot.SLACK))]) == 1
    assert at_once([FIRST, replace(SECOND, began=3.0, ended=5.0)]) == 1


def test_strict_order_has_one_request_after_the_other() -> None:
    """The model is asked the next question when the answer before it has ended, and every question."""
    assert not in_order([FIRST, SECOND])
    assert in_order([FIRST, replace(SECOND, requested=3.0)])
    assert not in_order([FIRST, replace(SECOND, requested=inf)])


def test_a_missed_target_is_counted() -> None:
    """Each figure that is worse than its target is one, and so is any call that got 429."""
    goal = replace(CROWD_CASES["discord-4"].goal, first=1.0, end=2.5, end_most=3.0, sign_most=0.1)
    case = replace(CROWD_CASES["discord-4"], goal=goal)
    seen = CrowdSeen((FIRST, SECOND), (("POST", 2),), (), 0.0)
    found = judged(case, seen, 0.0)
    assert (found.missed, found.row[1:3], found.row[5]) == (2, ("1.10 (≤ 1) ✗", "3.00 (≤ 2.5) ✗"), "50%")
    assert judged(case, replace(seen, refused=(("POST", 1),)), 0.0).missed == 3
    assert judged(replace(case, goal=replace(goal, strict=True)), seen, 0.0).missed == 3


def test_many_workspaces_have_the_limits_of_one_each() -> None:
    """Except that of a single channel, which is in one of them."""
    wide = of_workspaces(20)
    assert wide["chat.update"].calls == 20 * SLACK_LIMITS["chat.update"].calls
    assert wide[PER_CHANNEL] == SLACK_LIMITS[PER_CHANNEL]
