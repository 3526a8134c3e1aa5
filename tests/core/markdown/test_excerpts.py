"""Code and tables taken out of a text, as models write them."""

import random

import pytest

from core.markdown.blocks import blocks, forget
from core.markdown.excerpts import CodeBlock, Excerpts, excerpts
from core.pauses import at_once
from tests.growth import MOST, growth

TABLE = "| a | b |\n|---|:-:|\n| 1 | 2 |\n| `x|y` | 3 \\| 4 |\n"
CELLS = (("a", "b"), ("1", "2"), ("`x|y`", "3 | 4"))


@pytest.mark.parametrize(
    ("markdown", "code"),
    [
        ("no code", []),
        ("```python\nprint(1)\n```", [CodeBlock("python", "print(1)\n")]),
        ("~~~ Rust extra words\nfn\n~~~\n", [CodeBlock("rust", "fn\n")]),
        ("````\n```\ninner\n```\n````", [CodeBlock("", "```\ninner\n```\n")]),
        ("```py\na\n```\ntext\n```js\nb\n```", [CodeBlock("py", "a\n"), CodeBlock("js", "b\n")]),
        ("1. One:\n\n   ```py\n   if a:\n       b\n   ```\n", [CodeBlock("py", "if a:\n    b\n")]),
        ("- ```sh\n  ls\n  ```", [CodeBlock("sh", "ls\n")]),
        ("> ```\n> said\n> ```", [CodeBlock("", "said\n")]),
        ("```py\nnever closed", [CodeBlock("py", "never closed")]),
        ("```md\n# A\n```sh\nls\n```\n## B\n```\nafter", [CodeBlock("md", "# A\n```sh\nls\n```\n## B\n")]),
        ("```py\n| a |\n|---|\n| 1 |\n```", [CodeBlock("py", "| a |\n|---|\n| 1 |\n")]),
        ("`` ``` `` is no fence, nor is ```a```", []),
        ("```python {.numbered}\r\na\r\n```\r\n", [CodeBlock("python", "a\r\n")]),
    ],
)
def test_blocks_of_code(markdown: str, code: list[CodeBlock]) -> None:
    """Each fence once, without what is around it; a table in it is code."""
    found = at_once(excerpts(markdown))
    assert list(found.code) == code
    assert found.tables == ()


@pytest.mark.parametrize(
    ("markdown", "tables"),
    [
        (TABLE, [CELLS]),
        (f"Before:\n\n{TABLE}\nAfter, with a | bar.\n", [CELLS]),
        (f"a line with a | bar\n{TABLE}", [CELLS]),
        ("> " + TABLE.strip().replace("\n", "\n> "), [CELLS]),
        (f"{TABLE}\n{TABLE}", [CELLS, CELLS]),
        ("a | b\n--- | ---\n1 | 2", [(("a", "b"), ("1", "2"))]),
        ("| a |\n|---|\n", []),
        ("| a | b |\n|---|\n| 1 | 2 |\n", []),
        ("a | b\nc | d", []),
        ("text\n---\nmore", []),
        ("| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |", [(("a", "b"), ("1", ""), ("1", "2 | 3"))]),
    ],
)
def test_tables(markdown: str, tables: list[object]) -> None:
    """Header and rows, each row with as many cells as the header; a header alone is no table."""
    assert list(at_once(excerpts(markdown)).tables) == tables


def test_it_sees_the_blocks_that_the_parser_sees() -> None:
    """For texts as models write them, put together at random: as many fences and tables as people see on the page."""
    parts = (
        "Text.\n\n",
        "```py\na = 1\n```\n\n",
        "- item\n\n",
        f"{TABLE}\n",
        "1. one\n\n   ```js\n   b()\n   ```\n\n",
        "# H\n\n",
    )
    chance = random.Random(7)
    for _ in range(50):
        markdown = "".join(chance.choices(parts, k=chance.randrange(1, 9)))
        kinds = [leaf.kind for leaf in blocks(markdown).leaves]
        found = at_once(excerpts(markdown))
        assert (len(found.code), len(found.tables)) == (kinds.count("fence"), kinds.count("table")), markdown
    forget()


@pytest.mark.parametrize(
    "markdown",
    [
        "`" * 200_000,
        "```" + " " * 200_000 + "x",
        "> " * 100_000,
        "|" * 200_000,
        "|-" * 100_000,
        " " * 200_000 + "`",
        "-\n" * 100_000,
    ],
    ids=["ticks", "info", "quotes", "bars", "rules", "spaces", "dashes"],
)
def test_no_text_takes_long(markdown: str) -> None:
    """Each of these would take minutes if the time grew with the square of the length."""
    at_once(excerpts(markdown))
    at_once(excerpts(f"{markdown}\n{markdown}"))


async def test_rules_that_belong_to_no_table_cost_in_proportion() -> None:
    """Each is below a row with another number of cells, so that none begins a table."""

    def found(text: str) -> Excerpts:
        return at_once(excerpts(text))

    assert await growth(found, lambda n: "a|b|c\n-|-\n" * (n // 10)) <= MOST


@pytest.mark.parametrize("markdown", ["| a |\n|---|\n" + "| 1 |\n" * 2000, "a|b|c\n-|-\n" * 1000, "words\n" * 2000])
def test_others_run_while_a_long_text_is_read(markdown: str) -> None:
    """It pauses after some hundred lines, whatever is in them."""
    assert sum(1 for _ in excerpts(markdown)) >= 4
