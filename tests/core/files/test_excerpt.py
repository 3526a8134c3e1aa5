"""What of a text is left when it is cut, and how the room is divided."""

from hypothesis import given
from hypothesis import strategies as st

from core.files.excerpt import excerpt, shares
from core.files.found import FileText
from core.files.kinds import FileKind
from core.files.part import Part, cut

LINES = st.lists(st.text("ab é𝄞", max_size=30), max_size=60).map("\n".join)


def count(text: str) -> int:
    return len(text.encode()) // 3


def sheet(name: str, rows: int) -> Part:
    lines = "".join(f"| {name}{row} | some words |\n" for row in range(rows))
    return Part(f"Sheet {name}", f"| name | words |\n|---|---|\n{lines}")


@given(LINES, st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_a_cut_text_is_its_beginning_and_its_end(text: str, sizes: list[int]) -> None:
    """However often it is cut, in whichever order: it says how much is missing, and never exceeds its size."""
    part = Part("", text)
    for most in sizes:
        part = cut(part, most)
        assert part.size <= most
        assert text.startswith(part.head)
        assert text.endswith(part.tail)
        assert part.size + part.characters == len(text)
        missing = text[len(part.head) : len(text) - len(part.tail)]
        assert part.lines == missing.count("\n")


def test_lines_stay_whole() -> None:
    """A text is cut between two lines, and a line in between says how many are missing."""
    text = "".join(f"line {number}\n" for number in range(100))
    lines = cut(Part("", text), 100).text.splitlines()
    [gap] = [each for each in lines if each not in text.splitlines()]
    assert gap == f"(… {100 - len(lines) + 1} lines left out …)"
    assert (lines[0], lines[-1]) == ("line 0", "line 99")


def test_a_line_that_is_too_long_is_cut_within() -> None:
    """Then characters are missing, not lines."""
    part = cut(Part("", "a" * 500 + "b" * 500), 100)
    assert part.text == f"{'a' * 50}\n(… 900 characters left out …)\n{'b' * 50}"


@given(LINES, st.integers(0, 200))
def test_an_excerpt_fits(text: str, most: int) -> None:
    """Into its share of tokens, or there is nothing but the number of what is missing."""
    [part] = excerpt(FileText("a", FileKind.TEXT, (Part("", text),)), most, count).parts
    assert count(part.text) <= most or not part.size
    assert part.characters == len(text) - part.size


def test_a_table_keeps_its_head_and_its_tail() -> None:
    """The first row names the columns; each sheet is cut for itself, and a small one stays whole."""
    book = FileText("b", FileKind.XLSX, (sheet("a", 1_000), sheet("b", 3), sheet("c", 1_000)))
    sent = excerpt(book, 400, count)
    assert sent.parts[1] == book.parts[1]
    for part in (sent.parts[0], sent.parts[2]):
        assert part.head.startswith("| name | words |\n|---|---|\n")
        assert part.tail.endswith("999 | some words |\n")
    assert sum(count(part.text) for part in sent.parts) <= 400


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(-5, 3000))
def test_shares_are_fair(sizes: list[int], most: int) -> None:
    """Nobody gets more than they need, all together no more than there is, and who needs more than another gets at
    least as much."""
    found = shares(sizes, most)
    assert all(share <= size for share, size in zip(found, sizes, strict=True))
    assert sum(found) <= max(0, most)
    if sum(sizes) <= most:
        assert found == sizes
    unmet = [share for share, size in zip(found, sizes, strict=True) if share < size]
    assert all(share >= max(found) - 1 for share in unmet)
