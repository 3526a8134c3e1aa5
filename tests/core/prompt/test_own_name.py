"""The bot's own name in front of an answer is taken away, however it is streamed; other words with a colon stay."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.chat import Delta, Finish
from core.prompt.own_name import OwnName

NAMED = [
    *("nebula: Hello", "Nebula: Hello", "nebula:Hello", "**nebula:** Hello", "**Nebula**: Hello", "[nebula]: Hello"),
    *(
        "@nebula: Hello",
        "assistant: Hello",
        "Assistant:\nHello",
        "nebula\uff1aHello",
        "  nebula: Hello",
        "`nebula`: Hello",
    ),
    *("nebula: nebula: Hello", "assistant: nebula: Hello", "nebula : Hello"),
    *("Nebula (bot): Hello", "nebula [bot]: Hello", "Nebula (AI): Hello", "**Nebula (assistant)**: Hello"),
]
OTHER = [
    *("Note: Hello", "nebula", "nebula:", "Nebulae: clouds", "nebula is a cloud: yes", "alice: hi", "assistants: two"),
    *("", "neb", "* nebula", "I am nebula: Hello", "The assistant: x", "N: x", "http://nebula: x", "[link](x): y"),
    *("Nebula (the cloud): x", "nebulabot: x", "Nebula (bot) is here", "nebula (b"),
]


def without(pieces: list[str], name: str = "nebula") -> str:
    own_name = OwnName(name)
    deltas = [own_name.without(Delta(piece)) for piece in pieces]
    return "".join(delta.text for delta in (*deltas, own_name.without(Delta(finish=Finish.STOP))))


@pytest.mark.parametrize("text", NAMED)
def test_the_own_name_is_taken_away(text: str) -> None:
    """As people see it, or as templates call the model, in the ways in which models write it."""
    assert without([text]) == "Hello"
    assert without(list(text)) == "Hello"


@pytest.mark.parametrize("text", OTHER)
def test_other_words_stay(text: str) -> None:
    """A word is no name, and a name alone is the answer."""
    assert without([text]) == text
    assert without(list(text)) == text


@given(st.sampled_from([*NAMED, *OTHER]), st.data())
def test_pieces_of_any_size_give_the_same(text: str, data: st.DataObject) -> None:
    """Where the text is split decides nothing."""
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    assert without([text[start:stop] for start, stop in pairwise([0, *sorted(cuts), len(text)])]) == without([text])


def test_text_streams_as_soon_as_it_is_certain() -> None:
    """Nothing of an ordinary answer waits."""
    assert OwnName("nebula").without(Delta("Hi")) == Delta("Hi")
    assert OwnName("").without(Delta("Nebula: hi")) == Delta("Nebula: hi")


def test_an_answer_that_begins_again_is_looked_at_again() -> None:
    """What came before turned out to be thought."""
    own_name = OwnName("nebula")
    own_name.without(Delta("Hm, so."))
    assert own_name.without(Delta("nebula: Yes.", "Hm, so.", restart=True)).text == "Yes."


def test_odd_names_do_no_harm() -> None:
    """A name may hold signs of patterns, of Markdown, or letters that change their length in lower case."""
    for name in ("a.b*", "(x", "\u0130stanbul", "Nebula AI", "*", "\U0001f916 bot"):
        assert without([f"{name}: Hello"], name) in ("Hello", f"{name}: Hello")
        assert without(["Hello: x"], name) == "Hello: x"
    assert without(["Nebula AI: Hello"], "Nebula AI") == "Hello"
