"""Standard Markdown goes to Slack without pings, as markdown, mrkdwn or plain text; Slack's tokens become words."""

import re
from pathlib import Path

import pytest

from bots.slack.dialect import LIMIT, from_slack, plain, to_mrkdwn, to_slack_markdown
from core.pages import Pages, flow

CORPUS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent.parent / "payloads" / "markdown").glob("*.md"))
}
LIVE = re.compile(r"<[@#]\w|<!\w|<[^<>\n|]+\|")
PINGS = ["<!channel>", "<!here>", "<!everyone>", "<@U012AB>", "<@U012AB|ann>", "<!subteam^S1|@team>", "<https://a.b|c>"]


@pytest.mark.parametrize(
    "text",
    [
        "# H\n\n**b** *i* ~~s~~ `a < b` [l](https://x.y?a=1&b=2) <https://x.y> <a@b.c>\n\n> quote\n> more\n",
        "a < b > c && d; &amp; &lt; <br> x -> y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [ ] task\n",
        "```py\nif a < b and c > d: pass\n```\n<!-- comment -->\n",
    ],
)
def test_markdown_passes_untouched(text: str) -> None:
    """Byte for byte."""
    assert to_slack_markdown(text) == text


@pytest.mark.parametrize("ping", PINGS)
@pytest.mark.parametrize("around", ["{}", "**{}**", "> - {}", "| a |\n|---|\n| {} |", "x\n{} y", "# {}"])
def test_no_mention_is_live(ping: str, around: str) -> None:
    """Its angles are escaped, so that it reads the same."""
    text = to_slack_markdown(around.format(ping))
    assert not LIVE.search(text)
    assert ping in text.replace("&lt;", "<").replace("&gt;", ">")


@pytest.mark.parametrize("link", ["[x](!channel)", "[x](<!here>)", "[x](@U012AB)", "![x](!channel)", "[x]: !channel"])
def test_a_link_to_a_mention_is_no_link(link: str) -> None:
    """In Slack's own markup it would be `<!channel|x>`."""
    assert "\\" in to_slack_markdown(link)
    assert not LIVE.search(to_mrkdwn(link))


@pytest.mark.parametrize("code", ["`{}`", "```\n{}\n```"])
def test_a_mention_in_code_reads_the_same_and_is_not_live(code: str) -> None:
    """An escape would show in code, an unseen character does not."""
    text = to_slack_markdown(code.format("<!channel>"))
    assert text.replace("\u200b", "") == code.format("<!channel>")
    assert not LIVE.search(text)


def test_images_are_links() -> None:
    """Also inside a link."""
    assert (
        to_slack_markdown("![a](https://i.j) [![b](https://i.j)](https://x.y)") == "[a](https://i.j) [b](https://x.y)"
    )


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("**b** *i* ~~s~~ ***both***", "*b* _i_ ~s~ _*both*_"),
        ("[l](https://x.y?a=1&b=2)", "<https://x.y?a=1&amp;b=2|l>"),
        ("<https://x.y>", "<https://x.y>"),
        ("![pic](https://x.y)", "<https://x.y|pic>"),
        ("# Head **bold**", "*Head bold*"),
        ("- a\n  - b\n\n3. c\n4. d", "• a\n    • b\n3. c\n4. d"),
        ("- [ ] a\n- [x] b", "• ☐ a\n• ☑ b"),
        ("> quote\n>\n> more", "> quote\n>\n> more"),
        ("```py\na < b\n```", "```\na &lt; b\n```"),
        ("| a | b |\n|---|---|\n| 日本 | `x | y` |", "```\na    │ b\n─────┼──────\n日本 │ x | y\n```"),
        ("中文**粗体**中文", "中文\u200b*粗体*\u200b中文"),
        ("a & b < c", "a &amp; b &lt; c"),
    ],
)
def test_mrkdwn(markdown: str, mrkdwn: str) -> None:
    """Each mark in mrkdwn's own way."""
    assert to_mrkdwn(markdown) == mrkdwn


@pytest.mark.parametrize("ping", PINGS)
def test_no_mention_is_live_in_mrkdwn_or_plain(ping: str) -> None:
    """Every angle of the text is escaped; only our own links have some."""
    for text in (to_mrkdwn(f"x {ping} `{ping}`\n\n{ping}"), plain(f"x {ping} `{ping}`\n\n{ping}")):
        assert not LIVE.search(text)


def test_plain_is_short_and_whole() -> None:
    """It ends with an ellipsis within the limit and cuts neither an entity nor an emoji."""
    assert plain("**Hello** [you](https://x.y) & `me`") == "Hello you &amp; me"
    for limit in range(8, 24):
        text = plain("👩‍👩‍👧‍👦 & " * 9, limit)
        assert len(text) <= limit
        assert re.fullmatch(r"(?:👩‍👩‍👧‍👦|&amp;|\s)*…", text)


@pytest.mark.parametrize("name", CORPUS)
def test_every_page_of_the_corpus(name: str) -> None:
    """At sampled prefixes each page is within the limit and nothing in it is live, in any of the three forms."""
    text, pages = CORPUS[name], Pages()
    for length in range(1, len(text), max(1, len(text) // 25)):
        pages = flow(pages, text[:length], lambda markdown: len(to_slack_markdown(markdown)) <= LIMIT, final=False)
        page = to_slack_markdown(pages.open)
        assert len(page) <= LIMIT
        assert not re.search(r"<[@#]\w|<!\w", page)
        assert not re.search(r"<[@#]\w|<!\w", to_mrkdwn(pages.open))
        assert "<" not in plain(pages.open)


def test_tokens_become_words() -> None:
    """Mentions by name, links as Markdown or as they were typed, entities decoded once, code left alone."""
    users, channels = {"U1": "Ann"}.get, {"C1": "general"}.get
    text = (
        "<@U1> <@U2|bob> <@U3> <#C1> <#C2|random> <!here> <!channel> <!subteam^S1|@ops> <!date^1^{date}|yesterday> "
        "<https://x.y/?a=1&amp;b=2|docs> <https://x.y> <http://x.y|x.y> <mailto:a@b.c|a@b.c> a &lt; b &amp;amp; c "
        "`<https://x.y|x.y> &lt;b&gt;`"
    )
    assert from_slack(text, users, channels) == (
        "@Ann @bob @U3 #general #random @here @channel @ops yesterday "
        "[docs](https://x.y/?a=1&b=2) https://x.y x.y a@b.c a < b &amp; c "
        "`x.y <b>`"
    )
