"""Standard Markdown goes to Slack without pings, as markdown, mrkdwn or plain text; Slack's tokens become words."""

import re

import pytest

from bots.slack.dialect.markdown import appendable, from_slack, plain, to_mrkdwn, to_slack_markdown

LIVE = re.compile(r"<[@#]\w|<!\w|<[^<>\n|]+\|")
PINGS = ["<!channel>", "<!here>", "<!everyone>", "<@U012AB>", "<@U012AB|ann>", "<!subteam^S1|@team>", "<https://a.b|c>"]


@pytest.mark.parametrize(
    "text",
    [
        "# H\n\n**b** *i* ~~s~~ `a < b` [l](https://x.y?a=1&b=2) <https://x.y> <a@b.c>\n\n> quote\n> more\n",
        "a < b > c && d; &amp; &lt; <br> x -> y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [ ] task\n",
        "```py\nif a < b and c > d: pass\n```\n\n```html\n<!DOCTYPE html><!-- x -->\n```\n",
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
    assert ping in text.replace("&lt;", "<").replace("\\|", "|")


@pytest.mark.parametrize(
    "link",
    [
        *("[x](!channel)", "[x](<!here>)", "[x](@U012AB)", "![x](!channel)", "[x]: !channel", "[x](\\!channel)"),
        *(
            "[x](&#33;channel)",
            "[x]( <&commat;U012AB>)",
            "[x](#C024BE7LR)",
            "- [x]: @U012AB",
            "\\[[r]: a\n\\](!channel)",
        ),
    ],
)
def test_a_link_to_a_mention_is_not_a_link(link: str) -> None:
    """In Slack's own markup it would be `<!channel|x>`."""
    assert "\\" in to_slack_markdown(link)
    assert not LIVE.search(to_mrkdwn(link))


@pytest.mark.parametrize("code", ["`{}`", "```\n{}\n```"])
def test_a_mention_in_code_reads_the_same_and_is_not_live(code: str) -> None:
    """An escape would be visible in code; an invisible character is not."""
    text = to_slack_markdown(code.format("<!channel>"))
    assert text.replace("\u200b", "") == code.format("<!channel>")
    assert not LIVE.search(text)


@pytest.mark.parametrize(
    "begin", ["\\<!channel>", "\\\\<!channel>", "<\\!channel>", "<![x](https://i.j)channel>", "<subteam^S1>"]
)
def test_no_mention_is_live_by_an_escape(begin: str) -> None:
    """And the entity that replaces the angle is not itself escaped."""
    text = to_slack_markdown(begin)
    assert not re.search(r"<(?:[!@#\\]|subteam)|(?<!\\)(?:\\\\)*\\&", text)


def test_a_comment_is_shown() -> None:
    """As text: we don't know what Slack would make of it."""
    assert to_slack_markdown("a <!-- b --> c") == "a &lt;!-- b --> c"


@pytest.mark.parametrize(
    "code", ["List<@NonNull String>", "<#if x>", "<@macro/>", "a<!b", "<!ELEMENT a (b)>", "#include <x|y>"]
)
def test_code_that_is_not_a_token_stays_unchanged(code: str) -> None:
    """People copy code; only what looks like one of Slack's tokens gets an invisible character."""
    assert to_slack_markdown(f"```\n{code}\n```") == f"```\n{code}\n```"


@pytest.mark.parametrize(
    ("markdown", "slack"),
    [
        ("![a](https://i.j)", "[a](https://i.j)"),
        ('![a [b](https://i.j) c](https://x.y "t")', '[a b c](https://x.y "t")'),
        ("![](https://i.j)", "https://i.j"),
        ("[![b](https://i.j)](https://x.y)", "[b](https://x.y)"),
        ("[![b](https://i.j) and more](https://x.y)", "[b and more](https://x.y)"),
        ("[`<!here>`](https://x.y)", "[`<\u200b!here>`](https://x.y)"),
    ],
)
def test_images_are_links(markdown: str, slack: str) -> None:
    """Even inside a link, which loses nothing else."""
    assert to_slack_markdown(markdown) == slack


@pytest.mark.parametrize(
    ("formula", "slack"),
    [
        ("\\(a_1 * b_1\\)", "\\\\(a\\_1 \\* b\\_1\\\\)"),
        ("\\[x^*_1\\]", "\\\\\\[x^\\*\\_1\\\\\\]"),
        ("$a_1$ and $$b_2$$", "$a\\_1$ and $$b\\_2$$"),
        ("$5 and $6_a_", "$5 and $6_a_"),
    ],
)
def test_formulas_stay_as_written(formula: str, slack: str) -> None:
    """Their characters are escaped, so that Markdown shows them; in mrkdwn they need no escape."""
    assert to_slack_markdown(formula) == slack
    if slack != formula:
        assert to_mrkdwn(formula) == formula


def test_no_cell_is_lost() -> None:
    """A bar in code adds cells beyond the header's, which Slack would not show."""
    table = "| a | b |\n|---|---|\n| `x|y` | 1 |\n| 2 | 3 | 4 |\n"
    assert to_slack_markdown(table) == "| a | b |\n|---|---|\n| `x\\|y` | 1 |\n| 2 | 3 \\| 4 |\n"


def test_what_can_not_be_sent() -> None:
    """Surrogate halves are joined or replaced, like the null character."""
    for text in map(str, (to_slack_markdown("a\x00\ud83d\ude00\ud83d"), to_mrkdwn("a\x00\ud83d\ude00\ud83d"))):
        assert text == "a\ufffd😀\ufffd"


def test_what_can_be_appended() -> None:
    """In Slack's dialect, as far as it is final; at the end all of it."""
    text = "Hi <!here> and ![pic](https://i.j"
    assert appendable(text, final=False) == "Hi &lt;!here> and"
    assert appendable(text + ")", final=True) == "Hi &lt;!here> and [pic](https://i.j)"


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
        ("[](https://x.y)", "<https://x.y>"),
        ("[rel](/docs) [`a|b`](https://x.y)", "rel (/docs) <https://x.y|`a¦b`>"),
        ("`` ` `` and ```", "`ˋ` and `\u200b`\u200b`"),
    ],
)
def test_mrkdwn(markdown: str, mrkdwn: str) -> None:
    """Each mark in the way of mrkdwn."""
    assert to_mrkdwn(markdown) == mrkdwn


@pytest.mark.parametrize("ping", PINGS)
def test_no_mention_is_live_in_mrkdwn_or_plain(ping: str) -> None:
    """Every angle of the text is escaped; only our own links have any."""
    for text in (to_mrkdwn(f"x {ping} `{ping}`\n\n{ping}"), plain(f"x {ping} `{ping}`\n\n{ping}")):
        assert not LIVE.search(text)


def test_plain_text_is_short_and_not_cut_in_half() -> None:
    """It ends with an ellipsis within the limit and cuts neither an entity nor an emoji."""
    assert plain("**Hello** [you](https://x.y) & `me`") == "Hello you &amp; me"
    for limit in range(8, 24):
        text = plain("👩‍👩‍👧‍👦 & " * 9, limit)
        assert len(text) <= limit
        assert re.fullmatch(r"(?:👩‍👩‍👧‍👦|&amp;|\s)*…", text)


def test_tokens_become_words() -> None:
    """Mentions by name, links as Markdown or as typed, entities decoded once, code unchanged."""
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


@pytest.mark.parametrize(
    "markdown",
    [
        "[https://bank.com](https://evil.example)",
        "# [bank.com](https://evil.example)",
        "![bank.com](https://evil.example/p.png)",
        "[![bank.com](https://i.example/p.png)](https://evil.example)",
        "- [**bank**.com](<https://evil.example>)",
        "> [`bank.com`](https://evil.example 'title')",
    ],
)
def test_a_label_that_names_another_address_hides_nothing(markdown: str) -> None:
    """The label and the true target stand beside each other."""
    for shown in (to_slack_markdown(markdown), to_mrkdwn(markdown)):
        assert "](" not in shown
        assert "|" not in shown
        assert "<https://evil.example" in shown
