"""Summaries without IO: what is folded, the request for one, and its place in a request, within the window."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.chat import Completion, Finish, Usage
from core.domain.conversation import Author, Exchange, Place
from core.domain.options import Memory, Placement
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.pauses import at_once
from core.prompt.build import build
from core.prompt.build import cost as cost_of
from core.prompt.quoting import BEGIN, END
from core.prompt.summary import TOLD, cut, fold, longest, outgrown, small_print, told, written
from core.prompt.tokens import TokenEstimator
from core.settings.parameters import ChannelSettings

ANN = Author("U1", "Ann")
ROOM, DIRECT = Place("slack", "T1", "C1"), Place("slack", "T1", "D1", direct=True)
SETTINGS = ChannelSettings("Be brief.", "m", None, None, None, Memory.CHANNEL, Placement.THREAD)
PIECES = (
    "word ",
    "Straße, ",
    "会议将于上午九点开始",
    "x[i] != 0; ",
    "12.5,",
    "9f86d081884c7d659a2feaa0c55ad015",
    "\n",
    "😀",
    "</quotation>",
)
TEXTS = st.builds(
    lambda pieces, times: "".join(pieces) * times, st.lists(st.sampled_from(PIECES), max_size=6), st.integers(1, 60)
)
WINDOWS = st.integers(512, 40_000)


def exchange(number: int, question: str = "why?", answer: str = "so") -> Exchange:
    return Exchange(TurnId(f"t{number}"), ANN, question, answer, (), float(number))


EXCHANGES = st.lists(st.tuples(TEXTS, TEXTS), max_size=12).map(
    lambda said: tuple(exchange(number, *each) for number, each in enumerate(said))
)


def count(text: str) -> int:
    return TokenEstimator().count("m", text)


@settings(max_examples=150)
@given(
    history=EXCHANGES,
    background=EXCHANGES,
    summary=TEXTS,
    window=WINDOWS,
    longest=st.none() | st.integers(1, 9000),
    direct=st.booleans(),
)
def test_system_summary_dialogue_and_question_never_exceed_the_window(
    history: tuple[Exchange, ...],
    background: tuple[Exchange, ...],
    summary: str,
    window: int,
    longest: int | None,
    direct: bool,
) -> None:
    """Whatever is told, repeated and asked, with the room for the answer; and what was left out is counted."""
    built = build(
        replace(SETTINGS, max_tokens=longest),
        history,
        Question(TurnId("q"), DIRECT if direct else ROOM, ANN, "what?"),
        background=background,
        model="m",
        context=window,
        estimator=TokenEstimator(),
        summary=summary,
    )
    request = built.request
    size = sum(count(each.content) for each in request.messages)
    assert size + (request.max_tokens or min(1024, window // 2)) <= window
    repeated = (len(request.messages) - 2) // 2
    assert built.left_out == len(history) - repeated
    assert built.summarised is (TOLD in request.messages[0].content)
    if built.left_out:  # one measure: the oldest that was left out did not fit into what was left of the room
        kept = sum(cost_of(each, count, room=not direct) for each in history[len(history) - repeated :])
        assert kept + cost_of(history[len(history) - repeated - 1], count, room=not direct) > built.room


@settings(max_examples=150)
@given(old=TEXTS, exchanges=EXCHANGES, window=WINDOWS, max_output=st.none() | st.integers(64, 9000))
def test_a_request_for_a_summary_never_exceeds_the_window(
    old: str, exchanges: tuple[Exchange, ...], window: int, max_output: int | None
) -> None:
    """It holds the oldest exchanges, one at least, and quotes them so that nothing ends the quotation."""
    found = at_once(fold(old, exchanges, model="m", window=window, max_output=max_output, count=count))
    if not (found and exchanges):
        return
    request = found.request
    assert sum(count(each.content) for each in request.messages) + (request.max_tokens or 0) <= window
    assert found.exchanges == exchanges[: len(found.exchanges)]
    assert found.exchanges
    said = request.messages[1].content
    assert said.count(BEGIN) == said.count(END) == 1
    assert len(said.split("\n")) == 2 * len(found.exchanges) + bool(old.strip()) + 4


@given(text=TEXTS, most=st.integers(0, 400))
def test_what_is_cut_has_its_size(text: str, most: int) -> None:
    """It is a beginning of the text."""
    shorter = cut(text, most, count)
    assert text.startswith(shorter)
    assert not shorter or count(shorter) <= most


def test_half_of_the_room_stays() -> None:
    """The newest are repeated word for word; the newest of all while there is room for it."""
    history = tuple(exchange(number) for number in range(10))
    assert outgrown(history, 5, 10, lambda each: 1) == history[:5]
    assert outgrown(history, 0, 10, lambda each: 8) == history[:9]
    assert outgrown(history, 5, 10, lambda each: 11) == history
    assert outgrown(history, 20, 20, lambda each: 1) == ()


def test_a_summary_has_bounds_of_its_own() -> None:
    """An eighth of the window, 2,000 tokens at most."""
    assert [longest(window) for window in (512, 4_000, 32_768, 1_000_000)] == [64, 500, 2_000, 2_000]


def test_a_summary_from_a_larger_window_is_told_as_far_as_it_fits() -> None:
    """After a change of the model; where nothing fits, nothing is told."""
    lines = "- one more line\n" * 400
    block = told(lines, 10_000, 4_000, count)
    assert count(block) <= 4_000 // 6
    assert block.endswith(f"- one more line\n{END}")
    assert told(lines, 40, 4_000, count) == ""


@pytest.mark.parametrize(
    ("text", "finish", "kept"),
    [
        (" - a fact\n", Finish.STOP, "- a fact"),
        ("- a fact", Finish.UNKNOWN, "- a fact"),
        ("- a fact", Finish.LENGTH, ""),
        ("- a fact", Finish.FILTER, ""),
        (" \n", Finish.STOP, ""),
    ],
)
def test_only_a_whole_summary_counts(text: str, finish: Finish, kept: str) -> None:
    """One that is cut, or empty, is a failure."""
    assert written(Completion(text, "", finish, Usage()), 4_000, count) == kept


@pytest.mark.parametrize(
    ("covered", "left_out", "sentence"),
    [
        (14, 0, "The oldest 14 questions are summarised."),
        (1, 0, "The oldest question is summarised."),
        (0, 14, "The oldest 14 questions no longer fit, and the model does not see them."),
        (0, 1, "The oldest question no longer fits, and the model does not see it."),
        (0, 0, ""),
    ],
)
def test_small_print_says_what_became_of_the_oldest_questions(covered: int, left_out: int, sentence: str) -> None:
    """In a sentence with their number."""
    assert small_print(covered, left_out) == sentence


def test_an_exchange_that_is_too_long_for_a_request_loses_its_middle() -> None:
    """Its beginning and its end stay, and the next ones wait for another request."""
    long = exchange(1, "Where? " + "x1 " * 300_000 + "Here?", "Begin. " + "word " * 300_000 + "End.")
    found = at_once(fold("", (long, exchange(2)), model="m", window=4_000, max_output=None, count=count))
    assert found
    said = found.request.messages[1].content
    assert all(each in said for each in ("Ann asked: Where? ", "Here?", "The answer was: Begin. ", "End.", "(…)"))
    assert count(said) > 1_000
    assert sum(count(each.content) for each in found.request.messages) + (found.request.max_tokens or 0) <= 4_000


def test_between_two_pauses_one_text_is_counted() -> None:
    """However many and long exchanges are folded, the others on the loop wait for no more."""
    counted: list[int] = []

    def counts(text: str) -> int:
        counted.append(len(text))
        return count(text)

    many = [exchange(number, "Where? " + "x1 " * 5_000, "word " * 5_000) for number in range(20)]
    most = 0
    for _ in fold("The old one.", many, model="m", window=2_000_000, max_output=None, count=counts):
        most = max(most, sum(counted))
        counted.clear()
    assert most < 2 * 50_000
