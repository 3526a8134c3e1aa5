"""Judges of the visible text, written without the code under test: pings, incomplete Markdown, losses."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import unescape

from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import iter_graphemes

HOLD = 290
"""Within this many characters, a mark must be closed or held back; later it may count as plain text."""

_PARSER = MarkdownIt("commonmark", {"maxNesting": 60}).enable(["table", "strikethrough"]).disable("text_join")
_PARSER.validateLink = lambda url: True  # type: ignore[method-assign]


@lru_cache(maxsize=256)
def _parsed(markdown: str) -> list[Token]:
    return _PARSER.parse(markdown)


_BLANK = re.compile(r"\n[ \t>]*\n")
_ADDRESS = re.compile(r"https?://\S+")

_DISCORD_PING = re.compile(r"<@[!&]?\d|@everyone|@here", re.IGNORECASE)
# In code the form of a token, elsewhere only its beginning; `<!--` and `<!DOCTYPE html>` are no tokens of Slack.
_SLACK_TOKEN = re.compile(r"<(?:![ \t]*\w+[ \t]*[\^|>]|[@#][A-Z0-9]+[|>]|subteam)")
_SLACK_BEGIN = re.compile(r"<(?:!(?!--)|[@#]|subteam)")
_SLACK_LINK = re.compile(r"<[^\s<>|][^<>|\n]{0,200}\|[^<>\n]{0,200}>")
_OWN_LINK = re.compile(r"<[a-zA-Z][a-zA-Z0-9+.-]*:[^<>|\n]*(?:\|[^<>|]*)?>")

_OPENER = re.compile(r"(?:^|(?<=[\s(\[{“‘「（]))(?:\*{1,3}|_{1,3}|~~)(?=\w)")
_UNDECIDED = re.compile(r"[ \t>]*(?:[-+*]|#{1,6}|>+|\d{1,9}[.)]|`{1,3}|~{1,3}|\|)[ \t]*")
_FLAG = "[\U0001f1e6-\U0001f1ff]"
_HALF = {
    "link": re.compile(r"(?<!\\)\[[^\[\]\n]*(?:\]\([^()\s]*)?$"),
    "address": re.compile(r"https?://[^\s)]*\w$"),
    "tag": re.compile(r"(?<!\\)<[^\s<>`\]][^<>\n`\]]*$"),
    "entity": re.compile(r"(?<!\\)&#?\w{0,31}$"),
    "escape": re.compile(r"(?<!\\)(?:\\\\)*\\$"),
    "emoji": re.compile(rf"[\u2000-\u2bff\ufe0f\U0001f000-\U0001faff]\u200d$|(?<!{_FLAG})(?:{_FLAG}{{2}})*{_FLAG}$"),
}


def discord_pings(text: str) -> list[str]:
    """Everything in a text that could notify somebody in Discord."""
    return _DISCORD_PING.findall(text)


def slack_pings(markdown: str) -> list[str]:
    """Everything in a text that Slack could read as one of its tokens, and links that would become one."""
    found = _SLACK_TOKEN.findall(markdown)
    for token in _parsed(markdown):
        for child in token.children or []:
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if re.match(r"[!@]|#[A-Z0-9]{6}", target):
                found.append(target)
            if child.type == "text":
                found += _SLACK_BEGIN.findall(child.content) + _SLACK_LINK.findall(child.content)
    return found


def mrkdwn_pings(text: str) -> list[str]:
    """In mrkdwn: any angle bracket that does not belong to a link of ours."""
    return re.findall(r"<[^<>]{0,20}", _OWN_LINK.sub("", text))


def bare_ampersands(text: str) -> list[str]:
    """In mrkdwn and in plain text: ampersands that begin no entity."""
    return re.findall(r"&(?!amp;|lt;|gt;).{0,8}", text)


def fence_is_open(markdown: str) -> bool:
    """Whether Markdown reads a fence as unclosed."""
    last = next((token for token in reversed(_parsed(markdown)) if token.nesting == 0), None)
    if last is None or last.type != "fence" or last.map is None:
        return False
    lines = re.sub(r"\r\n?", "\n", markdown.rstrip(" \t\r\n>")).split("\n")
    end = lines[-1].lstrip(" \t>")
    return not (set(end) == {last.markup[0]} and len(end) >= len(last.markup) and len(lines) > last.map[0] + 1)


def discord_leaves_open(text: str) -> bool:
    """Whether Discord reads a code block as unclosed: three backticks anywhere begin and end one."""
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith("```", at):
            end = text.find("```", at + 3)
            if end < 0:
                return True
            at = end + 3
        elif text[at] == "`":
            run = re.compile("`+").match(text, at)
            assert run
            end_of_span = re.compile(rf"(?<!`){run[0]}(?!`)").search(text, run.end())
            at = end_of_span.end() if end_of_span else run.end()
        else:
            at += 1
    return False


def unfinished(frame: str, prefix: str) -> list[str]:
    """The unclosed marks in the paragraph that is being written, which a reader of this frame would see as characters.

    `prefix` is the text so far.
    """
    tokens = _parsed(frame)
    last = next((token for token in reversed(tokens) if token.nesting == 0 and token.map), None)
    if last is None or last.type != "inline" or tokens[-1].type == "table_close":
        return []
    begins = re.sub(r"[\s>*_~`]+", "", _BLANK.split(frame)[-1])[:12]
    if not begins or begins not in re.sub(r"[\s>*_~`]+", "", _BLANK.split(prefix)[-1]):
        return []  # that paragraph is complete
    found = []
    for name, pattern in _HALF.items():
        match = pattern.search(prefix, max(0, len(prefix) - HOLD))
        if match and frame.endswith(prefix[max(0, match.start() - 8) :]) and pattern.search(frame):
            found.append(name)
    text = _ADDRESS.sub(" ", "".join(map(_source, last.children or [])))[-HOLD:]
    found += [f"opener {match[0]}" for match in _OPENER.finditer(text)]
    if "`" in text:
        found.append("tick")
    line = prefix[prefix.rfind("\n") + 1 :]
    if _UNDECIDED.fullmatch(line) and frame.endswith(prefix[-len(line) - 8 :].rstrip()):
        found.append(f"opening of a block {line!r}")
    return found


def half_row(frame: str, prefix: str) -> bool:
    """Whether the frame ends with an incomplete row of a table, or of what may become its head."""
    line = frame.rstrip("\n").rsplit("\n", 1)[-1]
    tokens = _parsed(frame)
    if tokens and tokens[-1].type == "table_close":
        return f"{line.strip()[-12:]}\n" not in re.sub(r"[ \t]*(?:\r\n?|\n)", "\n", prefix)
    if len(tokens) > 1 and tokens[-1].type == "paragraph_close" and line.lstrip(" >").startswith("|"):
        after = prefix[prefix.rfind(line) + len(line) :]
        return len(line) < HOLD and not after.strip() and "\n\n" not in after
    return False


def _source(token: Token) -> str:
    """A piece of a paragraph as text, with a space for everything that was parsed."""
    if token.type == "text":
        return token.content
    return "\n" if token.type in ("softbreak", "hardbreak") else " "


def graphemes(text: str) -> list[str]:
    """The characters that a reader sees, without white space."""
    return [grapheme for grapheme in iter_graphemes(text) if not grapheme.isspace()]


def letters(text: str) -> str:
    """Only the letters and digits of a text."""
    return "".join(filter(str.isalnum, text))


def missing(part: Iterable[str], whole: Iterable[str]) -> str:
    """The rest of `part` that is not in `whole`, in order and with gaps; empty if all of it is."""
    rest, seen = iter(whole), ""
    for item in part:
        seen = seen[-40:] + item
        if item not in rest:
            return seen
    return ""


def without_tables(markdown: str) -> tuple[str, list[str]]:
    """The text without its tables, and their cells."""
    rows, lines, cells = set(), markdown.split("\n"), []
    for token in _parsed(markdown):
        if token.type == "table_open" and token.map:
            rows |= set(range(*token.map))
    for i in sorted(rows):
        cells += [cell for cell in re.split(r"(?<!\\)\|", lines[i].lstrip(" >")) if cell.strip(" :-")]
    return "\n".join(line for i, line in enumerate(lines) if i not in rows), cells


def read(markdown: str) -> str:
    """The letters and digits that a reader of the Markdown sees."""
    return "".join(_words(_parsed(markdown)))


def _words(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.children is not None:
            yield from _words(token.children)
        elif token.type != "inline":
            yield letters(unescape(token.content) if token.type.startswith("html") else token.content)
