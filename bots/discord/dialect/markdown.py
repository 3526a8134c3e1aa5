"""Translates standard Markdown to Discord's dialect, and Discord's own tokens to words that a model can read."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from bots.discord.dialect.tables import table
from core.markdown.blocks import Leaf, blocks
from core.markdown.labels import misleads
from core.markdown.math import escaped
from core.markdown.nesting import continuation, dedent, lines
from core.markdown.spans import Atom, bare, inline
from core.text import UNSEEN, harmless, without_fences

LIMIT = 2000
"""Code points in a message (discord-api-docs#1315)."""

# Discord does not document where it looks for mentions, so we leave none anywhere, not even in code and addresses.
_PING = re.compile(r"(https?://[^\s<>/]+/[^\s<>]*)|<(?=\\?@[!&]?\d)|@(?=everyone|here)", re.IGNORECASE)
_PING_IN_PATH = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_TOUCHING = re.compile("`(?=`)")
_TASK = re.compile(r"^(\s*(?:[-+*]|\d{1,9}[.)])\s+)\[([ xX])\](?=\s)")
_LANGUAGE = re.compile(r"[\w+.#-]*")
_REST_QUOTED = re.compile(r"(?m)^([ \t]*)>>>(?=\s)")  # in Discord this quotes all that follows
# Between spaces these are no marks in Markdown, but they are in Discord: `a || b || c` would be a spoiler and
# `2 ** 3 ** 4` bold.
_LOOSE = re.compile(r"(?<=\s)(?:\|\||\*\*|__|~~)(?=\s)")
# What Discord reads as marks anywhere in a line, or at its beginning; and addresses, in which a backslash would show.
_SIGNS = re.compile(r"[\\*_~|`\[\]()<>]|(?m:^[ \t]*[#>+-])")
_BARE = re.compile(r"(?<![\w\\])https?://[\w./?=&%#:+,;-]+")
_TICK = re.compile(r"\\.|`", re.DOTALL)


def small(text: str) -> str:
    """Small print: makes each line subtext."""
    return "\n".join(f"-# {_defused(line)}" for line in text.splitlines())


def quoted(text: str) -> str:
    """What somebody else wrote, as small print: Discord shows each character, and interprets none but a bare address.

    Each line becomes one of ours, so none can begin a heading, a quote or a list.
    """
    parts, at = [], 0
    for address in _BARE.finditer(text):
        parts += [_SIGNS.sub(r"\\\g<0>", text[at : address.start()]), address[0]]
        at = address.end()
    return small("".join([*parts, _SIGNS.sub(r"\\\g<0>", text[at:])]))


@lru_cache(maxsize=64)  # a page is measured before it is shown
def to_discord(markdown: str) -> str:
    """The text in Discord's Markdown: replaces what Discord does not support, and keeps mentions from pinging.

    Discord has no tables, no headings below the third level, no rules, images, task lists, indented code or `~~~`.
    """
    parts, at, markdown = [], 0, harmless(markdown)
    for leaf in blocks(markdown).leaves:
        parts += [markdown[at : leaf.start], _leaf(leaf, markdown[leaf.start : leaf.end])]
        at = leaf.end
    return _defused("".join([*parts, markdown[at:]]))


def _defused(text: str) -> str:
    """The text with every mention broken by an invisible character, or encoded in an address."""
    return _PING.sub(lambda match: _PING_IN_PATH.sub("%40", match[1]) if match[1] else match[0] + UNSEEN, text)


def _leaf(leaf: Leaf, text: str) -> str:
    end = "\n" if text.endswith("\n") else ""
    match leaf.kind:
        case "fence":
            return _fence(leaf, text)
        case "code":
            body = [dedent(line, leaf.nest)[0].removeprefix("    ") for line in lines(text)]
            return _block(leaf, [line.rstrip("\r\n") for line in body]) + end
        case "table":
            return table(leaf, text, _block, _text) + end
        case "rule":
            return f"{leaf.head}{'─' * 20}{end}"
        case "heading" if leaf.level > 3 or "\n" in text.rstrip():
            return _heading(leaf, text.rstrip()) + end
        case "html":
            return _html(text)
        case _:
            return _text(text)


def _html(text: str) -> str:
    """HTML, which Discord shows as text; it knows links in it all the same."""
    parts, at = [], 0
    for atom in inline(text).atoms:
        if atom.kind in ("link", "image") and misleads(bare(atom.label), atom.target):
            parts += [_label(text[at : atom.start]), _named(atom)]
            at = atom.end
    return "".join([*parts, _label(text[at:])])


def _named(atom: Atom) -> str:
    """A link whose label names another address: label and target beside each other."""
    return f"{_label(bare(atom.label))} (<{atom.target}>)"


def _fence(leaf: Leaf, text: str) -> str:
    """A fence that Discord reads as the parser does: three backticks, none inside, and one word as the language."""
    rows = lines(text)
    inner = "".join(rows[1 : len(rows) - leaf.closed])
    closed = leaf.closed and rows[-1].strip(" \t\r\n>") == "```"
    if closed and leaf.marker == "```" and "```" not in inner and _LANGUAGE.fullmatch(leaf.info):
        return text
    language = leaf.info.split()[0] if leaf.info else ""
    first = f"{leaf.head}```{language if _LANGUAGE.fullmatch(language) else ''}\n"
    inner = without_fences(inner)
    gap = "" if not inner or inner.endswith("\n") else "\n"
    end = "\n" if text.endswith("\n") else ""
    return f"{first}{inner}{gap}{continuation(leaf.nest)}```{end}"


def _block(leaf: Leaf, rows: list[str]) -> str:
    inside = map(without_fences, rows)
    return leaf.head + f"\n{continuation(leaf.nest)}".join(["```", *inside, "```"])


def _heading(leaf: Leaf, text: str) -> str:
    body = text[len(leaf.head) :]
    if "\n" in body:  # underlined
        words = " ".join(line.lstrip(" >").rstrip() for line in lines(body)[:-1])
        return _text(f"{leaf.head}{'#' * leaf.level} {words}")
    words = re.sub(r"\s#+\s*$", "", body.lstrip(" #")).strip()
    bold = "".join(part if code else part.replace("**", "") for part, code in _split_at_code(words))
    return _text(f"{leaf.head}**{bold}**") if words else leaf.head


def _label(text: str) -> str:
    """A text with marks, whose backticks are either code or escaped."""
    return "".join(part if code else _without_ticks(part) for part, code in _split_at_code(text))


def _split_at_code(text: str) -> list[tuple[str, bool]]:
    """The pieces of a paragraph, each with whether it is code."""
    parts, at = [], 0
    for atom in inline(text).atoms:
        if atom.kind == "code":
            parts += [(text[at : atom.start], False), (text[atom.start : atom.end], True)]
            at = atom.end
    return [*parts, (text[at:], False)]


@lru_cache(maxsize=512)
def _text(text: str) -> str:
    """A paragraph with tasks, images, formulas and hard breaks as Discord can show them; code and links stay."""
    parts, at = [], 0
    for atom in inline(text).atoms:
        parts += [_prose(text[at : atom.start], at == 0), _atom(atom, text[atom.start : atom.end])]
        at = atom.end
    return "".join([*parts, _prose(text[at:], at == 0)])


def _prose(text: str, begins: bool) -> str:
    if begins:
        text = _TASK.sub(lambda match: match[1] + ("☐" if match[2] == " " else "☑"), text)
    text = _LOOSE.sub(lambda mark: "".join(f"\\{sign}" for sign in mark[0]), _REST_QUOTED.sub(r"\1> >>", text))
    return _without_ticks(text.replace("\\\n", "\n"))


def _without_ticks(text: str) -> str:
    """The text with its backticks escaped: they are not code, but Discord would pair them, even across fences."""
    return _TICK.sub(lambda match: "\\`" if match[0] == "`" else match[0], text)


def _atom(atom: Atom, text: str) -> str:
    match atom.kind:
        case "code" if "```" in text:
            return f"``{_TOUCHING.sub('`' + UNSEEN, text.strip('`'))}``"
        case "math":
            return escaped(text)
        case "image" | "link" if misleads(bare(atom.label), atom.target):
            return _named(atom)
        case "image":
            return f"[{_label(bare(atom.label))}]({atom.target})" if atom.label else atom.target
        case "link" if any(inner.kind == "image" for inner in inline(atom.label).atoms):
            return f"[{_label(bare(atom.label)) or 'image'}]({atom.target})"
        case "link" if atom.label == atom.target:
            return atom.target  # a link whose label is its address shows as the address
        case "link":
            return f"[{_label(atom.label)}{text[len(atom.label) + 1 :]}"
        case "html":
            return _without_ticks(text)
        case _:
            return text


# Inside code Discord recognises neither mentions nor its other tokens.
CODE = re.compile(r"(?s)```.*?```|(?<!`)``(?!`).+?``|`[^`\n]+`")
_TOKEN = re.compile(
    r"<(?:@!?(?P<user>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)|a?(?P<emoji>:\w+:)\d+"
    r"|/(?P<command>[^:<>]+):\d+|t:(?P<time>-?\d{1,15})(?::(?P<style>[tTdDfFsSR]))?)>"
)
_Names = Callable[[str], str | None]


def from_discord(text: str, user_name: _Names, role_name: _Names, channel_name: _Names) -> str:
    """A message's text with mentions, emoji, commands and times in words; code stays unchanged.

    The callables return the name for an id, or None if it is unknown (docs: reference#message-formatting).
    """

    def word(match: re.Match[str]) -> str:
        kind, found = match.lastgroup, match.groupdict()
        if found["time"] is not None:
            return _moment(int(found["time"]), found["style"] or "f") or match[0]
        match kind:
            case "user":
                return f"@{user_name(found['user']) or found['user']}"
            case "role":
                return f"@{role_name(found['role']) or found['role']}"
            case "channel":
                return f"#{channel_name(found['channel']) or found['channel']}"
            case "command":
                return f"/{found['command']}"
            case _:
                return found["emoji"]

    return outside_code(text, _TOKEN, word)


def outside_code(text: str, pattern: re.Pattern[str], word: str | Callable[[re.Match[str]], str]) -> str:
    """The text with every match of a pattern replaced, except in code."""
    parts, at = [], 0
    for code in CODE.finditer(text):
        parts += [pattern.sub(word, text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, pattern.sub(word, text[at:])])


def _moment(seconds: int, style: str) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return ""
    if style in "dD":
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%H:%M} UTC" if style in "tT" else f"{moment:%Y-%m-%d %H:%M} UTC"
