"""Whatever a model writes, laying it out costs no more than in proportion to its length."""

from collections.abc import Callable

import pytest

from bots.discord.dialect.markdown import to_discord
from bots.slack.dialect.markdown import appendable, to_slack_markdown
from bots.slack.dialect.mrkdwn import to_mrkdwn
from core.markdown.blocks import blocks
from core.markdown.incomplete import mend
from tests.degenerate import WRITTEN
from tests.growth import MOST, growth
from tests.laid_out import forget

# Characters: more than the pieces in which a paragraph is read, and a multiple of all lengths that are repeated up to
# 10, so that both texts end alike.
LENGTH = 2_520


def unfinished(text: str) -> None:
    """What of a growing text can be appended."""
    appendable(text, final=False)


@pytest.mark.parametrize("reader", [blocks, mend, to_discord, to_slack_markdown, to_mrkdwn, unfinished])
async def test_reading_costs_in_proportion(reader: Callable[[str], object]) -> None:
    """Twice the length costs at most 2.5 times as much, for every text that has made a parser slow."""

    def anew(text: str) -> None:
        forget()
        reader(text)

    found = {name: await growth(anew, case, LENGTH) for name, case in WRITTEN.items()}
    assert not {name: round(ratio, 1) for name, ratio in found.items() if ratio > MOST}
