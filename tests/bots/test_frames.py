"""For any text of a model, the visible part always fits, parses and pings nobody; in the end it is complete.

Each document is laid out as it grows, page by page, as the surfaces do it, and judged by `judges`, which knows nothing
of the code under test. Short documents are checked after every character; long ones around each kind of border and at
sampled lengths. FRAMES=all checks every prefix of every document, which takes some minutes.


"""

import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import unescape
from pathlib import Path

import pytest

from bots.discord.outbound import channel_surface as discord
from bots.slack.components import blocks as slack
from bots.slack.dialect.markdown import appendable, to_slack_markdown
from core.domain.page import Page
from core.markdown.paginate import Pages, flow
from core.pauses import at_once
from tests.bots import judges

FOLDER = Path(__file__).parent.parent / "payloads" / "markdown"
CORPUS = {path.stem: path.read_bytes().decode() for path in sorted(FOLDER.glob("*.md"))}
ODD = {
    "CRLF": CORPUS["ordered"].replace("\n", "\r\n"),
    "CRLF in quotes": CORPUS["quotes"].replace("\n", "\r\n"),
    "CRLF in tables": CORPUS["table-code"].replace("\n", "\r\n"),
    "lone CR": CORPUS["recipe"].replace("\n", "\r"),
    "mixed ends": "one\r\ntwo\rthree\n\r\n- a\r- b\r\n\r\n```\r\ncode\rmore\n```\r",
    "other ends": "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven **bold\u2028over** `code\u2028over` end",
    "controls": "".join(f"a{chr(code)}b " for code in [*range(1, 9), *range(14, 32), 127]) + "**bold\x07** end",
    "null": "a\x00b **c\x00d** `e\x00f`\n\n```\n\x00g\n```\n\n| \x00 | h |\n|---|---|\n| i | \x00 |\n",
    "half characters": "x \ud83d\ude00 y \ud83d z \ude00 **\ud83d\ude00** `\ud83d` [\ud83d\ude00](https://a.b) \ud83d",
    "byte order marks": "\ufeff# Title\n\n\ufeff- item \ufeff**bold**\n\n\u200b- no item? \u2060x\u2060",
    "directions": "\u202eright to left\u202c \u2066**isolated**\u2069 \u200f`code`\u200e end",
    "spaces": "\u00a0a\u2003**b**\u3000c\u202f*d*\u2009e\t\tf \u00a0 \n\u3000\n\u00a0\n    \u00a0code\n",
    "white": " \n\t\n \r\n\u00a0\n",
    "nothing": "",
    "nested quotes": ">" * 70 + " deep\n" + "> " * 70 + "deep, too\n",
    "nested lists": "\n".join("  " * depth + "- item" for depth in range(40)),
    "nested brackets": "[" * 60 + "x" + "](https://example.com)" * 60,
    "runs": "*" * 23 + "a" + "*" * 22 + " " + "_" * 19 + "b" + "`" * 99 + "c" + "~" * 15 + "\n" + "`" * 50,
}
TEXTS = CORPUS | ODD
LONGEST = "\n\n".join(
    CORPUS[name] for name in ("tutorial", "languages", "cjk", "table-wide", "essay", "ordered", "pings")
)
# One place of each kind, with its surroundings, is checked character by character.
BORDERS = [
    r"\*\*",
    r"(?<!`)`(?!`)",
    r"^ *```",
    r"^ *~~~",
    r"\[",
    r"\]\(",
    r"!\[",
    r"<",
    r"&\w",
    r"^\|",
    r"^\|-",
    r"^ *[-*+] ",
]
BORDERS += [
    r"^ *\d+[.)] ",
    r"^#",
    r"^=+$",
    r"^>",
    r"~~",
    r"\$",
    r"\\",
    r"https?:",
    r"@\w",
    r"[\U0001f1e6-\U0001faff]",
    r"\n\n",
]


@dataclass(frozen=True)
class PlatformView:
    """A way to show a page: at most `most`, as `size` counts."""

    show: Callable[[str], str]
    pings: Callable[[str], list[str]]
    most: int
    size: Callable[[str], int] = len

    def fits(self, markdown: str) -> bool:
        return self.size(self.show(markdown)) <= self.most


def discord_content(markdown: str) -> str:
    return discord.content_of(Page(markdown)) if markdown else ""


PLATFORM_VIEWS = {
    "Discord": PlatformView(discord_content, judges.discord_pings, 2_000),
    "Discord, small": PlatformView(discord_content, judges.discord_pings, 280),
    "Slack": PlatformView(to_slack_markdown, judges.slack_pings, 12_000),
    "Slack, small": PlatformView(to_slack_markdown, judges.slack_pings, 350),
}


def prefixes(text: str, seed: str) -> list[int]:
    """The lengths at which to check the text."""
    if len(text) < 200 or os.environ.get("FRAMES") == "all":
        return list(range(1, len(text) + 1))
    chance = random.Random(seed)
    found = set(chance.sample(range(1, len(text)), 6))
    for border in BORDERS:
        if places := [match.start() for match in re.finditer(border, text, re.MULTILINE)]:
            at = chance.choice(places)
            found |= set(range(at, min(at + 3, len(text))))
    return sorted(found - {0})


def check_frame(page: str, shown: PlatformView, prefix: str) -> None:
    """Check one page of a growing text."""
    out = shown.show(page)
    assert shown.size(out) <= shown.most
    assert not shown.pings(out)
    out.encode()  # half characters can't be sent
    assert not judges.fence_is_open(page)
    assert not judges.unfinished(page, prefix)
    assert not judges.half_row(page, prefix)
    if shown.show is discord_content:
        assert not judges.discord_leaves_open(out)
    else:
        assert not judges.fence_is_open(out)
        assert not judges.unfinished(out, prefix)


def check_whole(pages: Pages, text: str, shown: PlatformView) -> None:
    """Check all pages of a complete text: nothing is missing, before and after the translation."""
    texts = [*pages.closed, pages.open]
    edges = [*pages.starts, len(text)]
    for number, page in enumerate(texts):
        source = squeezed(text[edges[number] : edges[number + 1]])
        # A page may omit a quote marker or number at its end, because the next page writes it again.
        assert source in squeezed(page) or re.sub(r"(>*\d{1,9}[.)]|>+)$", "", source) in squeezed(page)
        assert not judges.fence_is_open(page)
        out = shown.show(page)
        assert shown.size(out) <= shown.most
        assert not shown.pings(out)
    assert not judges.missing(judges.graphemes(text), judges.graphemes("\n".join(texts)))
    translated = judges.read("\n\n".join(map(shown.show, texts)))
    prose, cells = judges.without_tables(re.sub(r"\r\n?", "\n", text))
    assert not judges.missing(judges.read(without_boxes(prose)), translated)
    for cell in cells:
        assert not judges.missing(judges.read(cell), translated)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def without_boxes(text: str) -> str:
    """Discord gets symbols instead of the boxes of tasks."""
    return re.sub(r"\[[ xX]\] ", "", text)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("way", ["Discord, small", "Slack, small"])
def test_every_frame_of_every_document(way: str, name: str) -> None:
    """Frames fit, parse and ping nobody, closed pages stay as they are, and the last frame holds everything."""
    text, shown, pages = TEXTS[name], PLATFORM_VIEWS[way], Pages()
    for length in prefixes(text, way + name):
        grown = flow(pages, text[:length], shown.fits, final=False)
        assert grown.closed[: len(pages.closed)] == pages.closed
        for page in grown.closed[len(pages.closed) :]:
            assert not shown.pings(shown.show(page))
        check_frame(grown.open, shown, text[:length])
        pages = grown
    last = flow(pages, text, shown.fits, final=True)
    assert last.closed[: len(pages.closed)] == pages.closed
    check_whole(last, text, shown)


@pytest.mark.parametrize("way", ["Discord", "Slack"])
def test_a_long_answer_at_the_platform_s_own_limit(way: str) -> None:
    """The same for ten thousand characters of everything, measured as the surface measures it."""
    shown, pages = PLATFORM_VIEWS[way], Pages()
    own = {"Discord": discord.fits, "Slack": slack.fits}[way]
    chance = random.Random(1)
    for length in sorted(chance.sample(range(1, len(LONGEST)), 40)):
        pages = flow(pages, LONGEST[:length], lambda text: own(Page(text)), final=False)
        check_frame(pages.open, shown, LONGEST[:length])
        assert len(to_slack_markdown(pages.open).encode()) <= slack.MARKDOWN_BYTES
    check_whole(flow(pages, LONGEST, lambda text: own(Page(text)), final=True), LONGEST, shown)


@pytest.mark.parametrize("name", TEXTS)
def test_mrkdwn_and_plain_text(name: str) -> None:
    """Where Slack accepts no Markdown: sections within their limit, a fallback without the model's angle brackets."""
    text = TEXTS[name]
    for length in [*prefixes(text, name)[::12], len(text)]:
        pages = flow(Pages(), text[:length], lambda page: slack.fits(Page(page)), final=length == len(text))
        for page in filter(None, [*pages.closed, pages.open]):
            sections = [block["text"]["text"] for block in at_once(slack.sections(Page(page)))]
            for section in sections:
                assert len(section) <= slack.SECTION_CHARACTERS
                assert not judges.mrkdwn_pings(section)
                assert not judges.bare_ampersands(section)
                assert section.count("```") % 2 == 0
            said = judges.letters(unescape("\n".join(sections)))
            prose, cells = judges.without_tables(re.sub(r"\r\n?", "\n", page))
            assert not judges.missing(judges.read(without_boxes(prose)), said)
            assert not [cell for cell in cells if judges.missing(judges.read(cell), said)]
            fallback = slack.fallback(Page(page))
            assert 0 < len(fallback) <= slack.TEXT_CHARACTERS
            assert not set(fallback) & set("<>")
            assert not judges.bare_ampersands(fallback)


@pytest.mark.parametrize(("name", "limit"), [*((name, 700) for name in TEXTS), ("all", 900), ("all", 9_000)])
def test_a_stream_is_only_added_to(name: str, limit: int) -> None:
    """The text of a page always begins with its earlier text, until the last word, and never pings."""
    text = LONGEST if name == "all" else TEXTS[name]
    fits = partial(_within, limit)
    shown: dict[int, str] = {}
    pages = Pages()
    lengths = [*prefixes(text, name), len(text)]
    for length in lengths:
        final = length == len(text)
        pages = flow(pages, text[:length], fits, final=final, append_only=True)
        said = [appendable(page, final=True) for page in pages.closed]
        said.append(appendable(pages.open if final else pages.raw, final=final))
        for index, page in enumerate(said):
            assert page.startswith(shown.get(index, ""))
        if not final:
            half = {*judges.unfinished(said[-1], text[:length])}
            assert half.isdisjoint({"link", "address", "tag", "escape", "emoji"})
        assert not judges.slack_pings(said[-1])
        shown = dict(enumerate(said))
    assert [*shown.values()] == [to_slack_markdown(page) for page in (*pages.closed, pages.open)]
    assert all(len(page.encode()) <= limit for page in shown.values())


def _within(limit: int, markdown: str) -> bool:
    return len(to_slack_markdown(markdown).encode()) <= limit
