"""On a surface that only appends, a text is shown as far as no later text can change its meaning."""

import random
from pathlib import Path

import pytest

from core.markdown.paginate import Pages, flow
from core.markdown.stable_prefix import stable_length

FOLDER = Path(__file__).parents[2] / "payloads" / "markdown"
CORPUS = {path.stem: path.read_bytes().decode() for path in sorted(FOLDER.glob("*.md"))}


@pytest.mark.parametrize("name", CORPUS)
def test_a_longer_text_is_never_less_stable(name: str) -> None:
    """At every length of a stretch of each document."""
    text = CORPUS[name]
    begin = random.Random(name).randrange(max(1, len(text) - 260))
    before = 0
    for length in range(begin, min(len(text), begin + 260) + 1):
        now = stable_length(text[:length])
        assert before <= now <= length
        before = now


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain wor", "plain wor"),
        ("an **open mar", "an **open mar"),
        ("a mark **", "a mark"),
        ("run `ls -l", "run `ls -l"),
        ("run `a <b", "run `a"),
        ("```py\nx = [1,", "```py\nx = [1,"),
        ("text\n\n```py", "text"),
        ("```\ncode\n``", "```\ncode"),
        ("see [label](https://exam", "see"),
        ("see [label](https://example.com) now", "see [label](https://example.com) now"),
        ("see ![pic](https://exam", "see"),
        ("at https://example.com/pa", "at"),
        ("at <https://exam", "at"),
        ("AT&am", "AT"),
        ("so \\", "so"),
        ("hi <!chan", "hi"),
        ("hi 👩‍", "hi"),
        ("hi 👩", "hi"),
        ("text\n\n1.", "text"),
        ("text\n\n- [", "text"),
        ("text\n\n##", "text"),
        ("text\n\n| a | b |", "text"),
        ("| a |\n|---|\n| 1 |\n| 2", "| a |\n|---|\n| 1 |"),
        ("a | b\n--|", "a | b"),
        ("so \\(a_1", "so"),
        ("so $a_1 +", "so"),
        ("it costs $5 now", "it costs $5 now"),
        ("[ref]: https://exam", "[ref"),
    ],
)
def test_undecided_text_is_held_back(text: str, shown: str) -> None:
    """Text whose meaning the next characters decide is held back; words, open emphasis and open code are not."""
    assert text[: stable_length(text)] == shown


def test_undecided_text_is_not_held_back_for_long() -> None:
    """A bracket without its end is shown after a while, and at once when its paragraph is complete."""
    assert stable_length("see [" + "word " * 100) > 490
    assert stable_length("see [word\n\nnext") == len("see [word\n\nnext")


def test_a_page_ends_after_its_shown_text() -> None:
    """A page that can't be rewritten does not end at the best place if it has shown more than that."""
    text = "A paragraph to be cut after.\n\nA second paragraph, which goes on. And goes on to its end here, and on."
    early = flow(Pages(), text[:60], lambda page: len(page) <= 70, final=False, append_only=True)
    late = flow(early, text, lambda page: len(page) <= 70, final=True, append_only=True)
    assert late.closed[0].startswith(text[: stable_length(early.raw)])
    assert flow(Pages(), text, lambda page: len(page) <= 70, final=True).closed[0] == "A paragraph to be cut after."


def test_a_page_that_is_nearly_full_ends_at_the_next_good_place() -> None:
    """A page that can't be rewritten does not wait until it has to cut a word."""
    sentence = "This sentence has exactly sixty characters, counting the end"
    text, pages = f"{sentence}. " * 20, Pages()
    for length in range(0, len(text), 7):
        pages = flow(pages, text[:length], lambda page: len(page) <= 800, final=False, append_only=True)
    assert pages.closed
    assert all(page.endswith(f"{sentence}.") for page in pages.closed)


def test_the_raw_page() -> None:
    """The text of a growing page until now, including reopened marks but without the marks that only close it."""
    pages = flow(Pages(), "```py\none = 1\ntwo = 2\nthree = **3", lambda page: len(page) <= 30, final=False)
    assert (pages.raw, pages.open) == ("```py\nthree = **3", "```py\nthree = **3\n```")
