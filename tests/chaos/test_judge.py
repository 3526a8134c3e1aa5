"""Tests of the judge of chaos runs: it finds every error, and nothing else."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.reply.layout import WRITING
from core.turns.runner import GAVE_UP
from tests.chaos.judge import AskedQuestion, Kept, Said, Verdict, answer_to, judge, number_in, percentile, question
from tests.chaos.lanes import PASSED_SECONDS, Heard, at_once, crowded, overlapping, starved
from tests.chaos.takeover import Kill, Request, TakeoverTime, longest_gap, takeovers

ASKED_QUESTIONS = (
    AskedQuestion(1, "slack/T/C", 6),
    AskedQuestion(2, "slack/T/C", 4),
    AskedQuestion(3, "discord/G/D", 5),
)
SAID = tuple(
    Said(f"m{each.number}", each.room, answer_to(each.number, each.words), each.number, first=float(each.number))
    for each in ASKED_QUESTIONS
)
KEPT = tuple(Kept(each.room, each.number, answer_to(each.number, each.words)) for each in ASKED_QUESTIONS)


def kinds(verdict: Verdict) -> list[tuple[str, int]]:
    return [(each.kind, each.number) for each in verdict.findings]


def judged(
    asked: Sequence[AskedQuestion] = ASKED_QUESTIONS, said: Sequence[Said] = SAID, kept: Sequence[Kept] = KEPT
) -> list[tuple[str, int]]:
    return kinds(judge(asked, said, kept))


def half(number: int) -> str:
    return answer_to(number, 6)[: len(f"w{number}x0 w{number}x1")]


def test_all_is_well() -> None:
    """Whole replies, each once, in order and remembered: no findings."""
    verdict = judge(ASKED_QUESTIONS, SAID, KEPT)
    assert (verdict.complete, verdict.closed, verdict.stubs, verdict.findings) == ((1, 2, 3), (), (), ())


def test_reply_in_several_messages_is_one() -> None:
    """An answer cut between words into two messages is whole; its second message alone is not."""
    first, second = answer_to(3, 5).split(" w3x2")
    pages = (replace(SAID[2], text=first), replace(SAID[2], id="m4", text=f"w3x2{second}", first=3.5))
    assert judged(said=(*SAID[:2], *pages)) == []
    assert ("incomplete", 3) in judged(said=(*SAID[:2], pages[1]))


def test_command_shows_its_question() -> None:
    """The answer to a command may have its own question above it, but no other."""
    shown = replace(SAID[2], text=f"bob: {question(3)}\n{SAID[2].text}")
    assert judged(said=(*SAID[:2], shown)) == []
    assert judged(said=(*SAID[:2], replace(shown, text=shown.text.replace("question 3", "question 2")))) == [
        ("noise", 3)
    ]


def test_question_that_was_closed_before_a_word_is_read_by_the_next_in_its_thread() -> None:
    """The next answer may say that it read as many messages as there are such questions, and no more; what the history
    has is not read."""
    asked = tuple(replace(each, room="slack/T/C", lane="1") for each in ASKED_QUESTIONS)
    kept = tuple(replace(each, room="slack/T/C") for each in KEPT)

    def read(small_print: str, first: str = GAVE_UP, lane: str = "1", have: Sequence[Kept] = kept[1:]) -> Verdict:
        said = [replace(each, room="slack/T/C") for each in SAID]
        said[:2] = replace(said[0], text=first), replace(said[1], text=f"{said[1].text}\n{small_print}")
        return judge((replace(asked[0], lane=lane), *asked[1:]), said, have)

    assert kinds(read("Read 1 message of this thread.")) == []
    assert kinds(read("Read 2 messages of this thread.")) == [("noise", 2)]
    assert kinds(read("Read 1 message of this thread.", lane="2")) == [("noise", 2)]
    assert kinds(read("Read 1 message of this channel.", lane="2")) == []
    assert kinds(read("Read 1 message of this thread.", first=answer_to(1, 6), have=kept)) == [("noise", 2)]
    half_kept = (replace(kept[0], answer=half(1)), *kept[1:])
    assert kinds(read("Read 1 message of this thread.", f"{half(1)}\n{GAVE_UP}", have=half_kept)) == [("noise", 2)]


def test_missing_reply_is_reported() -> None:
    """An accepted question without any message of the bot."""
    assert judged(said=SAID[:2], kept=KEPT[:2]) == [("missing", 3)]


@pytest.mark.parametrize(
    "text",
    [half(3), answer_to(3, 5).replace("w3x2", "w3x1"), answer_to(3, 5).replace("w3x2 ", ""), f"{half(3)} {WRITING}"],
    ids=["half", "a word twice", "a word less", "still writing"],
)
def test_reply_that_is_not_whole_is_reported(text: str) -> None:
    """Words that are missing, repeated or still being written, and no sentence that closes the reply."""
    assert ("incomplete", 3) in judged(said=(*SAID[:2], replace(SAID[2], text=text)), kept=KEPT[:2])


def test_whole_reply_that_still_says_it_grows_is_reported() -> None:
    """All words are there, but so is the sign that more will come."""
    assert judged(said=(*SAID[:2], replace(SAID[2], text=f"{SAID[2].text}\n{WRITING}"))) == [("open", 3)]


def test_stream_that_was_not_ended_is_reported() -> None:
    """A message that streams for ever, or shows for ever that the model thinks."""
    assert judged(said=(*SAID[:2], replace(SAID[2], streams=True))) == [("open", 3)]


def test_second_reply_is_reported() -> None:
    """The same answer in two messages, or half of it in another message."""
    again = replace(SAID[2], id="m4", first=4.0)
    assert judged(said=(*SAID, again)) == [("double", 3)]
    assert judged(said=(*SAID, replace(again, text=half(3)))) == [("double", 3)]


def test_stub_in_the_documented_gap_is_counted_apart() -> None:
    """The beginning of an answer, in a post of the kind that a kill may leave behind; a wrong text is no stub."""
    stub = replace(SAID[0], id="m4", text=half(1), first=0.5, gap=True)
    verdict = judge(ASKED_QUESTIONS, (*SAID, stub), KEPT)
    assert (verdict.stubs, kinds(verdict)) == (("m4",), [])
    assert judged(said=(*SAID, replace(stub, text="w1x3"))) == [("double", 1)]
    assert judged(said=(*SAID, replace(stub, text=answer_to(1, 6)))) == [("double", 1)]
    assert ("incomplete", 1) in judged(said=(*SAID[1:], stub))


def test_closed_reply_is_not_whole() -> None:
    """A sentence of the bot closes a reply, with or without a beginning of the answer above it."""
    for text in (GAVE_UP, f"{half(3)}\n{GAVE_UP}"):
        verdict = judge(ASKED_QUESTIONS, (*SAID[:2], replace(SAID[2], text=text)), KEPT[:2])
        assert (verdict.complete, verdict.closed, verdict.findings) == ((1, 2), (3,), ())
    verdict = judge(ASKED_QUESTIONS, (*SAID[:2], replace(SAID[2], text=f"w3x1 w3x0\n{GAVE_UP}")), KEPT[:2])
    assert kinds(verdict) == [("incomplete", 3)]


def test_whole_reply_and_sentence_beside_it_is_reported() -> None:
    """A question that got its answer and, in another message, a sentence too."""
    assert judged(said=(*SAID, replace(SAID[2], id="m4", text=GAVE_UP, first=math.inf))) == [("double", 3)]


def test_bare_sentence_goes_to_the_question_that_lacks_a_reply() -> None:
    """In a thread it replies to the first question, in a direct message to none. It closes a question without a
    reply."""
    for replies_to in (1, 0):
        sentence = Said("m4", "slack/T/C", GAVE_UP, replies_to)
        verdict = judge(ASKED_QUESTIONS, (SAID[0], SAID[2], sentence), (KEPT[0], KEPT[2]))
        assert (verdict.complete, verdict.closed, verdict.findings) == ((1, 3), (2,), ())
    assert judged(said=(*SAID, Said("m4", "slack/T/C", GAVE_UP, 1, gap=True))) == [("double", 1)]
    assert judged(said=(*SAID, Said("m4", "slack/T/C", GAVE_UP))) == [("stray", 0)]


def test_lost_command_may_show_thinking() -> None:
    """Its process died after it showed "thinking" and before it stored the command: nobody answers it, and Discord ends
    the sign."""
    asked = (*ASKED_QUESTIONS[:2], replace(ASKED_QUESTIONS[2], accepted=False, must=False))
    assert judged(asked, (*SAID[:2], Said("m3", "discord/G/D", "", 3, streams=True)), KEPT[:2]) == []


def test_message_that_belongs_to_no_question_is_reported() -> None:
    """Messages of the bot that nobody asked for."""
    assert judged(said=(*SAID, Said("m4", "slack/T/C", "Hello."))) == [("stray", 0)]
    assert judged(said=(*SAID, Said("m4", "slack/T/C", "w9x0"))) == [("stray", 9)]


def test_question_that_was_not_accepted() -> None:
    """A question is lost if the platform delivers it again; a command is not, but neither may be answered."""
    asked = (*ASKED_QUESTIONS[:2], replace(ASKED_QUESTIONS[2], accepted=False))
    assert ("lost", 3) in judged(asked, SAID[:2], KEPT[:2])
    asked = (*ASKED_QUESTIONS[:2], replace(ASKED_QUESTIONS[2], accepted=False, must=False))
    assert judged(asked, SAID[:2], KEPT[:2]) == []
    assert ("unasked", 3) in judged(asked, SAID, KEPT[:2])


def test_order_on_screen_is_judged() -> None:
    """In one lane answers begin in the order of their questions; rooms do not wait for each other."""
    assert judged(said=(SAID[0], replace(SAID[1], first=0.5), SAID[2])) == [("order", 2)]
    assert judged(said=(*SAID[:2], replace(SAID[2], first=0.5))) == []


def test_only_replies_of_other_lanes_may_overtake() -> None:
    """A lane out of order, on screen or in the history, is reported; two lanes of a room have no order between them."""
    lanes = (replace(ASKED_QUESTIONS[0], lane="ann"), replace(ASKED_QUESTIONS[1], lane="bob"), ASKED_QUESTIONS[2])
    one = tuple(replace(each, lane="ann") for each in lanes)
    overtaken, turned = (SAID[0], replace(SAID[1], first=0.5), SAID[2]), (KEPT[1], KEPT[0], KEPT[2])
    assert judged(lanes, overtaken, turned) == []
    assert judged(one, overtaken) == [("order", 2)]
    assert judged(one, kept=turned) == [("history order", 1)]


def test_history_is_judged() -> None:
    """The judge finds exchanges that are missing, doubled, changed, in another room, out of order or without a
    question."""
    assert judged(kept=KEPT[:2]) == [("forgotten", 3)]
    assert judged(kept=(*KEPT, KEPT[2])) == [("remembered twice", 3)]
    assert judged(kept=(*KEPT[:2], replace(KEPT[2], answer=half(3)))) == [("remembered wrong", 3)]
    assert judged(kept=(*KEPT[:2], replace(KEPT[2], room="discord/G/E"))) == [("remembered wrong", 3)]
    assert judged(kept=(KEPT[1], KEPT[0], KEPT[2])) == [("history order", 1)]
    assert judged(kept=(*KEPT, Kept("slack/T/C", 9, ""))) == [("remembered wrong", 9)]


def test_history_of_a_closed_reply() -> None:
    """The history may contain the text that was shown of it, and nothing else."""
    said = (*SAID[:2], replace(SAID[2], text=f"{half(3)}\n{GAVE_UP}"))
    assert judged(said=said, kept=(*KEPT[:2], replace(KEPT[2], answer=half(3)))) == []
    assert judged(said=said, kept=(*KEPT[:2], replace(KEPT[2], answer="w3x1"))) == [("remembered wrong", 3)]


def lane(number: int, name: str, *spans: tuple[float, float], said: float = 0.0, ended: float = math.inf) -> Heard:
    return Heard(number, "slack/T/C", name, said, said, ended, spans)


def test_more_holders_than_parallel_are_reported() -> None:
    """Three lanes of a room that the model answers at once are too many for two places, whoever asks for them; a second
    request of a lane is no second holder, nor is a room another's, nor a request that ends as the next one begins."""
    two = (lane(1, "ann", (1.0, 4.0)), lane(2, "bob", (1.5, 5.0)))
    (found,) = crowded((*two, lane(3, "eve", (2.0, 3.0))), 2)
    assert (found.kind, found.detail.partition(" at ")[0]) == ("crowded", "3 lanes")
    assert crowded((*two, replace(lane(3, "eve", (2.0, 3.0)), room="slack/T/D")), 2) == []
    assert crowded((lane(1, "ann", (1.0, 4.0), (2.0, 4.0)), two[1]), 2) == []
    assert crowded((*two, lane(3, "eve", (3.9, 6.0))), 2) == []
    assert crowded((*two, lane(3, "eve", (2.0, 3.0))), 2, [(2.0, 4.0)]) == []
    assert at_once(two) == {"slack/T/C": (2, 1.8)}


def test_answers_of_one_lane_do_not_overlap() -> None:
    """The model is asked a lane's next question when it has written the answer before; other lanes are beside it."""
    first, second = lane(1, "ann", (1.0, 4.0)), lane(2, "ann", (2.0, 5.0))
    assert [(found.kind, found.number) for found in overlapping((first, second))] == [("overlap", 2)]
    assert overlapping((first, replace(second, spans=((3.9, 5.0),)))) == []
    assert overlapping((first, replace(second, lane="bob"))) == []
    assert overlapping((first, replace(second, room="slack/T/D"))) == []
    assert overlapping((first, second), [(2.0, 3.0)]) == []


def test_starved_lane_is_reported() -> None:
    """A question that is next in its lane waits while the model is asked one that came later in another lane. Not so
    one that waits for its own lane, for those before it, or for the moment from a claim to the request."""
    later = lane(2, "bob", (5.0, 6.0), said=1.0)
    waiting = lane(1, "ann", (8.0, 9.0))
    for each in (waiting, replace(waiting, spans=())):
        assert [(found.kind, found.number) for found in starved((each, later))] == [("starved", 1)]
    assert starved((lane(3, "ann", (0.0, 5.0), ended=5.0), waiting, later)) == []
    assert starved((waiting, replace(later, said=-1.0))) == []
    assert starved((waiting, replace(later, spans=((7.0, 8.0),)))) == []
    assert starved((waiting, replace(later, room="slack/T/D"))) == []
    assert starved((waiting, replace(later, lane="ann"))) == []


def test_lane_of_a_dead_holder_is_starved_later() -> None:
    """Around a kill a lane may wait for its takeover, but not for ever."""
    waiting, later = lane(1, "ann", (8.0, 9.0)), lane(2, "bob", (5.0, 6.0), said=1.0)
    assert starved((waiting, later), [4.0]) == []
    assert len(starved((waiting, later), [8.5])) == 1  # it has begun by then
    late = PASSED_SECONDS + 1.0
    waiting, later = replace(waiting, spans=((late + 5.0, late + 6.0),)), replace(later, spans=((late, late + 1.0),))
    assert len(starved((waiting, later), [4.0])) == 1


def test_takeover_is_the_time_until_another_process_continues() -> None:
    """It lasts from the kill to the next request of another process for the same question."""
    requests = (Request(0.0, "k1", 1), Request(0.0, "k2", 2), Request(8.0, "k2", 1))
    assert takeovers((Kill(1.0, "k1"),), requests, {}, {}) == (TakeoverTime(1, 7.0, "k2"),)


def test_takeover_ends_with_a_sign_on_screen() -> None:
    """A change of the reply also ends it, unless the change was in flight when the process died."""
    (found,) = takeovers((Kill(1.0, "k1"),), (Request(0.0, "k1", 1),), {1: [0.5, 1.1, 4.0]}, {})
    assert found.seconds == 3.0


def test_takeover_by_nobody_is_infinite() -> None:
    """No process continued the turn."""
    (found,) = takeovers((Kill(1.0, "k1"),), (Request(0.0, "k1", 1),), {}, {})
    assert found.seconds == math.inf


def test_what_was_not_held_is_not_taken_over() -> None:
    """Whole replies, and turns that another process already held."""
    requests = (Request(0.0, "k1", 1), Request(0.0, "k1", 2), Request(0.5, "k2", 2))
    assert takeovers((Kill(1.0, "k1"),), requests, {}, {1: 0.9}) == ()


def test_longest_gap_counts_both_limits() -> None:
    """If nothing changes on screen, the gap is as long as the time itself."""
    assert longest_gap([1.0, 2.0, 2.5], 0.0, 4.0) == 1.5
    assert longest_gap([9.0], 0.0, 4.0) == 4.0


def test_small_things() -> None:
    """The last question that a text names counts; a percentile of nothing is 0."""
    assert (number_in(f"ann: {question(4)} {question(12)}"), number_in("hello")) == (12, 0)
    assert (percentile([3.0, 1.0, 2.0], 0.95), percentile([], 0.95)) == (3.0, 0.0)
