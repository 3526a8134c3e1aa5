"""stable_length: how much of a growing text to show where nothing can be taken back and no mark can be closed."""

import re
from functools import lru_cache

from core.markdown.blocks import Leaf, blocks
from core.markdown.incomplete import HOLD_CHARACTERS, UNDECIDED, emoji_at_end, may_be_link, mend, trimmed
from core.markdown.math import LONGEST_FORMULA
from core.markdown.spans import MATH_BEGINS, PRICE, inline

# What would be read in another way if the code around it turned out to be no code.
_SPECIAL = re.compile(r"[<\[!$\\]")
# The beginnings of what the next characters decide.
_HALF = r"<(?:\\?s[a-z]{0,6})?|\](?:[(:]\s{0,8}<?\\?(?:#[A-Z0-9]{0,5}|&#?\w{0,7})?)?|\\"
_TAIL = re.compile(rf"(?>[\s*_~`!]|{_HALF}|{PRICE}|(?<![\w/])h(?:t(?:t(?:ps?(?::/?)?)?)?)?)+\Z")
_TAIL_OF_HTML = re.compile(rf"(?>{_HALF})+\Z")
_TAIL_OF_CODE = re.compile(r"<(?:![ \t]*\w*[ \t]*|[@#][A-Z0-9]*|s[a-z]{0,6})?\Z")


@lru_cache(maxsize=64)
def stable_length(markdown: str) -> int:
    """How many characters of this text keep their meaning, whatever comes after them.

    Links, images, entities, emoji, formulas and table rows that have half arrived are held back, and so are openers of
    blocks. Emphasis, code spans and fences are shown while they are open. When a text grows, this never gets less.
    """
    end = _stable_length(markdown[: emoji_at_end(markdown)])
    return len(trimmed(markdown[:end]))


def _stable_length(markdown: str) -> int:
    keep, last = mend(markdown).keep, blocks(markdown).last
    if last is not None and last.kind == "table" and keep == last.start:
        # Until its rule arrived, its head was a paragraph.
        head = markdown[last.start : last.rows[1]]
        return last.start + (0 if head.lstrip(" >").startswith("|") else _paragraph(head, len(head)))
    while last is not None and keep <= last.start:
        if keep == last.start and not UNDECIDED.fullmatch(markdown, keep):
            return keep  # a block has begun, which ends the one before it
        markdown = markdown[: last.start]
        last = blocks(markdown).last
    begin = last.end if last is not None else 0
    if (rest := markdown[begin:keep]).strip(
        " \t\r\n>"
    ):  # a link definition follows, or an empty item; neither is a block
        end = _without(rest, _TAIL)
        return begin + (0 if UNDECIDED.fullmatch(rest, 0, end) else end)
    if last is None or _is_complete(last, markdown) or _is_complete(last, markdown[:keep]):
        return keep
    text, most = markdown[last.start :], keep - last.start
    match last.kind:
        case "fence" if text[(line := text.rfind("\n", 0, most) + 1) : most].lstrip(" \t>").startswith(last.marker[0]):
            return last.start + line  # it may end this block, or with a language begin one inside
        case "fence" | "code":
            return last.start + _without(text[:most], _TAIL_OF_CODE)
        case "html":
            return last.start + _without(text[:most], _TAIL_OF_HTML)
    end = _paragraph(text, most)
    return last.start + (0 if UNDECIDED.fullmatch(text, 0, end) else end)


def _is_complete(leaf: Leaf, markdown: str) -> bool:
    ended = markdown.rstrip(" \t>").endswith(("\n", "\r"))
    if leaf.kind == "fence":
        return leaf.closed and (ended or "\n" in markdown[leaf.end :])
    return "\n" in markdown[leaf.end :] or (ended and leaf.kind in ("heading", "table", "rule"))


def _paragraph(text: str, most: int) -> int:
    """The same for a paragraph of which at most `most` characters may be shown."""
    marks, stops = inline(text.rstrip()), [most]
    if marks.ticks and (special := _SPECIAL.search(text, marks.ticks[0][1])):
        stops.append(special.start())
    for at in marks.brackets:
        picture = text[at - 1 : at] == "!" or text.startswith("![", at + 1)
        if len(text) - at <= (LONGEST_FORMULA if picture else HOLD_CHARACTERS) and may_be_link(text, at):
            stops.append(at - (text[at - 1 : at] == "!"))
            break
    for begin in MATH_BEGINS.finditer(text):
        longest = {"$": 120, "\\(": HOLD_CHARACTERS}.get(begin[0], LONGEST_FORMULA)
        if len(text) - begin.start() <= longest and marks.around(begin.start()) is None:
            stops.append(begin.start())
    end = _without(text[: min(stops)], _TAIL)
    atom = marks.inside(end)
    if atom is not None and atom.kind == "code" and (special := _SPECIAL.search(text, atom.start, end)):
        return _without(text[: special.start()], _TAIL)
    return atom.start if atom is not None and atom.kind in ("link", "image", "math") else end


def _without(text: str, tail: re.Pattern[str]) -> int:
    """The length of the text without a tail that matches."""
    half = tail.search(text, max(0, len(text) - HOLD_CHARACTERS))
    return half.start() if half else len(text)
