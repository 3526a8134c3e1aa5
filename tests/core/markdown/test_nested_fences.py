"""A block of Markdown that holds other blocks, as models write it: with the same marker around all of them."""

import pytest

from bots.discord.dialect.markdown import to_discord
from bots.slack.dialect.markdown import appendable, to_slack_markdown
from core.markdown.blocks import blocks

INNER = "```text\nx\n```\n"
OUTER = f"```markdown\n## Notes\n\n{INNER}\nMore **notes**.\n\n{INNER}```\n"
NESTED = f"Here:\n\n{OUTER}\nThe **end**.\n"


def kinds(text: str) -> list[tuple[str, bool]]:
    return [(leaf.kind, leaf.closed) for leaf in blocks(text).leaves]


def test_blocks_with_a_language_are_inside() -> None:
    """One with a language begins a block inside, a bare marker ends the innermost."""
    assert kinds(NESTED) == [("paragraph", True), ("fence", True), ("paragraph", True)]
    (_, leaf, _) = blocks(NESTED).leaves
    assert NESTED[leaf.start : leaf.end] == OUTER
    quoted = "".join(f"> {line}\n" for line in OUTER.splitlines()) + "\nThe end.\n"
    assert kinds(quoted) == [("fence", True), ("paragraph", True)]


@pytest.mark.parametrize(
    "text",
    [
        "```markdown\n# a\n```\n\n```py\nx\n```\n",  # one after the other
        "```py\nx\n```text\ny\n```\n\nend\n",  # not of Markdown: as CommonMark reads it
        "````markdown\n```text\nx\n```\n````\n\nend\n",  # with a longer marker, as it should be
    ],
)
def test_other_blocks_are_read_as_before(text: str) -> None:
    """Nothing changes where nothing is nested."""
    assert all(closed for _, closed in kinds(text))
    assert len(kinds(text)) == 2


@pytest.mark.parametrize("dialect", [to_discord, to_slack_markdown])
def test_platforms_see_one_block(dialect: object) -> None:
    """No line inside can end the block for them."""
    shown = dialect(NESTED)  # type: ignore[operator]
    assert shown.count("```") == 2
    assert shown.endswith("```\n\nThe **end**.\n")


def test_a_stream_is_only_added_to() -> None:
    """What was appended is never changed by what comes later."""
    last = ""
    for length in range(1, len(NESTED) + 1):
        shown = appendable(NESTED[:length], final=length == len(NESTED))
        assert shown.startswith(last)
        last = shown
