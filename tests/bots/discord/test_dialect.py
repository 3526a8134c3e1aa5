"""The translation of standard Markdown to Discord's, and of Discord's tokens to words."""

import re

import pytest

from bots.discord.dialect.markdown import from_discord, quoted, small, to_discord

LIVE = re.compile(r"@everyone|@here|<@[!&]?\d")


@pytest.mark.parametrize(
    "text",
    [
        "# One\n\n## Two\n\n### Three\n\n> quote\n\n- a\n  - b\n\n1. c\n",
        '**b** *i* ~~s~~ `c` [l](https://x.y "t") <https://x.y>\n',
        "```py\nx = 1\n```\n\n| not a table\n\n&amp; &lt; a < b & c\n",
    ],
)
def test_supported_markdown_is_unchanged(text: str) -> None:
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
        ("[![alt](https://i.j) and more](https://x.y)", "[alt and more](https://x.y)"),
        ("![a [b](https://i.j) c](https://x.y)", "[a b c](https://x.y)"),
        ("#### Use `a ** b`", "**Use `a ** b`**"),
        (">>> deep", "> >> deep"),
        ("a || b || c, ||spoiler||", "a \\|\\| b \\|\\| c, ||spoiler||"),
        ("open ``` here, `code` and ` there", r"open \`\`\` here, `code` and \` there"),
        ("2 ** 3 ** 4, **bold**", r"2 \*\* 3 \*\* 4, **bold**"),
        ("```` ``` ````", "`` `\u200b`\u200b` ``"),
        ("a\x00b \ud83d\ude00 \ud83d", "a\ufffdb 😀 \ufffd"),
        ("- [ ] open\n- [x] done", "- ☐ open\n- ☑ done"),
        ("~~~js\na\n~~~", "```js\na\n```"),
        ("```js\na\n`````", "```js\na\n```"),
        ("- a\n  ```\n  b\n\nc", "- a\n  ```\n  b\n\n  ```\nc"),
        ("```py title=x\na\n```", "```py\na\n```"),
        ("    code\n      more", "```\ncode\n  more\n```"),
        ("\\(a_1 * b_1 * c\\)", "\\\\(a\\_1 \\* b\\_1 \\* c\\\\)"),
        ("It costs $5, or $6_a_", "It costs $5, or $6_a_"),
    ],
)
def test_unsupported_markdown_is_translated(markdown: str, discord: str) -> None:
    """It becomes the closest form that Discord supports."""
    assert to_discord(markdown) == discord


@pytest.mark.parametrize("words", ["Use Map<String>", "a > b >", "Use Map<String>\nand List<Int>"])
@pytest.mark.parametrize(("mark", "rule", "level"), [("", "---", "##"), ("> ", "===", "#")])
def test_an_underlined_heading_loses_no_character(words: str, mark: str, rule: str, level: str) -> None:
    """Its lines are joined; the quote marks before them are not part of its words."""
    text = to_discord("".join(f"{mark}{line}\n" for line in (*words.splitlines(), rule)) + "\nmore")
    assert text.splitlines()[0] == f"{mark}{level} {' '.join(words.splitlines())}"


def test_a_fence_around_fences_stays_one_block() -> None:
    """Discord ends a block at any three backticks, so the ones inside are separated."""
    text = to_discord("````md\n```py\nx\n```\n````")
    assert text.startswith("```md\n")
    assert text.count("```") == 2


def test_a_table_is_aligned_in_code() -> None:
    """Columns line up, even with characters two columns wide; marks are removed, bars in code stay."""
    table = "| a | number |\n|---|--:|\n| **日本** | 1 |\n| `x | y` | 22 |"
    rows = ["a     │ number", "──────┼───────", "日本  │      1", "x | y │     22"]
    assert to_discord(table) == "```\n" + "\n".join(rows) + "\n```"


def test_code_and_formulas_in_a_table_stay_as_they_are() -> None:
    """Only the words lose their escapes."""
    assert "\\d+\\.\\* │ \\(a_1\\) │ *" in to_discord(
        "| a | b | c |\n|---|---|---|\n| `\\d+\\.\\*` | \\(a_1\\) | \\* |"
    )


def test_a_wide_table_is_a_list() -> None:
    """With every cell after its header."""
    cell = "long text " * 8
    table = f"| Name | About |\n|---|---|\n| One | {cell}|\n| Two | {cell}|"
    words = cell.strip()
    assert to_discord(table) == f"- **Name**: One\n  **About**: {words}\n- **Name**: Two\n  **About**: {words}"


def test_a_quoted_table_stays_quoted() -> None:
    """Each of its lines has the quote mark."""
    assert to_discord("> | a |\n> |---|\n> | 1 |") == "> ```\n> a\n> ─\n> 1\n> ```"


@pytest.mark.parametrize("ping", ["@everyone", "@here", "<@123>", "<@!123>", "<@&123>", "x@everyone"])
@pytest.mark.parametrize(
    "around",
    [
        *(
            "{}",
            "**{}**",
            "[{}](https://x.y)",
            "# {}",
            "> - {}",
            "![{}](https://x.y)",
            "`{}`",
            "```\n{}\n```",
            "    {}",
        ),
        *(
            "| a |\n|---|\n| {} |",
            "#### {}",
            "[{0}](<{0}>)",
            '[x](https://x.y "{}")',
            "<div>\n{}\n</div>",
            "[r]: {}",
            "\\{}",
        ),
    ],
)
def test_no_mention_is_live(ping: str, around: str) -> None:
    """It reads the same everywhere and pings nobody."""
    text = to_discord(around.format(ping))
    assert not LIVE.search(text)
    assert ping in text.replace("\u200b", "")


@pytest.mark.parametrize(
    "hidden", ["#### <**@1**>", "| <**@1**> |\n|---|\n| <`@1`> |", "#### @**everyone**", "| @**here** |\n|---|"]
)
def test_no_mention_is_created(hidden: str) -> None:
    """Removing marks creates none."""
    assert not LIVE.search(to_discord(hidden))


def test_an_address_stays_an_address() -> None:
    """A mention in its path is percent-encoded, so that the link still works."""
    assert to_discord("https://medium.com/@here/post") == "https://medium.com/%40here/post"


def test_a_wide_table_without_rows() -> None:
    """Only its header is shown."""
    head = "| " + " | ".join(["a long column name"] * 6) + " |\n" + "|---" * 6 + "|\n"
    assert to_discord(head).strip() == to_discord(head + "| |\n").strip() == " · ".join(["a long column name"] * 6)


def test_small_print() -> None:
    """Every line becomes subtext and pings nobody either."""
    assert small("one\ntwo @here") == "-# one\n-# two @\u200bhere"


def test_tokens_become_words() -> None:
    """Mentions, channels, emoji, commands and times become readable; unknown ids stay numbers, code is unchanged."""
    names = {"1": "Ann", "2": "Team", "3": "general"}.get
    text = (
        "<@1> <@!1> <@&2> <#3> <:wave:4> <a:dance:5> </prompt set:6> <t:0:F> <t:0:d> <@9> `<@1>` <t:999999999999999:R>"
    )
    assert from_discord(text, names, names, names) == (
        "@Ann @Ann @Team #general :wave: :dance: /prompt set 1970-01-01 00:00 UTC 1970-01-01 @9 `<@1>` "
        "<t:999999999999999:R>"
    )


@pytest.mark.parametrize(
    "markdown",
    [
        "[https://bank.com](https://evil.example)",
        "# [bank.com](https://evil.example)",
        "![bank.com](https://evil.example/p.png)",
        "<div>\n[https://bank.com](https://evil.example)\n</div>",
        "[![bank.com](https://i.example/p.png)](https://evil.example)",
        "- [**bank**.com](<https://evil.example>)",
        "> [`bank.com`](https://evil.example 'title')",
    ],
)
def test_a_label_that_names_another_address_hides_nothing(markdown: str) -> None:
    """The label and the true target stand beside each other."""
    shown = to_discord(markdown)
    assert "](" not in shown
    assert "<https://evil.example" in shown


@pytest.mark.parametrize(
    "text",
    [
        "[free nitro](https://evil.example)",
        "a ||secret|| **b** __c__ ~~d~~ *e* _f_",
        "```\ncode",
        "``` one `two`",
        "<@1> <@&2> @everyone <#3> <:wave:4> <t:0:F> </ask:5>",
        "# h\n> q\n- l\n+ l\n-# s\n>>> r",
        "\\[x\\](https://evil.example)",
        "https://a.example/||b||`c`[d](e)",
    ],
)
def test_what_people_wrote_is_quoted(text: str) -> None:
    """No sign of Discord's is live in it, and each line is small print."""
    shown = quoted(text)
    plain = re.sub(r"\\[\\*_~|`\[\]()<>#+-]", "", shown)
    assert not re.search(r"[\\*~|`\[\]()<>]", plain)
    assert all(re.match(r"-# (?![ \t]*[#>+-])", line) for line in shown.splitlines())
    assert "@e" not in shown


def test_an_address_in_a_quotation_stays_whole() -> None:
    """A backslash in it would be shown, and lead elsewhere."""
    assert quoted("see https://a.example/b_c?d=e_f now") == "-# see https://a.example/b_c?d=e_f now"
