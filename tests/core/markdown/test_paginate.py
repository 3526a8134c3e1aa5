"""A growing text becomes pages that fit and parse, never change once they are closed, and lose nothing."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from core.markdown.blocks import blocks
from core.markdown.incomplete import mend
from core.markdown.paginate import Pages, flow
from core.markdown.spans import inline

CORPUS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[2] / "payloads" / "markdown").glob("*.md"))
}
WHOLE = "\n\n".join([text for name, text in CORPUS.items() if name != "unclosed"] + [CORPUS["unclosed"]])

PIECES = [
    *("**", "*", "_", "~~", "`", "``", "```", "```py\n", "\n```\n", "~~~\n", "[", "](", "https://x.y/z "),
    *(")", "![", "<", "<@U1>", "> ", "\n> ", "- ", "\n- ", "\n  - ", "\n1. ", "\n1. a", "\n   "),
    *("\t", "\n", "\n\n", "\r\n", "9) ", "\n100. ", "| a | b |\n|---|---|\n", "| 1 | 2 |\n"),
    *("|", "&amp;", "&", "\\", "# ", "\n# H\n", "---\n", "===\n", "$$", "\\(", "<br>", "<!--"),
    *("-->", "- [ ] ", "[r]: http://x\n", "\n>> q", "👩‍👩‍👧", "🇩🇪", "e\u0301", "字", "漢字。"),
    *("word ", "é ", "\u0600", "a longer word, ", "Sentence one. ", "x" * 30),
]


def within(limit: int) -> Callable[[str], bool]:
    return lambda markdown: len(markdown) <= limit


def lay_out(text: str, limit: int) -> list[str]:
    pages = flow(Pages(), text, within(limit), final=True)
    return [*pages.closed, pages.open]


def shown(text: str) -> str:
    """The open page of a text that is still growing and fits."""
    return flow(Pages(), text, within(10_000), final=False).open


def left_open(text: str) -> list[str]:
    """The marks that open emphasis without an end.

    In `**「太」**字` CommonMark sees two beginnings. The writer meant the second to end the first.
    """
    openers = inline(text).openers
    left: list[str] = []
    for run in re.finditer(r"\*+|_+|~+", text):
        if any(run.start() <= at < run.end() for at in openers):
            if left and left[-1] == run[0] and not text[run.start() - 1].isspace():
                left.pop()
            else:
                left.append(run[0])
    return left


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def graphemes_end(text: str) -> set[int]:
    ends, at = {0}, 0
    for grapheme in iter_graphemes(text):
        at += len(grapheme)
        ends.add(at)
    return ends


def fence_is_open(page: str) -> bool:
    leaves = blocks(page).leaves
    return bool(leaves) and leaves[-1].kind == "fence" and not leaves[-1].closed and not page[leaves[-1].end :].strip()


def check(text: str, limit: int, prefixes: Iterable[int]) -> None:
    """Check every promise of `flow` at each of these lengths and at the end."""
    fits, pages, ends = within(limit), Pages(), graphemes_end(text)
    for length in prefixes:
        grown = flow(pages, text[:length], fits, final=False)
        assert grown.closed[: len(pages.closed)] == pages.closed
        assert all(map(fits, [*grown.closed[len(pages.closed) :], grown.open]))
        assert not fence_is_open(grown.open)
        pages = grown
    last = flow(pages, text, fits, final=True)
    assert last.closed[: len(pages.closed)] == pages.closed
    edges = [*last.starts, len(text)]
    for number, page in enumerate([*last.closed, last.open]):
        source = squeezed(text[edges[number] : edges[number + 1]])
        # A page may omit a quote marker or number at its end, because the next page writes it again.
        assert source in squeezed(page) or re.sub(r"(>*\d{1,9}[.)]|>+)$", "", source) in squeezed(page)
        assert fits(page)
        assert not fence_is_open(page)
        start = edges[number]
        assert start in ends or text[start - 1].isspace()


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("limit", [120, 500, 2000])
def test_corpus_at_sampled_prefixes(name: str, limit: int) -> None:
    """At sampled prefixes of every text, pages fit, closed ones stay, fences are balanced and nothing is lost."""
    text = CORPUS[name]
    check(text, limit, range(1, len(text), max(1, len(text) // 60)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=60), st.sampled_from([20, 40, 80, 200]), st.data())
def test_random_markdown(pieces: list[str], limit: int, data: st.DataObject) -> None:
    """The same holds for any mixture of Markdown, however broken, on pages of any size."""
    text = "".join(pieces)
    check(text, limit, sorted(data.draw(st.lists(st.integers(1, len(text)), max_size=8))))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, len(WHOLE)))
@example(WHOLE.index("」**の") + len("」**の"))
def test_every_prefix_parses(length: int) -> None:
    """While its last paragraph grows, the open page of a growing text has no unclosed emphasis."""
    text = WHOLE[:length]
    page = shown(text[-1500:])
    leaves = blocks(page).leaves
    if leaves and leaves[-1].kind == "paragraph" and mend(text[-1500:]).keep == len(text[-1500:]):
        goes_on = "\n" not in text[-1500:].rstrip(" ")[-1:]
        assert not (goes_on and left_open(page[leaves[-1].start :]))


def test_a_page_closes_only_when_text_does_not_fit() -> None:
    """A text as long as the limit is one page; with one more word there are two."""
    text = ("word " * 40).rstrip()
    assert flow(Pages(), text, within(len(text)), final=False).closed == ()
    assert len(flow(Pages(), text + " more", within(len(text)), final=False).closed) == 1


def test_the_final_page_is_what_the_model_wrote() -> None:
    """Marks that never close are mended only while the text grows."""
    text = "An **open mark, `code and [link](http"
    assert flow(flow(Pages(), text, within(99), final=False), text, within(99), final=True).open == text


def test_cut_between_paragraphs_before_sentences() -> None:
    """A paragraph that fits on the next page as a whole moves there."""
    assert lay_out("One. Two. Three.\n\nFour. Five. Six.", 28) == ["One. Two. Three.", "Four. Five. Six."]


def test_cut_between_sentences_before_words() -> None:
    """Inside a paragraph, a cut is at the end of a sentence if possible."""
    assert lay_out("First one here. Second one here too.", 25) == ["First one here.", "Second one here too."]


def test_chinese_is_cut_at_its_full_stop() -> None:
    """Sentences without white space are recognised by their punctuation."""
    assert lay_out("第一句话在这里。第二句话也在这里。", 12) == ["第一句话在这里。", "第二句话也在这里。"]


def test_a_heading_stays_with_its_text() -> None:
    """No page ends with a heading."""
    assert lay_out("A paragraph here.\n\n# Head\n\nText under the head.", 40)[1].startswith("# Head")


def test_a_fence_is_closed_and_reopened_with_its_language() -> None:
    """Both parts of a long fence are fences in the same language, and the closing line is within the limit."""
    pages = lay_out("```python\n" + "\n".join(f"line_{i} = {i}" for i in range(12)) + "\n```", 100)
    assert all(page.startswith("```python\nline_") and page.endswith("\n```") for page in pages)


def test_a_fence_in_a_list_continues_without_its_indentation() -> None:
    """The reopened fence starts at the margin, and so do the rest of the code and of the list."""
    text = "- item\n  ```js\n  let first = 1;\n  let second = 2;\n  ```\n- next"
    assert lay_out(text, 40) == ["- item\n  ```js\n  let first = 1;\n  ```", "```js\nlet second = 2;\n```\n- next"]


def test_a_quoted_fence_continues_quoted() -> None:
    """The reopened fence has the quote markers of its lines."""
    text = "> ```\n> one one one\n> two two two\n> ```"
    assert lay_out(text, 26) == ["> ```\n> one one one\n> ```", "> ```\n> two two two\n> ```"]


def test_a_table_keeps_its_header() -> None:
    """Each page of a table begins with the header and its rule."""
    header = "| n | square |\n|--:|-------:|\n"
    pages = lay_out(header + "".join(f"| {i} | {i * i} |\n" for i in range(20)), 120)
    assert len(pages) > 1
    assert all(page.startswith(header) for page in pages)


def test_a_list_continues_its_numbers() -> None:
    """A list whose items are all numbered 1 continues with the number that its reader expects."""
    pages = lay_out("1. first item\n1. second item\n1. third item\n1. fourth item", 32)
    assert pages == ["1. first item\n1. second item", "3. third item\n1. fourth item"]


def test_bold_continues_after_a_cut() -> None:
    """A mark that spans the cut is closed on one page and opened on the next."""
    assert lay_out("**one two three four five six**", 20) == ["**one two three**", "**four five six**"]


def test_no_cut_inside_a_link_or_code() -> None:
    """Text that has a meaning only as a whole moves as a whole."""
    text = "See [the long label](https://x.y/z) and `some code here` now"
    pages = lay_out(text, 36)
    assert [inline(page).atoms[0].kind for page in pages] == ["link", "code"]


def test_no_cut_inside_an_address() -> None:
    """A bare address is not cut either, and the marks in it are no emphasis."""
    pages = lay_out("Some words before https://example.com/a_b/_c*d~ and after it", 44)
    assert pages == ["Some words before", "https://example.com/a_b/_c*d~ and after it"]


def test_no_cut_before_the_first_word_of_a_row() -> None:
    """No page ends with a bar alone."""
    pages = lay_out("| a | b |\n|---|---|\n| " + "word " * 12 + "| x |", 44)
    assert len(pages) > 2
    assert not any(page.endswith("\n|") for page in pages)


def test_no_cut_inside_a_pair_of_half_characters() -> None:
    """A text may contain an emoji in two halves."""
    assert lay_out("\ud83d\ude00" * 10, 5) == ["\ud83d\ude00" * 2] * 5


def test_a_giant_word_is_cut_between_graphemes() -> None:
    """Families, flags and accents are not split."""
    family = "👩‍👩‍👧‍👦"
    assert lay_out(family * 6, len(family) * 2 + 3) == [family * 2] * 3


def test_no_word_becomes_a_list_at_the_beginning_of_a_page() -> None:
    """No page begins with a dash or number that is part of a sentence."""
    pages = lay_out("The costs were as we said - 5 dollars and 7) cents then", 30)
    assert not any(re.match(r"[-+*] |\d+[.)] ", page) for page in pages)


def test_nothing_fits() -> None:
    """Even with an absurd limit, the text comes to an end, character by character."""
    pages = flow(Pages(), "abc", lambda markdown: False, final=False)
    assert "".join(pages.closed) + pages.open == "abc"


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("**bo", "**bo**"),
        ("**bold*", "**bold**"),
        ("a *b **c", "a *b **c***"),
        ("~~gone~", "~~gone~~"),
        ("and **", "and"),
        ("run `ls -", "run `ls -`"),
        ("``a`b`", "``a`b``"),
        ("go [to", "go"),
        ("go [to](http", "go"),
        ("see ![pic](http", "see"),
        ("hi <@U12", "hi"),
        ("a < b", "a < b"),
        ("AT&am", "AT"),
        ("so \\", "so"),
        ("text\n-", "text"),
        ("text\n\n1.", "text"),
        ("text\n\n##", "text"),
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```py\nx = 1\n``", "```py\nx = 1\n```"),
        ("text\n\n```py", "text"),
        ("text\n\n| a | b |", "text"),
        ("text\n\n| a | b |\n|---|-", "text"),
        ("| a |\n|---|\n| 1 |\n| 2", "| a |\n|---|\n| 1 |"),
        ("> quote **b", "> quote **b**"),
        ("- one\n- ", "- one"),
        ("a 👩‍", "a"),
        ("a 🇩🇪🇫", "a 🇩🇪"),
        ("a \ud83d", "a"),
        ("word\u200d", "word\u200d"),
        ("so `` `a` `", "so `` `a``"),
        ("**bold `co", "**bold `co`**"),
        ("f(*a, `*b", "f(*a, `*b`*"),
        ("so \\&am", "so \\&am"),
        ("so \\<b", "so \\<b"),
        ("at https://exa", "at"),
        ("at https://example.com/_a now", "at https://example.com/_a now"),
        ("**at https://exa", "**at**"),
        ("[l](https://x.y/a_(b", ""),
        ('see [l](https://x.y "tit', "see"),
        ("~~a **b~~ c", "~~a **b~~ c"),
        ("、**「太」**字", "、**「太」**字"),
        ("_a, **b**c **d", "_a, **b**c **d**_"),
        ("> quote\n>\n> ", "> quote"),
        ("text\n\n1. - ", "text"),
        ("[ref]: https://exa", "[ref]:"),
    ],
)
def test_mending(text: str, page: str) -> None:
    """An incomplete construct is closed, or held back until its meaning is clear."""
    assert shown(text) == page


def test_an_end_is_not_held_back_when_the_next_block_has_begun() -> None:
    """The new block may be held back, but the one before it is complete."""
    assert shown("one **two\n\n- ![pic") == "one **two"


@pytest.mark.parametrize("run", ["*", "_ ", "~~", "**** ", "a * "])
def test_a_thousand_marks_are_read_once(run: str) -> None:
    """A confused model writes such texts; they are no emphasis."""
    text = "a " + run * 1000
    assert flow(Pages(), text, within(10_000), final=True).open == text.rstrip()
    shown(text)


def test_nothing_is_held_back_for_long() -> None:
    """A bracket that never becomes a link is shown after a while."""
    text = "see [" + "word " * 100
    assert shown(text) == text.rstrip()


def test_the_cost_depends_only_on_the_open_page() -> None:
    """After a hundred pages, filling two more reads no more text than filling the first two."""
    paragraph = "An ordinary paragraph, with **bold words** in it and an end.\n\n"

    def cost(pages: Pages, count: int) -> int:
        seen: list[int] = []

        def fits(markdown: str) -> bool:
            seen.append(len(markdown))
            return len(markdown) <= 500

        for more in range(count, count + 16):
            pages = flow(pages, paragraph * more, fits, final=False)
        return sum(seen)

    early = flow(Pages(), paragraph * 16, within(500), final=False)
    late = flow(Pages(), paragraph * 800, within(500), final=False)
    assert len(late.closed) >= 99
    assert cost(late, 801) <= cost(early, 17)
