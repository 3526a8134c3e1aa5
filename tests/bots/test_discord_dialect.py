"""Standard Markdown becomes what Discord shows, and Discord's tokens become words."""

import re
from pathlib import Path

import pytest

from bots.discord.dialect import LIMIT, from_discord, small, to_discord
from core.pages import Pages, flow

CORPUS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent.parent / "payloads" / "markdown").glob("*.md"))
}
LIVE = re.compile(r"@everyone|@here|<@[!&]?\d")


def outside_code(text: str) -> str:
    """The text as Discord's own scanner leaves it: without code and addresses."""
    text = re.sub(r"(?s)```.*?```|(`+)[^`].*?(?<!`)\1(?!`)", "", text)
    return re.sub(r"https?://\S+|me@everyone\.example", "", text)


@pytest.mark.parametrize(
    "text",
    [
        "# One\n\n## Two\n\n### Three\n\n> quote\n\n- a\n  - b\n\n1. c\n",
        '**b** *i* ~~s~~ `c` [l](https://x.y "t") <https://x.y>\n',
        "```py\nx = 1\n```\n\n| not a table\n\n&amp; &lt; a < b & c\n",
        "me@everyone.example, https://medium.com/@here/post, `@everyone`\n",
    ],
)
def test_what_discord_knows_passes_untouched(text: str) -> None:
    """Byte for byte."""
    assert to_discord(text) == text


@pytest.mark.parametrize(
    ("markdown", "discord"),
    [
        ("#### Deep **head** ##", "**Deep head**"),
        ("Head\n====", "# Head"),
        ("a\n\n***\n\nb", "a\n\n" + "─" * 20 + "\n\nb"),
        ("![alt](https://x.y/i.png)", "[alt](https://x.y/i.png)"),
        ("![](https://x.y/i.png)", "https://x.y/i.png"),
        ("[![alt](https://i.j)](https://x.y)", "[alt](https://x.y)"),
        ("[https://x.y](https://x.y)", "https://x.y"),
        ("- [ ] open\n- [x] done", "- ☐ open\n- ☑ done"),
        ("~~~js\na\n~~~", "```js\na\n```"),
        ("```py title=x\na\n```", "```py\na\n```"),
        ("    code\n      more", "```\ncode\n  more\n```"),
        ("\\(a_1 * b_1 * c\\)", "\\\\(a\\_1 \\* b\\_1 \\* c\\\\)"),
    ],
)
def test_what_discord_does_not_know(markdown: str, discord: str) -> None:
    """Becomes the nearest thing it does."""
    assert to_discord(markdown) == discord


@pytest.mark.parametrize("words", ["Use Map<String>", "a > b >", "Use Map<String>\nand List<Int>"])
@pytest.mark.parametrize(("mark", "rule", "level"), [("", "---", "##"), ("> ", "===", "#")])
def test_an_underlined_heading_loses_no_character(words: str, mark: str, rule: str, level: str) -> None:
    """Its lines are joined whole; the quote marks before them are none of its words."""
    text = to_discord("".join(f"{mark}{line}\n" for line in (*words.splitlines(), rule)) + "\nmore")
    assert text.splitlines()[0] == f"{mark}{level} {' '.join(words.splitlines())}"


def test_a_fence_around_fences_stays_one_block() -> None:
    """Discord ends a block at any three backticks, so those inside are kept apart."""
    text = to_discord("````md\n```py\nx\n```\n````")
    assert text.startswith("```md\n")
    assert text.count("```") == 2


def test_a_table_is_aligned_in_code() -> None:
    """Columns line up, also where characters are two columns wide; marks are taken out, bars in code are kept."""
    table = "| a | number |\n|---|--:|\n| **日本** | 1 |\n| `x | y` | 22 |"
    rows = ["a     │ number", "──────┼───────", "日本  │      1", "x | y │     22"]
    assert to_discord(table) == "```\n" + "\n".join(rows) + "\n```"


def test_a_wide_table_is_a_list() -> None:
    """With every cell after its header."""
    cell = "long text " * 8
    table = f"| Name | About |\n|---|---|\n| One | {cell}|\n| Two | {cell}|"
    words = cell.strip()
    assert to_discord(table) == f"- **Name**: One\n  **About**: {words}\n- **Name**: Two\n  **About**: {words}"


def test_a_quoted_table_stays_quoted() -> None:
    """Every line of it has the quote mark."""
    assert to_discord("> | a |\n> |---|\n> | 1 |") == "> ```\n> a\n> ─\n> 1\n> ```"


@pytest.mark.parametrize("ping", ["@everyone", "@here", "<@123>", "<@!123>", "<@&123>", "x@everyone"])
@pytest.mark.parametrize("around", ["{}", "**{}**", "[{}](https://x.y)", "# {}", "> - {}", "![{}](https://x.y)"])
def test_no_mention_is_live(ping: str, around: str) -> None:
    """Wherever it stands it reads the same and calls nobody."""
    text = to_discord(around.format(ping))
    assert not LIVE.search(text)
    assert ping in text.replace("\u200b", "")


@pytest.mark.parametrize("name", CORPUS)
def test_every_page_of_the_corpus(name: str) -> None:
    """At sampled prefixes each page is within the limit, has its blocks closed and no live mention."""
    text, pages = CORPUS[name], Pages()
    for length in range(1, len(text), max(1, len(text) // 25)):
        pages = flow(pages, text[:length], lambda markdown: len(to_discord(markdown)) <= LIMIT, final=False)
        page = to_discord(pages.open)
        assert len(page) <= LIMIT
        assert page.count("```") % 2 == 0
        assert not LIVE.search(outside_code(page))


def test_small_print() -> None:
    """Every line is subtext."""
    assert small("one\ntwo") == "-# one\n-# two"


def test_tokens_become_words() -> None:
    """Mentions, channels, emoji, commands and times are readable; unknown ids stay as numbers, code as it is."""
    names = {"1": "Ann", "2": "Team", "3": "general"}.get
    text = (
        "<@1> <@!1> <@&2> <#3> <:wave:4> <a:dance:5> </prompt set:6> <t:0:F> <t:0:d> <@9> `<@1>` <t:999999999999999:R>"
    )
    assert from_discord(text, names, names, names) == (
        "@Ann @Ann @Team #general :wave: :dance: /prompt set 1970-01-01 00:00 UTC 1970-01-01 @9 `<@1>` "
        "<t:999999999999999:R>"
    )
