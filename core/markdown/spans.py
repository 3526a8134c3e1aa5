"""Spans inside a paragraph with their places in it: code, links, emphasis, and what is not closed yet.

The cost is linear in the length of the paragraph, whatever a model writes. A long paragraph is read in pieces of a
limited size, and in each of them the parser may take a limited number of steps to look for the ends of links
(`bounded`): nested brackets would take it quadratic time. What it has not found by then is plain text.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from types import SimpleNamespace
from typing import Literal

from markdown_it import MarkdownIt, helpers
from markdown_it.rules_inline import StateInline, autolink, backtick, emphasis, html_inline, image, link, strikethrough
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

AtomKind = Literal["code", "link", "image", "autolink", "html", "math", "address"]
_Rule = Callable[[StateInline, bool], bool]

PRICE = r"\$[\d.,]*"
_MATH = re.compile(
    r"(?<!\\)(?:\$\$|\\[\[(])"
    rf"|(?<![\\$\w])(?!{PRICE}[\s.,;:!?)])\$(?=[^$\n]{{0,200}}[\\_^])[^\s$](?:[^$\n]{{0,118}}[^\s$\\])?\$(?![\d$])"
)
_MATH_ENDS = {"$$": ("$$", 2000), "\\[": ("\\]", 2000), "\\(": ("\\)", 300)}  # and the most characters before it
MATH_BEGINS = re.compile(rf"(?<!\\)\$\$|(?<!\\)\\[(\[]|(?<![\\$\w])(?!{PRICE}[\s.,;:!?)])\$(?=[^\s$][^$\n]*\Z)")
_AFTER = "?!.,:;*_~'\""
_ADDRESS = re.compile(
    rf"(?<![\w/])https?://[^\s<>`\u3000-\u303f\uff00-\uffef]*[^\s<>`\u3000-\u303f\uff00-\uffef{_AFTER}]"
)
_INNER = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_SPACE = re.compile(r"(?<!\\)\s")
_STEPS = 6  # to look for the ends of links, for each character of a piece
_BEGUN = re.compile(rf"<(?!\s)|\\[(\[]|(?!{PRICE}[\s.,;:!?)])\$")
_PIECE, _MOST = 400, 1200  # characters to read at once, at least and usually at most
_LONGEST_PIECE = 1000  # where there is no white space
_STOPS = "。！？"
_FAR = 800  # after this many characters, what is open is taken never to find its end


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece that only has a meaning as a whole, from `start` to `end`. `label` and `target` belong to links and
    images.
    """

    kind: AtomKind
    start: int
    end: int
    label: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Inline:
    """`pairs` are the places of matching emphasis marks (each `*` or `_` by itself, `~~` as one).

    `openers` are the marks that may still find a partner, `ticks` the backtick runs without one, `brackets` the places
    of each `[` that opens no link.
    """

    atoms: tuple[Atom, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    openers: tuple[int, ...] = ()
    ticks: tuple[tuple[int, int], ...] = ()
    brackets: tuple[int, ...] = ()

    def inside(self, at: int) -> Atom | None:
        """The atom that a cut before the character `at` would split."""
        atom = self.around(at)
        return atom if atom is not None and atom.start < at else None

    def around(self, at: int) -> Atom | None:
        """The atom that the character `at` belongs to."""
        i = bisect_right(self.atoms, at, key=lambda atom: atom.start) - 1
        return self.atoms[i] if i >= 0 and at < self.atoms[i].end else None


@dataclass(slots=True)
class _Trace:
    """What the parser has found on its way through `source`."""

    source: str
    atoms: list[Atom] = field(default_factory=list)
    delimiters: list[tuple[int, Delimiter]] = field(default_factory=list)
    ticks: list[tuple[int, int]] = field(default_factory=list)
    brackets: list[int] = field(default_factory=list)


def _traced(state: StateInline, silent: bool) -> _Trace | None:
    """The trace to write to; None while the parser looks ahead or reads only the description of an image."""
    trace = state.env.get("trace")
    return trace if isinstance(trace, _Trace) and not silent and state.src is trace.source else None


def _atom(kind: AtomKind, rule: _Rule) -> _Rule:
    def run(state: StateInline, silent: bool) -> bool:
        trace, start, known = _traced(state, silent), state.pos, len(state.tokens)
        found = rule(state, silent)
        if trace is not None and found:
            if kind == "code" and not any(token.type == "code_inline" for token in state.tokens[known:]):
                trace.ticks.append((start, state.pos))
            else:
                trace.atoms.append(_read(kind, state, start, state.tokens[known:]))
        elif trace is not None and kind == "link" and state.src[start] == "[":
            trace.brackets.append(start)
        return found

    return run


def _read(kind: AtomKind, state: StateInline, start: int, tokens: list[Token]) -> Atom:
    label, target = "", ""
    for token in tokens:
        if kind == "image" and token.type == "image":
            label, target = token.content, str(token.attrGet("src") or "")
        elif token.type == "link_open" and not target:
            target = str(token.attrGet("href") or "")
            end = state.md.helpers.parseLinkLabel(state, start, True) if kind == "link" else -1
            label = state.src[start + 1 : end] if end > 0 else target
    return Atom(kind, start, state.pos, label, target)


def _delimiters(rule: _Rule, width: int) -> _Rule:
    def run(state: StateInline, silent: bool) -> bool:
        trace, start, known = _traced(state, silent), state.pos, len(state.delimiters)
        found = rule(state, silent)
        if trace is not None and found and state.level == 0:
            at = start + (state.pos - start) % width
            for i, delimiter in enumerate(state.delimiters[known:]):
                trace.delimiters.append((at + i * width, delimiter))
        return found

    return run


def bounded(parser: MarkdownIt) -> MarkdownIt:
    """The parser, which from now on reads the inside of a paragraph in linear time.

    markdown-it looks for the end of a link from each bracket on. Here all these looks together may take `_STEPS` steps
    for each character; then brackets are text.
    """
    parser.helpers = SimpleNamespace(  # type: ignore[assignment]
        parseLinkLabel=_label_end,
        parseLinkDestination=helpers.parseLinkDestination,
        parseLinkTitle=helpers.parseLinkTitle,
    )
    return parser


def _label_end(state: StateInline, start: int, disableNested: bool = False) -> int:
    """markdown-it's parseLinkLabel with a limit: where the label that begins there ends, or -1."""
    before, level, end = state.pos, 1, -1
    state.pos = start + 1
    steps = state.env.setdefault("steps", [_STEPS * len(state.src)])
    while state.pos < state.posMax and steps[0] > 0:
        steps[0] -= 1
        marker, at = state.src[state.pos], state.pos
        if marker == "]":
            level -= 1
            if level == 0:
                end = at
                break
        state.md.inline.skipToken(state)
        if marker == "[":
            if state.pos == at + 1:
                level += 1
            elif disableNested:
                break
    state.pos = before
    return end


_PARSER = bounded(MarkdownIt("commonmark", {"maxNesting": 20}).enable("strikethrough"))
for _name, _kind, _rule in (
    ("backticks", "code", backtick),
    ("link", "link", link),
    ("image", "image", image),
    ("autolink", "autolink", autolink),
    ("html_inline", "html", html_inline),
):
    _PARSER.inline.ruler.at(_name, _atom(_kind, _rule))  # type: ignore[arg-type]
_PARSER.inline.ruler.at("emphasis", _delimiters(emphasis.tokenize, 1))
_PARSER.inline.ruler.at("strikethrough", _delimiters(strikethrough.tokenize, 2))
_PARSER.validateLink = lambda url: True  # type: ignore[method-assign]  # which links are shown is not decided here


@lru_cache(maxsize=512)  # most paragraphs of a page are the same as in the previous frame
def inline(source: str) -> Inline:
    """The spans of a paragraph as it is in the text.

    A long paragraph is read in pieces, so that one more word costs only as much as the last piece. A piece ends at
    white space before which nothing is open any more, and where there is none, at the end of a sentence or anywhere.
    """
    whole, begin, least = Inline(), 0, _PIECE
    for end in (*(space.start() for space in _SPACE.finditer(source)), len(source)):
        while end - begin > _LONGEST_PIECE:
            cut = 1 + max(source.rfind(stop, begin + _PIECE, begin + _LONGEST_PIECE) for stop in _STOPS)
            cut = cut or begin + _LONGEST_PIECE
            whole, begin = _joined(whole, _read_piece(source[begin:cut]), begin), cut
            least = begin + _PIECE
        if end < least:
            continue
        piece = _read_piece(source[begin:end])
        least = end + _PIECE
        if _is_complete(source[begin:end], piece):
            whole, begin = _joined(whole, piece, begin), end
    return _joined(whole, _read_piece(source[begin:]), begin)


@lru_cache(maxsize=1024)
def _read_piece(source: str) -> Inline:
    trace = _Trace(source)
    _PARSER.inline.parse(source, _PARSER, {"trace": trace}, [])
    index = {id(delimiter): at for at, delimiter in trace.delimiters}
    known = [delimiter for _, delimiter in trace.delimiters]
    atoms = _outermost([*trace.atoms, *_math(source, trace.atoms), *_addresses(source)])
    bare = {at for atom in atoms if atom.kind == "address" for at in range(atom.start, atom.end)}
    pairs = [(index[id(d)], index[id(known[d.end])]) for d in known if 0 <= d.end < len(known)]
    openers = [index[id(d)] for d in known if d.open and d.end < 0]
    starts = sorted(start for start, _ in pairs)
    ends = list(accumulate((end for _, end in sorted(pairs)), max))
    return Inline(
        atoms,
        tuple(pair for pair in pairs if bare.isdisjoint(pair)),
        tuple(at for at in openers if at not in bare and not _is_inside(at, starts, ends)),
        tuple(trace.ticks),
        tuple(trace.brackets),
    )


def _is_inside(at: int, starts: list[int], ends: list[int]) -> bool:
    """Whether a pair encloses that place. `starts`: where each begins; `ends`: how far the pairs up to it reach."""
    before = bisect_left(starts, at)
    return before > 0 and ends[before - 1] > at


def _is_complete(source: str, piece: Inline) -> bool:
    """Whether nothing in this piece can find its end after it. What has been open for long never will."""
    near = len(source) - _FAR
    begun = (*piece.openers, *piece.brackets, *(start for start, _ in piece.ticks))
    if len(source) > _MOST or any(at >= near for at in begun):
        return len(source) > _MOST
    ends = [0, *(at for atom in piece.atoms for at in (atom.start, atom.end)), len(source)]
    plain = "".join(source[max(ends[i], near) : ends[i + 1]] for i in range(0, len(ends), 2))
    return not _BEGUN.search(plain)


def _joined(whole: Inline, piece: Inline, by: int) -> Inline:
    """The spans of the beginning of a paragraph and of the piece that follows it `by` characters later."""
    if not by:
        return piece
    return Inline(
        whole.atoms + tuple(replace(atom, start=atom.start + by, end=atom.end + by) for atom in piece.atoms),
        whole.pairs + tuple((one + by, other + by) for one, other in piece.pairs),
        whole.openers + tuple(at + by for at in piece.openers),
        whole.ticks + tuple((start + by, end + by) for start, end in piece.ticks),
        whole.brackets + tuple(at + by for at in piece.brackets),
    )


def _addresses(source: str) -> list[Atom]:
    """Bare addresses in the text. What ends a sentence or closes a bracket is not part of them."""
    found = []
    for match in _ADDRESS.finditer(source):
        target = match[0]
        while target.endswith(")") and target.count(")") > target.count("("):
            target = target[:-1].rstrip(_AFTER)
        found.append(Atom("address", match.start(), match.start() + len(target), "", target))
    return found


def bare(label: str) -> str:
    """The label of a link or an image, without the links and images in it."""
    return _INNER.sub(r"\1", label)


def _math(source: str, atoms: list[Atom]) -> list[Atom]:
    """Formulas, which the parser does not know. One that begins inside code is none."""
    found, at = [], 0
    while match := _MATH.search(source, at):
        start, at = match.span()
        if match[0] in _MATH_ENDS:
            close, longest = _MATH_ENDS[match[0]]
            end = source.find(close, at + 1, at + longest + len(close))
            if end < 0:
                at = start + 1
                continue
            at = end + len(close)
        found.append(Atom("math", start, at))
    code = sorted((atom.start, atom.end) for atom in atoms if atom.kind == "code")
    starts = [start for start, _ in code]
    ends = list(accumulate((end for _, end in code), max))
    return [m for m in found if not (i := bisect_left(starts, m.end)) or ends[i - 1] <= m.start]


def _outermost(atoms: list[Atom]) -> tuple[Atom, ...]:
    kept: list[Atom] = []
    for atom in sorted(atoms, key=lambda atom: (atom.start, -atom.end)):
        if not kept or atom.start >= kept[-1].end:
            kept.append(atom)
    return tuple(kept)
