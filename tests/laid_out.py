"""Each step in which the process lays a text out and renders it, for the test of growth and for `make bench`."""

from collections.abc import Callable, Iterator

from bots.discord.dialect import markdown as discord_dialect
from bots.discord.dialect import tables as discord_tables
from bots.discord.outbound import channel_surface as discord
from bots.slack.components import blocks as slack
from bots.slack.dialect import markdown as slack_dialect
from bots.slack.dialect import mrkdwn
from core.domain.chat import Delta
from core.markdown import blocks, incomplete, spans, stable_prefix
from core.pauses import Pausing
from core.reply.layout import ReplyLayout, ReplyStyle
from core.reply.state import Phase, Reply

_CACHES = [
    each
    for module in (discord_dialect, discord_tables, slack_dialect, mrkdwn, incomplete, spans, stable_prefix)
    for each in vars(module).values()
    if hasattr(each, "cache_clear")
]
_FRAME = 2_000  # characters that come between two frames


def forget() -> None:
    """Forget all that was parsed."""
    blocks.forget()
    for cache in _CACHES:
        cache.cache_clear()


def steps(text: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """What runs without a pause for others: each is to be called before the next is taken."""
    for name, fits, append_only in (
        ("Discord", discord.fits, False),
        ("Slack", slack.fits, False),
        ("Slack's streams", slack.fits, True),
    ):
        forget()
        style = ReplyStyle(append_only=append_only)
        layout, at_once = ReplyLayout(fits, style=style), ReplyLayout(fits, style=style)
        reply = Reply().to(Phase.THINKING, asked=0.0)
        for end in range(_FRAME, min(len(text), 5 * _FRAME) + 1, _FRAME):
            reply = reply.add(Delta(text[end - _FRAME : end]), 1.0)
            yield from _laid_out(f"{name}, growing", layout, reply)
        forget()
        done = Reply().to(Phase.THINKING, asked=0.0).add(Delta(text), 1.0).to(Phase.DONE)
        yield from _laid_out(f"{name}, at once", at_once, done)
        for page in at_once.pages(done, 1.0)[:3]:
            if name == "Discord":
                yield f"{name}, shown", lambda page=page: discord.content_of(page)  # type: ignore[misc]
            elif name == "Slack":
                yield f"{name}, shown", lambda page=page: slack.blocks(page)  # type: ignore[misc]
                yield f"{name}, shown", lambda page=page: slack.fallback(page)  # type: ignore[misc]
                yield from _pieces("Slack's mrkdwn", slack.sections(page))


def _pieces(name: str, work: Pausing[object]) -> Iterator[tuple[str, Callable[[], object]]]:
    complete = False

    def go_on() -> None:
        nonlocal complete
        complete = next(work, work) is work

    while not complete:
        yield name, go_on


def _laid_out(name: str, layout: ReplyLayout, reply: Reply) -> Iterator[tuple[str, Callable[[], object]]]:
    complete = False

    def advance() -> None:
        nonlocal complete
        complete = layout.advance(reply, 1.0)

    while not complete:
        yield name, advance
    yield name, lambda: layout.pages(reply, 1.0)
