"""Discord's dialect: standard Markdown as Discord shows it, and Discord's own tokens as words a model can read."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from wcwidth import wcswidth

from core.inline import Atom, inline
from core.markdown import Leaf, blocks, continuation, dedent, lines

LIMIT = 2000
"""Code points in a message (discord-api-docs#1315)."""

WIDTH = 72
"""Columns that a code block shows without breaking lines; a wider table becomes a list."""

_ZERO = "\u200b"
_PING = re.compile(r"<(?=\\?@[!&]?\d)|@(?=everyone|here)")
_INTACT = re.compile(r"https?://[^\s<>]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w")
_TASK = re.compile(r"^(\s*(?:[-+*]|\d{1,9}[.)])\s+)\[([ xX])\](?=\s)")
_MARKUP = re.compile(r"[\\*_~|`]")
_LANGUAGE = re.compile(r"[\w+.#-]*")


def small(text: str) -> str:
    """Small print: each line as subtext."""
    return "\n".join(f"-# {line}" for line in text.splitlines())


def to_discord(markdown: str) -> str:
    """The text in Discord's Markdown: what Discord does not know becomes what it does, mentions do not ping.

    Discord has no tables, no headings beyond the third level, no rules, images, task lists, indented code or `~~~`.
    """
    parts, at = [], 0
    for leaf in blocks(markdown).leaves:
        parts += [_safe(markdown[at : leaf.start]), _leaf(leaf, markdown[leaf.start : leaf.end])]
        at = leaf.end
    return "".join([*parts, _safe(markdown[at:])])


def _leaf(leaf: Leaf, text: str) -> str:
    end = "\n" if text.endswith("\n") else ""
    match leaf.kind:
        case "fence":
            return _fence(leaf, text)
        case "code":
            body = [dedent(line, leaf.nest)[0].removeprefix("    ") for line in lines(text)]
            return _block(leaf, [line.rstrip("\r\n") for line in body]) + end
        case "table":
            return _table(leaf) + end
        case "rule":
            return f"{leaf.head}{'─' * 20}{end}"
        case "heading" if leaf.level > 3 or "\n" in text.rstrip():
            return _heading(leaf, text.rstrip()) + end
        case "html":
            return _safe(text)
        case _:
            return _text(text)


def _fence(leaf: Leaf, text: str) -> str:
    """A fence that Discord reads as the parser does: three backticks, none inside, a single word as its language."""
    rows = lines(text)
    inner = "".join(rows[1 : len(rows) - leaf.closed])
    if leaf.marker == "```" and leaf.closed and "```" not in inner and _LANGUAGE.fullmatch(leaf.info):
        return text
    language = leaf.info.split()[0] if leaf.info else ""
    first = f"{leaf.head}```{language if _LANGUAGE.fullmatch(language) else ''}\n"
    inner = inner.replace("```", f"`{_ZERO}`{_ZERO}`")
    gap = "" if not inner or inner.endswith("\n") else "\n"
    end = "\n" if text.endswith("\n") else ""
    return f"{first}{inner}{gap}{continuation(leaf.nest)}```{end}"


def _block(leaf: Leaf, rows: list[str]) -> str:
    inside = [row.replace("```", f"`{_ZERO}`{_ZERO}`") for row in rows]
    return leaf.head + f"\n{continuation(leaf.nest)}".join(["```", *inside, "```"])


def _heading(leaf: Leaf, text: str) -> str:
    body = text[len(leaf.head) :]
    if "\n" in body:  # underlined
        words = " ".join(line.lstrip(" >").rstrip() for line in body.splitlines()[:-1])
        return _text(f"{leaf.head}{'#' * leaf.level} {words}")
    words = re.sub(r"\s#+\s*$", "", body.lstrip(" #")).replace("**", "").strip()
    return _text(f"{leaf.head}**{words}**") if words else leaf.head


def _text(text: str) -> str:
    """A paragraph: tasks, images, formulas and hard breaks as Discord can show them, code and links as they are."""
    parts, at = [], 0
    for atom in inline(text).atoms:
        parts += [_prose(text[at : atom.start], at == 0), _atom(atom, text[atom.start : atom.end])]
        at = atom.end
    return "".join([*parts, _prose(text[at:], at == 0)])


def _prose(text: str, begins: bool) -> str:
    if begins:
        text = _TASK.sub(lambda match: match[1] + ("☐" if match[2] == " " else "☑"), text)
    return _safe(text.replace("\\\n", "\n"))


def _atom(atom: Atom, text: str) -> str:
    match atom.kind:
        case "code":
            return text
        case "math":
            return _safe(_MARKUP.sub(r"\\\g<0>", text))  # its signs are not markup
        case "image":
            return _safe(f"[{atom.label}]({atom.target})" if atom.label else atom.target)
        case "link":
            label = inline(atom.label)
            if any(inner.kind == "image" for inner in label.atoms):
                images = [inner.label for inner in label.atoms if inner.kind == "image"]
                return _safe(f"[{' '.join(filter(None, images)) or 'image'}]({atom.target})")
            return _safe(atom.target if atom.label == atom.target else text)  # a link named by its address shows raw
        case _:
            return _safe(text)


def _safe(text: str) -> str:
    """The text with every mention defused by a character nobody sees; addresses stay intact."""
    parts, at = [], 0
    for match in _INTACT.finditer(text):
        parts += [_defuse(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, _defuse(text[at:])])


def _defuse(text: str) -> str:
    return _PING.sub(lambda match: match[0] + _ZERO, text)


def _table(leaf: Leaf) -> str:
    """Aligned in a code block, or, where that would be too wide, as a list of "header: value"."""
    rows = [[_plain(cell) for cell in row] for row in leaf.cells]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    go_on = continuation(leaf.nest)
    if sum(widths) + 3 * (len(widths) - 1) > WIDTH:
        return leaf.head + f"\n{go_on}".join(_records(leaf.cells))
    body = [" │ ".join(map(_pad, row, widths, leaf.align)).rstrip() for row in rows]
    body.insert(1, "─┼─".join("─" * width for width in widths))
    return _block(leaf, body)


def _records(cells: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    header, *rows = cells
    for row in rows:
        mark = "- "
        for name, value in zip(header, row, strict=False):
            if value.strip():
                yield mark + _text(f"**{name.replace('**', '')}**: {value}" if name.strip() else value)
                mark = "  "
    if not rows:
        yield _text(" · ".join(header))


def _plain(cell: str) -> str:
    """A cell without marks, since a code block shows them as they are."""
    found = inline(cell)
    drop = {i for pair in found.pairs for at in pair for i in range(at, at + (2 if cell[at] == "~" else 1))}
    out, at = "", 0
    for atom in found.atoms:
        out += "".join(char for i, char in enumerate(cell[at : atom.start], at) if i not in drop)
        text = cell[atom.start : atom.end]
        if atom.kind == "code":
            text = text.strip("`").strip()
        elif atom.kind in ("link", "image", "autolink"):
            text = atom.target if atom.label in ("", atom.target) else f"{_plain(atom.label)} ({atom.target})"
        elif atom.kind == "html" and re.fullmatch(r"<br\s*/?>", text):
            text = " "
        out, at = out + text, atom.end
    out += "".join(char for i, char in enumerate(cell[at:], at) if i not in drop)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", out).strip()


def _width(text: str) -> int:
    return max(wcswidth(text), 0) or len(text)


def _pad(text: str, width: int, align: str) -> str:
    space = width - _width(text)
    left = {"right": space, "center": space // 2}.get(align, 0)
    return " " * left + text + " " * (space - left)


_CODE = re.compile(r"(?s)```.*?```|(?<!`)``(?!`).+?``|`[^`\n]+`")
_TOKEN = re.compile(
    r"<(?:@!?(?P<user>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)|a?(?P<emoji>:\w+:)\d+"
    r"|/(?P<command>[^:<>]+):\d+|t:(?P<time>-?\d{1,15})(?::(?P<style>[tTdDfFsSR]))?)>"
)
_Names = Callable[[str], str | None]


def from_discord(text: str, user_name: _Names, role_name: _Names, channel_name: _Names) -> str:
    """A message's text with mentions, emoji, commands and times in words; code stays as it is.

    The callables give the name of an id, None where it is not known (docs: reference#message-formatting).
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

    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [_TOKEN.sub(word, text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, _TOKEN.sub(word, text[at:])])


def _moment(seconds: int, style: str) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return ""
    if style in "dD":
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%H:%M} UTC" if style in "tT" else f"{moment:%Y-%m-%d %H:%M} UTC"
