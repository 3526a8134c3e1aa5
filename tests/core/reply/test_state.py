"""The phases of a reply, and how pieces of an answer add up."""

import pytest

from core.domain.chat import Delta, Finish, Usage
from core.reply.state import TRANSITIONS, Phase, Reply


@pytest.mark.parametrize("phase", list(Phase))
def test_table_knows_every_phase(phase: Phase) -> None:
    """Each phase has a row, and exactly the phases without a transition are ends."""
    assert Reply(phase=phase).over == (not TRANSITIONS[phase])


def test_an_ended_reply_cannot_continue() -> None:
    """An end is final: an illegal step is a defect and raises."""
    with pytest.raises(ValueError, match="done to streaming"):
        Reply().to(Phase.THINKING).to(Phase.DONE).to(Phase.STREAMING)


def test_text_is_what_the_model_wrote() -> None:
    """Pieces are joined as they are; only white space before the first word is dropped."""
    reply = Reply().to(Phase.THINKING)
    for text in ("\n\n", " Yes", ",\n", "  no "):
        reply = reply.add(Delta(text=text), 0)
    assert reply.text == "Yes,\n  no "
    assert reply.phase is Phase.STREAMING


def test_thinking_is_timed() -> None:
    """From the first thought to the first word of the answer."""
    reply = Reply().to(Phase.THINKING).add(Delta(thought="hm"), 10).add(Delta(thought="hm"), 12)
    assert (reply.phase, reply.text, reply.thought_since, reply.thought_until) == (Phase.THINKING, "", 10, None)
    reply = reply.add(Delta(text="Yes"), 15).add(Delta(text="!"), 20)
    assert (reply.phase, reply.thought_since, reply.thought_until) == (Phase.STREAMING, 10, 15)


def test_end_and_usage_are_kept() -> None:
    """The reply keeps what the last chunks say; a later usage replaces an earlier one."""
    reply = Reply().to(Phase.THINKING).add(Delta(text="a", usage=Usage(1, 1)), 0)
    reply = reply.add(Delta(finish=Finish.LENGTH), 0).add(Delta(usage=Usage(3, 4)), 0)
    assert (reply.finish, reply.usage) == (Finish.LENGTH, Usage(3, 4))


def test_text_that_was_thought_is_removed() -> None:
    """After a closing tag without an opening one, the text that was shown as an answer is thought from its first word
    on."""
    reply = Reply().to(Phase.THINKING).add(Delta(text="Hm, "), 10).add(Delta(text="so"), 12)
    reply = reply.add(Delta(text="\n\n42", thought="Hm, so", restart=True), 15).add(Delta(text="!"), 16)
    assert (reply.text, reply.thought_since, reply.thought_until) == ("42!", 10, 15)


def test_states_share_what_they_have_in_common() -> None:
    """Each state keeps its own text, whichever of them is read or extended first."""
    one = Reply().to(Phase.THINKING).add(Delta(text="one"), 0)
    two = one.add(Delta(text=" two"), 0)
    other = one.add(Delta(text=" more"), 0)
    three = two.add(Delta(text=" three"), 0)
    assert (three.text, one.text, two.text, other.text) == ("one two three", "one", "one two", "one more")
    assert two.add(Delta(text="!"), 0).text == "one two!"
    assert Reply().to(Phase.THINKING).text == ""


def test_a_token_costs_the_same_however_long_the_text_is() -> None:
    """The text is joined when it is read, not for each token."""
    reply = Reply().to(Phase.THINKING)
    for _ in range(100):
        reply = reply.add(Delta(text="word "), 0)
    assert len(reply.written) == 500
    assert reply.cut(7).text == "word wo"
    assert reply.cut(7).finish is Finish.LENGTH
    assert reply.cut(500) is reply
