"""Degenerate texts, by name: what a stranger may send or have a model say to make a parser slow.

Each case makes a text of about `n` characters. The tests of growth compare the cost of n with that of 2n, and
`make bench` prints the longest stall of the loop over all of them.
"""

from collections.abc import Callable

Case = Callable[[int], str]


def _repeated(unit: str) -> Case:
    return lambda n: (unit * (n // len(unit) + 1))[:n]


def _nested(opening: str, closing: str, depth: int = 1_000_000) -> Case:
    def made(n: int) -> str:
        levels = min(depth, n // (len(opening) + len(closing)) + 1)
        one = opening * levels + "x" + closing * levels
        return (one + "\n") * max(1, n // (len(one) + 1))

    return made


def _quotes(depth: int) -> Case:
    return _repeated("> " * depth + "word\n")


def _stairs(marker: str) -> Case:
    """A list in which each item is one level deeper, again and again."""
    block = "".join("  " * depth + f"{marker} item\n" for depth in range(40))
    return _repeated(block)


INCOMING: dict[str, Case] = {
    **{
        name: _repeated(unit)
        for name, unit in {
            "spaces": " ",
            "tabs": "\t",
            "line breaks": "\n",
            "angles": "<",
            "backticks": "`",
            "brackets": "[",
            "assignments": "a=",
            "half mentions": "<@",
            "escaped angles": "&lt;",
            "mentions": "<@1> ",
            "half links": "<https://a",
            "half dates": "<t:",
            "half channels": "<#C1|",
            "half groups": "<!subteam^",
            "backticks in pairs": "``x",
            "backticks in threes": "```x",
            "dashes": "--",
            "exclamation marks": "!",
            "words": "set ",
        }.items()
    },
    "an assignment of blanks": lambda n: "!set -a" + " " * n + "!",
    "an assignment of tabs": lambda n: "set -a" + "\t" * n + "=!",
    "blanks around a mention": lambda n: " " * n + "<@1>" + "\t" * n + "x",
    "line breaks around a word": lambda n: "set" + "\n" * n + "a" + "\n" * n,
}
"""What people may send."""

WRITTEN: dict[str, Case] = {
    **{
        name: _repeated(unit)
        for name, unit in {
            "blanks": " ",
            "tabs": "\t",
            "line breaks": "\n",
            "images": "![",
            "brackets": "[",
            "closing brackets": "]",
            "empty brackets": "[[[[]]]]",
            "links": "[a](b) ",
            "half links": "[a](",
            "half links to angles": "[a](<b",
            "reference definitions": "[a]: b\n",
            "half definitions": "[a]:\n",
            "definitions with half titles": '[a]: b "\n',
            "definitions over three lines": "[a]:\nb\n'c'\n",
            "quoted half definitions": "> [a]:\n",
            "titles": '[a](b "',
            "marks of all kinds": "*_`[<",
            "stars": "*",
            "stars and letters": "*a",
            "stars and words": "**a b* ",
            "closing stars": "a**",
            "underscores": "_",
            "underscores and letters": "_a ",
            "mixed emphasis": "*a _b ",
            "tildes": "~~",
            "tildes and letters": "~~a",
            "backticks": "`",
            "backtick and letter": "`a",
            "backtick runs": "`a``b```c````d",
            "fences": "```\n",
            "open fences": "```a\n\n",
            "tilde fences": "~~~\n",
            "angles": "<",
            "half tags": "<a ",
            "tags": "<a>",
            "half comments": "<!--",
            "CDATA": "<![CDATA[",
            "instructions": "<?",
            "declarations": "<!A",
            "CDATA in a row": "| <![CDATA[ | a |\n|---|---|\n",
            "entities": "&amp",
            "ampersands": "&",
            "backslashes": "\\",
            "formulas": "$a_",
            "dollars": "$",
            "display formulas": "$$",
            "bracket formulas": "\\[",
            "round formulas": "\\(",
            "bars": "|",
            "rows": "| a | b |\n",
            "rules of tables": "|-|-|\n",
            "half tables": "a|b\n-|-\n",
            "wide rows": "|a" * 400 + "|\n",
            "quote marks": ">",
            "spaced quote marks": "> ",
            "quotes, 20 deep": "> " * 20 + "word\n",
            "quotes, 200 deep": "> " * 200 + "word\n",
            "dashes": "-",
            "spaced dashes": "- ",
            "numbers": "1. ",
            "spaced pluses": "+ ",
            "items": "- a\n",
            "empty items": "-\n",
            "numbered items": "1. a\n",
            "headings": "# ",
            "lines of hashes": "#\n",
            "underlines": "a\n=\n",
            "rules": "---\n",
            "equals signs": "=",
            "carriage returns": "\r",
            "addresses": "https://a.b/c",
            "addresses with brackets": "https://a)",
            "address beginnings": "http",
            "mentions": "<@1>",
            "at signs": "@everyone",
            "CJK": "漢字仮名",
            "CJK sentences": "漢字。",
            "emoji": "👩‍👩‍👧",
            "joined emoji": "👩‍",
            "flags": "🇩🇪",
            "combining marks": "e\u0301",
            "only combining marks": "\u0301",
            "null characters": "\0",
            "half characters": "\ud83d",
            "form feeds": "~~\f|",
            "one long word": "x",
            "short words": "a ",
            "short lines": "a\n",
            "short paragraphs": "a\n\n",
            "hard breaks": "a  \n",
            "colons": ":\n\n",
            "tasks": "- [ ] a\n",
            "task beginnings": "[ ] ",
            "spoilers": " || ",
            "parentheses": "(",
            "link to parentheses": "[a](((",
            "tabbed items": "-\ta\n\n\t",
            "indented code": "    a\n",
            "blank indented code": "    a\n\n\n\n",
        }.items()
    },
    "nested brackets": _nested("[", "]"),
    "nested links": _nested("[", "](b)"),
    "nested images": _nested("![", "](b)"),
    "nested emphasis": _nested("*a ", "*"),
    "nested parentheses": lambda n: "[a](" + "(" * n,
    "stairs of bullets": _stairs("-"),
    "stairs of numbers": _stairs("1."),
    "a fence that is never closed": lambda n: "```python\n" + ("x = [1, 2]\n" * (n // 11)),
    "a fence of blank lines": lambda n: "```\n" + "\n" * n,
    "a fence of one line": lambda n: "```\n" + "x" * n,
    "a fence in deep quotes": lambda n: ("> " * 15 + "```\n") + ("> " * 15 + "x\n") * (n // 32),
    "a table with long cells": lambda n: "| a | b |\n|---|---|\n" + f"| {'[' * 400} | {'`' * 400} |\n" * (n // 800),
    "a table of CDATA": lambda n: "| a | b |\n|---|---|\n| " + "<![CDATA[" * (n // 9) + " | b |\n",
    "a table of brackets": lambda n: "| a | b |\n|---|---|\n| " + "[" * n + " | b |\n",
    "a table with many columns": lambda n: "|" + "a|" * (n // 6) + "\n|" + "-|" * (n // 6) + "\n" + "b|" * (n // 6),
    "a table with many rows": lambda n: "| a | b |\n|---|---|\n" + "| c | d |\n" * (n // 10),
    "a table with short rows": lambda n: "|" + "a|" * 500 + "\n|" + "-|" * 500 + "\n" + "b\n" * (n // 2),
    "a heading": lambda n: "# " + "a " * (n // 2),
    "a heading of brackets": lambda n: "# " + "[" * n,
    "an item": lambda n: "- " + "a" * n,
    "a language": lambda n: "```" + "a" * n + "\nx",
    "an address": lambda n: "https://example.com/" + "a" * n,
    "a formula": lambda n: "$$" + "x_1 + " * (n // 6),
    "bold to the end": lambda n: "**" + "word " * (n // 5),
    "text, then white space": lambda n: "a" + " \n" * (n // 2),
    "white space, then text": lambda n: "\n " * (n // 2) + "a",
}
"""What a model may write."""
