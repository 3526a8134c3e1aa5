"""Strings from strangers: whatever they hold, what we show, store and log of them does no harm."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.conversation import Attachment, Author, Place
from core.domain.errors import UserError
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.settings.parameters import checked, parameter
from core.text import LONGEST_NAME, escaped, file_name, harmless, one_line

# Everything that a text could do harm with, often enough.
NASTY = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),
        st.sampled_from("\x00\x07\x08\t\n\x0b\x0c\r\x1b\x7f\x85\x9b\x9d\u2028\u202d\u202e\u2066\u2069\ud83d\ude00"),
    )
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")
PLACE = Place("slack", "T1", "C1")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain\ttext\nwith lines 😀 שלום", "plain\ttext\nwith lines 😀 שלום"),
        ("a\r\nb\rc\r", "a\nb\nc\n"),
        ("\x1b]52;c;ZXZpbA==\x07x\x1b[2J", "]52;c;ZXZpbA==x[2J"),
        ("\x9b2Jx\x9d0;title\x9c", "2Jx0;title"),
        ("\ud83d\ude00 \ud83d \ude00", "😀 \ufffd \ufffd"),
        ("a\x00b", "a\ufffdb"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\ufeffx\ud800", "\ufeffx\ufffd"),
    ],
)
def test_harmless_text(text: str, result: str) -> None:
    """What people can read stays as it is; what drives a terminal, turns letters round or can't be sent does not."""
    assert harmless(text) == result


@given(NASTY)
def test_harmless_text_can_be_sent_and_stays_as_it_is(text: str) -> None:
    """It can be encoded, holds no control character besides \\n and \\t, and a second pass changes nothing."""
    found = harmless(text)
    found.encode()
    assert not CONTROL.search(found)
    assert harmless(found) == found


@given(st.text(st.one_of(st.characters(), st.sampled_from("\r\n\x1b\x85\u202e")), max_size=30), st.integers(0, 30))
def test_harmless_text_grows_with_its_source(text: str, length: int) -> None:
    """What is shown of a growing text never has to be taken back (half characters never come alone from a decoder)."""
    assert harmless(text).startswith(harmless(text[:length]))


@given(NASTY)
def test_a_name_is_one_short_line(text: str) -> None:
    """It can stand in a sentence: no line break of any kind, no direction, no length to speak of."""
    name = one_line(text)
    assert len(name.splitlines()) <= 1
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", name)
    assert one_line(name) == name
    assert len(one_line(text * 50)) <= LONGEST_NAME


@given(NASTY)
def test_a_log_line_is_one_printable_line(text: str) -> None:
    """Nothing is lost of it, and nothing reaches the terminal that shows the log."""
    line = escaped(text)
    line.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f]", line)
    assert set(re.findall("[\x00-\x1f\x7f-\x9f]", escaped(text, lines=True))) <= {"\n", "\t"}


@given(NASTY)
def test_a_file_s_name_stays_the_same_however_often_it_is_made_harmless(text: str) -> None:
    """It may be stored and read again."""
    assert file_name(file_name(text)) == file_name(text)


@given(NASTY)
def test_what_people_send_is_harmless_from_the_start(text: str) -> None:
    """Names of people and files, and questions, can't be built in another way; neither can a prompt be set so."""
    author = Author("U1", text)
    question = Question(TurnId("t"), PLACE, author, text, attachments=(Attachment(text, "", "", 1),))
    assert (question.author.name, question.attachments[0].name) == (one_line(text), file_name(text))
    assert question.text == harmless(text)
    if 0 < len(harmless(text)) < 100:
        assert checked(parameter("prompt"), text) == harmless(text)


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202eb", "modèle", "a\x7fb", "a\x9bb", "a b", "a\ud800", "`"])
def test_the_name_of_a_model_is_printable_ascii(name: str) -> None:
    """Anybody may set one in their direct messages, and it comes into the log and into requests."""
    with pytest.raises(UserError, match="the name of a model"):
        checked(parameter("model"), name)
