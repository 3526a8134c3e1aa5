"""mend: shows a text that is still being written so that it parses: open marks closed, half-arrived ones held back."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from wcwidth import grapheme_boundary_before

from core.markdown.blocks import Leaf, blocks
from core.markdown.nesting import continuation
from core.markdown.spans import Inline, inline
from core.pauses import Pausing, at_once

HOLD_CHARACTERS = 300
"""A mark that is not complete after this many characters counts as plain text, so nothing stays hidden for long."""
MAX_DEPTH = 24
"""At most this many nested marks are closed."""
_MOST_TRIES = 3  # to close the marks, each without one more of the outermost; each try reads a piece of the paragraph

# A last line that holds only the beginning of a block; its next characters decide which one.
UNDECIDED = re.compile(r"(?:[\s>*+\-=_~`#|:]|\d{1,9}[.)]\s)*+(?:\d{1,9}[.)]?)?+[\s*_~`]*+(?:\[[ xX]?\]?)?+\s*+")
_BARE = r"(?<!\\)(?:\\\\)*"  # whatever follows is not escaped
_ANGLE = re.compile(_BARE + r"(<(?:[^\s<>][^<>\n]*)?)\Z")
_ENTITY = re.compile(_BARE + r"(&#?\w{0,31})\Z")
_ESCAPE = re.compile(_BARE + r"(\\)\Z")
_ADDRESS = re.compile(r"(?<![\w/])(https?://[^\s<>`)\]]*)\Z")
_FLAG = "[\U0001f1e6-\U0001f1ff]"
_HALF_FLAG = re.compile(rf"(?<!{_FLAG})(?:{_FLAG}{{2}})*({_FLAG})\Z")
# What follows the label of a link, as far as it has arrived: an address and perhaps a title.
_TO = r"(?!<)(?:[^\s()\\]|\\.|\([^\s()]*\))*"
_TARGET = re.compile(
    rf"(?:\(\s*+(?:<[^<>\n]*|{_TO}\([^\s()]*|(?:<[^<>\n]*>|{_TO}\\?)(?:\s+(?:\"[^\"]*\"?|'[^']*'?|\([^()]*\)?))?\s*))?"
)
_HALF_PAIR = re.compile(r"([\ud800-\udbff])\Z")


@dataclass(frozen=True, slots=True)
class Mended:
    """Show the text up to `keep`, then `close`. What the text means from `settled` on may still change."""

    keep: int
    close: str
    settled: int

    def of(self, markdown: str) -> str:
        """The text as people see it."""
        return finish(trimmed(markdown[: self.keep]) + self.close)


@lru_cache(maxsize=64)
def mend(markdown: str) -> Mended:
    """How to show a text that is still growing."""
    return at_once(mending(markdown))


def mending(markdown: str) -> Pausing[Mended]:
    """The same for a long text, with a pause whenever all of it has been read: that happens several times."""
    return (yield from _mend(markdown, header=True))


def finish(markdown: str) -> str:
    """How to show a text that is complete: as it is, with its last fence closed."""
    last = blocks(markdown).last
    text = markdown.rstrip()
    return text + closing(last) if last is not None and _open_fence(last, markdown) else text


def trimmed(text: str) -> str:
    """The text without white space at its end and without last lines that hold only quote markers."""
    text = text.rstrip()
    end = len(text)
    while text.endswith(">", 0, end) and (line := text.rfind("\n", 0, end)) >= 0:
        if text[line:end].strip(" \t\n>"):
            break
        end = line
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end]


def closing(fence: Leaf) -> str:
    """What ends an unclosed fence, on a line of its own."""
    return f"\n{continuation(fence.nest)}{fence.marker}"


def _open_fence(leaf: Leaf, markdown: str) -> bool:
    return leaf.kind == "fence" and not leaf.closed and not markdown[leaf.end :].strip()


def _mend(markdown: str, *, header: bool) -> Pausing[Mended]:
    last = blocks(markdown).last
    yield
    line = max(markdown.rfind("\n"), markdown.rfind("\r")) + 1
    tail = markdown[line:]
    if last is not None and _open_fence(last, markdown):
        return (yield from _fence(markdown, last))
    if last is not None and last.kind == "fence" and last.end == len(markdown):
        return Mended(len(markdown), "", len(markdown))
    if tail.strip() and len(tail) <= HOLD_CHARACTERS and UNDECIDED.fullmatch(tail):
        return (yield from _mend(markdown[:line], header=header))
    if last is None or markdown[last.end :].strip() or "\n" in markdown[last.end :]:
        half = _ADDRESS.search(markdown, max(last.end if last else 0, len(markdown) - HOLD_CHARACTERS))
        keep = half.start(1) if half else len(markdown)  # it is in a link definition
        return Mended(keep, "", keep)
    if last.kind == "table":
        return _table(markdown, last, line)
    if last.kind == "html":
        half = _ANGLE.search(markdown, max(last.start, len(markdown) - HOLD_CHARACTERS))
        keep = half.start(1) if half else len(markdown)
        return Mended(keep, "", keep)
    if last.kind not in ("paragraph", "heading") or (last.kind == "heading" and not tail.strip()):
        return Mended(len(markdown), "", len(markdown))
    if header and last.kind == "paragraph":
        # A line that begins with a bar may, together with the next line, turn out to be the head of a table.
        start = markdown.rstrip().rfind("\n") + 1
        text = markdown[max(start, last.start + len(last.head) if start <= last.start else start) :]
        if text.lstrip(" >").startswith("|") and len(text) <= HOLD_CHARACTERS:
            return (yield from _mend(markdown[:start], header=False))
    text = markdown[last.start :].rstrip()
    mended = yield from _paragraph(text)
    if UNDECIDED.fullmatch(text, 0, mended.keep):
        if not UNDECIDED.fullmatch(text):
            return Mended(last.start, "", last.start)  # it ends the block before it
        before = yield from _mend(markdown[: last.start], header=False)
        return replace(before, settled=min(before.settled, last.start))
    return Mended(last.start + mended.keep, mended.close, last.start + mended.settled)


def _fence(markdown: str, fence: Leaf) -> Pausing[Mended]:
    body = fence.rows[1:]
    if not body or not markdown[body[0] :].strip(" \t\r\n>"):
        before = yield from _mend(markdown[: fence.start], header=False)  # its language may have half arrived
        return replace(before, settled=min(before.settled, fence.start))
    keep, end = len(markdown), markdown[body[-1] :]
    if end.strip(" \t>") and set(end.strip(" \t>")) == {fence.marker[0]} and len(end) <= HOLD_CHARACTERS:
        keep = body[-1]  # the closing line has half arrived
    return Mended(keep, closing(fence), keep)


def _table(markdown: str, table: Leaf, line: int) -> Mended:
    keep = len(markdown)
    if table.rows[-1] == line and markdown[line:] and keep - line <= HOLD_CHARACTERS:
        keep = line if len(table.rows) > 2 else table.start
    return Mended(keep, "", keep)


def _paragraph(text: str) -> Pausing[Mended]:
    marks = inline(text)
    yield
    tick = next((run for run in marks.ticks if len(text) - run[0] <= HOLD_CHARACTERS), None)
    hold = min([len(text), *_pending(text, marks)])
    if tick is not None and tick[0] < hold:
        start, end = tick
        body = text[end:].rstrip("` \n")
        if body.strip():
            run = text[start:end]
            close = yield from _closers(text[: end + len(body)] + run)
            return Mended(end + len(body), run + close, start)
        hold = start
    kept = _without_bare_marks(text[:hold].rstrip())
    yield
    close = yield from _closers(kept)
    return Mended(len(kept), close, min(hold, len(kept)))


def _pending(text: str, marks: Inline) -> list[int]:
    """Where links, tags, entities, escapes and joined emoji begin whose end has not arrived."""
    found = []
    for pattern in (_ANGLE, _ENTITY, _ESCAPE, _ADDRESS, _HALF_FLAG, _HALF_PAIR):
        match = pattern.search(text, max(0, len(text) - HOLD_CHARACTERS))
        if match is not None:
            at = match.start(1)
            if not any(atom.start <= at < atom.end for atom in marks.atoms if atom.kind != "address"):
                found.append(at)
    if text.endswith("\u200d"):
        found.append(emoji_at_end(text))
    for at in marks.brackets:
        if len(text) - at <= HOLD_CHARACTERS and may_be_link(text, at):
            found.append(at - 1 if at and text[at - 1] == "!" else at)
            break
    return found


def emoji_at_end(text: str) -> int:
    """Where the emoji or symbol begins that ends the text and may continue; the text's end if there is none."""
    last = grapheme_boundary_before(text, len(text))
    return last if text and not text[last].isascii() and not text[last].isalnum() else len(text)


def may_be_link(text: str, at: int) -> bool:
    """Whether the text from this bracket to its end can still become a link."""
    depth, escaped = 0, False
    for i in range(at, len(text)):
        if not escaped:
            depth += (text[i] == "[") - (text[i] == "]")
        escaped = text[i] == "\\" and not escaped
        if depth == 0:
            return bool(_TARGET.fullmatch(text, i + 1))
    return "\n\n" not in text[at:]


def _without_bare_marks(text: str) -> str:
    """The text without marks at its end that close nothing."""
    end, marks = len(text.rstrip("*_~ \t\n")), inline(text)
    if end == len(text):
        return text
    meant = [last + (2 if text[last] == "~" else 1) for _, last in marks.pairs if last >= end]
    meant += [atom.end for atom in marks.atoms if atom.end > end]
    if _ESCAPE.search(text, max(0, end - HOLD_CHARACTERS), end):
        end += 1
    return text[: max([end, *meant])].rstrip()


def _closers(text: str) -> Pausing[str]:
    """The marks that close what is open at the text's end, as far as they really close it."""
    marks = [(at, "~~" if text[at] == "~" else text[at]) for at in _unclosed(text)[-MAX_DEPTH:]]
    for skipped in range(min(len(marks), _MOST_TRIES)):
        yield
        close = "".join(mark for _, mark in reversed(marks[skipped:]))
        ends = sum(end >= len(text) for _, end in inline(text + close).pairs)
        if ends == len(marks) - skipped:
            return close
    return ""


def _unclosed(text: str) -> list[int]:
    """The openers, without runs that close another run although the parser can't see it: `**「…」**の`."""
    runs: list[list[int]] = []
    for at in inline(text).openers:
        if runs and at == runs[-1][-1] + 1 and text[at] == text[at - 1]:
            runs[-1].append(at)
        else:
            runs.append([at])
    kept: list[list[int]] = []
    for run in runs:
        if kept and _ends(text, kept[-1], run):
            kept.pop()
        else:
            kept.append(run)
    return [at for run in kept for at in run]


def _ends(text: str, one: list[int], other: list[int]) -> bool:
    """Whether a run of marks looks as if it was meant to end the other."""
    before = text[other[0] - 1]
    return len(one) == len(other) and text[one[0]] == text[other[0]] and not before.isspace() and before not in "([{"
