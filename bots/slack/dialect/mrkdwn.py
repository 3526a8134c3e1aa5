"""Converts Markdown to mrkdwn and plain text, where Slack doesn't accept Markdown: notifications, `response_url`."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import grapheme_boundary_before

from core.markdown.blocks import block_parser, blocks
from core.markdown.labels import misleads
from core.markdown.math import escape_formulas
from core.markdown.spans import bounded
from core.markdown.tables import Cells, cells, drawn
from core.text import UNSEEN, harmless, without_fences

# Blocks first: a text is measured at many lengths, in which most paragraphs are the same, so they are remembered.
_BLOCKS = block_parser()
_PARSER = bounded(MarkdownIt("commonmark", {"maxNesting": 60}).enable("strikethrough"))
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_TASK = re.compile(r"\[([ xX])\] ")


def escape(text: str) -> str:
    """Escape the three special characters of mrkdwn (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@lru_cache(maxsize=64)  # a page is measured before it is shown
def to_mrkdwn(markdown: str) -> str:
    """Return the text in mrkdwn. Nothing in it pings: every angle of the text is escaped."""
    return _Writer(markdown, marks=True).write()


@lru_cache(maxsize=64)
def plain(markdown: str, limit: int = 3000) -> str:
    """Return the text without marks, escaped, with at most `limit` characters, for a notification."""
    text = _Writer(markdown[: 2 * limit], marks=False).write()
    if len(text) <= limit and len(markdown) <= 2 * limit:
        return text
    cut = grapheme_boundary_before(text, limit) if len(text) > limit - 1 else len(text)
    cut = min(cut, limit - 1)
    entity = text.rfind("&", max(0, cut - 4), cut)
    if entity >= 0 and ";" not in text[entity:cut]:
        cut = entity
    return text[:cut].rstrip() + "…"


class _Writer:
    """Writes the parser's blocks one after the other, with the prefixes that lists and quotes add to each line."""

    def __init__(self, markdown: str, *, marks: bool) -> None:
        markdown = escape_formulas(harmless(markdown))
        self.env: dict[str, Any] = {}
        self.tokens = _BLOCKS.parse(markdown, self.env)
        self.markdown = markdown
        self.marks = marks
        self.out: list[str] = []
        self.around: list[str] = []  # the prefix that each open container adds to a line
        self.counts: list[int] = []  # the next number of each open list, 0 for bullets
        self.marker = ""  # of the item that is beginning
        self.tight = False

    def write(self) -> str:
        tables = self._tables()
        for i, token in enumerate(self.tokens):
            match token.type:
                case "bullet_list_open":
                    self.counts.append(0)
                case "ordered_list_open":
                    start = token.attrGet("start")
                    self.counts.append(1 if start is None else int(start))
                case "bullet_list_close" | "ordered_list_close":
                    self.counts.pop()
                    self.tight = bool(self.counts)
                case "list_item_open":
                    self.marker = f"{self.counts[-1]}. " if self.counts[-1] or token.info else "• "
                    self.counts[-1] += 1 if token.info else 0
                    self.around.append("    ")
                case "list_item_close":
                    if self.marker:
                        self._put("")
                    self.around.pop()
                case "blockquote_open":
                    self.around.append("> " if self.marks else "")
                case "blockquote_close":
                    self.around.pop()
                case "table":
                    rows = [[_bare(cell) if cell else "" for cell in row] for row in next(tables, ())]
                    bare = escape("\n".join(map(" | ".join, rows)))
                    self._put(_fenced("\n".join(drawn(rows))) if self.marks else bare)
                case "inline":
                    self._put(self._inline(token, heading=self.tokens[i - 1].type == "heading_open"))
                case "fence" | "code_block":
                    code = token.content.rstrip("\n")
                    self._put(_fenced(code) if self.marks else escape(code))
                case "html_block":
                    self._put(escape(token.content.rstrip("\n")))
                case "hr" if self.marks:
                    self._put("─" * 20)
        return "\n".join(self.out).strip("\n")

    def _tables(self) -> Iterator[Cells]:
        for leaf in blocks(self.markdown).leaves:
            if leaf.kind == "table":
                yield cells(leaf, self.markdown[leaf.start : leaf.end])

    def _inline(self, token: Token, *, heading: bool) -> str:
        references = self.env.get("references")
        children = _parsed(token.content, {"references": references}) if references else _children(token.content)
        if not self.marks:
            return escape(_words(children))
        text = _marked(children, heading)
        text = _TASK.sub(lambda match: "☐ " if match[1] == " " else "☑ ", text, count=1) if self.marker else text
        return f"*{text}*" if heading and text else text

    def _put(self, text: str) -> None:
        prefix = "".join(self.around)
        first = prefix
        if self.marker:
            first = "".join(self.around[:-1]) + self.marker
        tight = self.marker or self.tight
        if self.out and not (tight and self.counts) and self.out[-1].strip():
            quoted = self.out[-1].lstrip().startswith(">") and "> " in self.around
            self.out.append(prefix.rstrip() if quoted else "")
        self.marker, self.tight = "", False
        for i, line in enumerate(text.split("\n")):
            self.out.append((first if i == 0 else prefix) + line)


def _parsed(content: str, env: dict[str, Any]) -> Sequence[Token]:
    """The spans of a paragraph."""
    return [child for token in _PARSER.parseInline(content, env) for child in token.children or []]


@lru_cache(maxsize=512)
def _children(content: str) -> Sequence[Token]:
    return _parsed(content, {})


def _marked(children: Sequence[Token], bold: bool) -> str:
    """Return a paragraph in mrkdwn. A heading is bold as a whole, so bold words in it are not marked again."""
    parts: list[str] = []
    opened: list[tuple[str, int]] = []
    links: list[str] = []
    for i, token in enumerate(children):
        match token.type:
            case "strong_open" | "em_open" | "s_open":
                opened.append((_MARKS[token.type[:-5]] if token.type != "strong_open" or not bold else "", len(parts)))
                parts.append("")
            case "strong_close" | "em_close" | "s_close":
                mark, at = opened.pop()
                parts[at] = mark
                parts.append(mark)
            case "link_open":
                target = str(token.attrGet("href") or "")
                if token.info == "auto" and "|" in children[i + 1].content:  # Slack's own token, not an address
                    links.append("&gt;")
                    parts.append("&lt;")
                elif misleads(_words(_inside(children, i)), target):
                    links.append(f" (<{_address(target)}>)")
                elif not _ADDRESS.match(target):  # `[x](!channel)` would be a mention
                    links.append(f" ({escape(target)})" if target else "")
                else:
                    links.append(">")
                    label = "" if children[i + 1].type == "link_close" else "|"
                    parts.append(f"<{_address(target)}{label}" if children[i + 1].content != target else "<")
            case "link_close":
                parts.append(links.pop())
            case "image":
                target, label = str(token.attrGet("src") or ""), escape(token.content).replace("|", "¦")
                if not links and misleads(token.content, target):
                    parts.append(f"{label} (<{_address(target)}>)")
                elif links or not _ADDRESS.match(target):
                    parts.append(label or "image")
                else:
                    parts.append(f"<{_address(target)}|{label}>" if label else f"<{_address(target)}>")
            case "code_inline":
                code = escape(token.content.replace("`", "ˋ"))  # a backtick would end the code
                parts.append(f"`{code.replace('|', '¦') if links else code}`")
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case _:
                text = escape(without_fences(token.content))
                parts.append(text.replace("|", "¦") if links else text)
    return _joined(parts)


def _inside(children: Sequence[Token], opened: int) -> Sequence[Token]:
    """The tokens of a link's label. Links do not nest."""
    closed = next(i for i in range(opened, len(children)) if children[i].type == "link_close")
    return children[opened + 1 : closed]


_MARKS = {"strong": "*", "em": "_", "s": "~"}


def _address(url: str) -> str:
    return escape(url).replace("|", "%7C")


def _joined(parts: list[str]) -> str:
    """Join the parts; insert an invisible space where a mark touches a letter outside it, or Slack ignores it."""
    out = ""
    inside: list[str] = []
    parts = [part for part in parts if part]
    for i, part in enumerate(parts):
        if part in _MARKS.values():
            closes = bool(inside) and inside[-1] == part
            if not closes:
                out += UNSEEN if out and out[-1].isalnum() else ""
                inside.append(part)
                out += part
            else:
                inside.pop()
                following = parts[i + 1][:1] if i + 1 < len(parts) else ""
                out += part + (UNSEEN if following.isalnum() else "")
        else:
            out += part
    return out


@lru_cache(maxsize=1024)
def _bare(markdown: str) -> str:
    return _words(_parsed(escape_formulas(markdown), {})).replace("\n", " ")


def _words(children: Sequence[Token]) -> str:
    """Return only the words of a paragraph."""
    parts = []
    for token in children:
        if token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type in ("text", "code_inline", "image", "html_inline", "text_special"):
            parts.append(token.content)
    return "".join(parts)


def _fenced(code: str) -> str:
    return f"```\n{escape(without_fences(code))}\n```"
