"""Reading only the new part of a text gives the same result as reading all of it."""

import random
from pathlib import Path

import pytest

from core.markdown import blocks as blocks_module
from core.markdown import spans
from core.markdown.blocks import blocks
from core.markdown.spans import Inline
from core.markdown.tables import alignment, cells, complete

FOLDER = Path(__file__).parents[2] / "payloads" / "markdown"
CORPUS = {path.stem: path.read_bytes().decode() for path in sorted(FOLDER.glob("*.md"))}


@pytest.mark.parametrize("name", CORPUS)
def test_a_text_that_grew_is_read_from_a_seam(name: str) -> None:
    """The blocks of a text do not depend on what was read before, no matter if the text grew or was cut."""
    text, chance = CORPUS[name], random.Random(name)
    for length in sorted(chance.sample(range(1, len(text) + 1), 40)) + chance.sample(range(1, len(text) + 1), 20):
        remembered = blocks(text[:length])
        blocks_module.forget()
        assert remembered == blocks(text[:length])
        blocks(text[: length // 2])
        blocks(text[: length - 1])


@pytest.mark.parametrize("name", CORPUS)
def test_a_paragraph_is_read_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans of a long paragraph are the same whether it is read in pieces or at once."""
    leaves = [leaf for leaf in blocks(CORPUS[name]).leaves if leaf.kind in ("paragraph", "heading")]
    for leaf in leaves:
        text = CORPUS[name][leaf.start : leaf.end]
        monkeypatch.setattr(spans, "_PIECE", 10_000)
        spans.inline.cache_clear()
        whole: Inline = spans.inline(text)
        monkeypatch.setattr(spans, "_PIECE", 20)
        spans.inline.cache_clear()
        assert spans.inline(text) == whole
    spans.inline.cache_clear()


TABLE = "> | a | b |\n> |:--|--:|\n> | `x | y` | 1 |\n> | 2 | 3 | 4 |\n> | 5 |\n"


def test_the_cells_of_a_table() -> None:
    """Each row gets as many cells as the header: no bar in code splits one, surplus ones are joined."""
    (leaf,) = blocks(TABLE).leaves
    assert cells(leaf, TABLE) == (("a", "b"), ("`x | y`", "1"), ("2", "3 | 4"), ("5", ""))
    assert alignment(leaf, TABLE) == ("left", "right")


def test_a_table_with_nothing_beyond_its_header() -> None:
    """Cells beyond the header's, which Markdown would drop, are joined to the last one."""
    (leaf,) = blocks(TABLE).leaves
    assert complete(leaf, TABLE) == ("> | a | b |\n> |:--|--:|\n> | `x \\| y` | 1 |\n> | 2 | 3 \\| 4 |\n> | 5 |\n")
