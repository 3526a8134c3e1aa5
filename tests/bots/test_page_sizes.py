"""Every page that is sent fits the platform, however an answer is shown and ends."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bots.discord.outbound import channel_surface as discord
from bots.slack.components import blocks as slack
from core.domain.chat import Delta, Finish, Usage
from core.domain.errors import ContextTooLong, RateLimited
from core.domain.options import Reasoning
from core.domain.page import Page
from core.reply.layout import ReplyLayout, ReplyStyle
from core.reply.state import Phase, Reply

FITS = {"Discord": discord.fits, "Slack": slack.fits}
PIECES = ["word " * 90, "x" * 700, "漢字" * 300, "- item\n" * 60, "```py\n" + "code\n" * 90, "```\n\n", "\n\n", "> q\n"]
ENDS = [
    (Phase.DONE, "", None),
    (Phase.DONE, "", Finish.LENGTH),
    (Phase.DONE, "", Finish.FILTER),
    (Phase.FAILED, ContextTooLong.notice, None),
    (Phase.FAILED, RateLimited("", 30.0).notice, None),
    (Phase.STOPPED, "", None),
]


@pytest.mark.parametrize("platform", FITS)
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=40),
    st.sampled_from(ENDS),
    st.integers(1, 3),
    st.sets(st.integers(1, 40)),
    st.sampled_from(["", "vendor/" + "m" * 80]),
    st.sampled_from(["", "model"]),
    st.sampled_from(["none", "no file", "no more"]),
    st.sampled_from(list(Reasoning)),
)
# The only page has a head, which the small print at the end must leave room for.
@example(["word " * 90, "x" * 700, "word " * 90], ENDS[3], 1, {2}, "", "", "none", Reasoning.SUMMARY)
def test_every_page_fits(
    platform: str,
    pieces: list[str],
    end: tuple[Phase, str, Finish | None],
    pages: int,
    looks: set[int],
    other: str,
    footer: str,
    trouble: str,
    reasoning: Reasoning,
) -> None:
    """Growing or all at once, with all that the small print may say, and after each refusal that ends a reply early."""
    fits, (phase, notice, finish) = FITS[platform], end
    style = ReplyStyle(pages=pages, model=footer, reasoning=reasoning, buttons=True)
    layout = ReplyLayout(fits, "Ann: a question, of which nobody sees the message", style)
    reply = Reply().to(Phase.THINKING, asked=0.0).add(Delta(thought="Let me think about that. " * 30), 1.0)
    shown: tuple[Page, ...] = ()
    for number, piece in enumerate(pieces):
        reply = reply.add(Delta(piece, model=other), 2.0 + number)
        if number in looks:
            shown = layout.pages(reply, 3.0 + number)
            assert all(map(fits, shown))
    reply = replace(reply, finish=finish, usage=Usage(1000, 123_456))
    reply = reply.to(phase, notice, ended=99.0)
    shown = layout.pages(reply, 99.0)
    if trouble == "no file" and layout.overflows(reply):
        layout.without_file()
    if trouble == "no more":
        layout.end_at(max(1, len(shown) - 1))
    shown = layout.pages(reply, 99.0)
    assert len(shown) <= pages
    assert all(map(fits, shown))
