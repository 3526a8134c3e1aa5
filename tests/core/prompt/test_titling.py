"""Titles of chats: what the model is asked, and what becomes of any answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.chat import Completion, Finish, Usage
from core.prompt.titling import FIRST_CHARACTERS, LONGEST, first_words, title_of, title_request


def answer(text: str, finish: Finish = Finish.STOP) -> Completion:
    """What a model wrote."""
    return Completion(text, "", finish, Usage())


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Regex for dates", "Regex for dates"),
        ('  "Regex for dates."\n', "Regex for dates"),
        ("**Title:** Regex for `dates`", "Regex for dates"),
        ("# Regex\n\nfor dates", "Regex"),
        ("„Datumsformate“", "Datumsformate"),
        ("日付の正規表現", "日付の正規表現"),
        ("C++ or Rust?", "C++ or Rust?"),
        ("<@U1> <!channel> @everyone hello", "U1 !channel everyone hello"),
        ("", ""),
        ("…", ""),
        ("***\n", ""),
        ("\u202eevil", "evil"),
    ],
)
def test_a_title_is_the_first_line_without_marks(text: str, title: str) -> None:
    """Quotation marks, Markdown, mentions and a label go; what has no letters is none."""
    assert title_of(answer(text)) == title


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.FILTER, Finish.UNKNOWN])
def test_what_was_cut_is_no_title(finish: Finish) -> None:
    """Nor is what a filter refused."""
    assert title_of(answer("Regex for", finish)) == ""


@given(st.text())
def test_titles_are_short_and_harmless(text: str) -> None:
    """On one line, and without anything that is a mention, a link or Markdown somewhere."""
    for title in (title_of(answer(text)), first_words(text)):
        assert len(title) <= LONGEST
        assert not set(title) & set("<>@*_`~#|[]\n\r")


def test_the_request_is_bounded() -> None:
    """However long the question is."""
    request = title_request("m", "x" * 100_000, 1.0)
    assert sum(len(each.content) for each in request.messages) < FIRST_CHARACTERS + 1_000
    assert request.max_tokens is not None
    assert request.deadline == 1.0
