"""Slack's dialect: writes Markdown for Slack's markdown block, and reads Slack's own tokens as words."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from bots.slack.dialect.mrkdwn import plain, to_mrkdwn
from core.markdown.blocks import Leaf, blocks, nests
from core.markdown.incomplete import HOLD_CHARACTERS, closing
from core.markdown.labels import misleads
from core.markdown.math import LONGEST_FORMULA, escaped
from core.markdown.nesting import lines
from core.markdown.spans import Atom, bare, inline
from core.markdown.stable_prefix import stable_length
from core.markdown.tables import complete
from core.text import harmless, without_fences

__all__ = ["LIMIT", "appendable", "from_slack", "plain", "to_mrkdwn", "to_slack_markdown"]

LIMIT = 12_000
"""Maximum characters of all markdown blocks of a message together (docs.slack.dev: blocks/markdown-block)."""

# Where one of Slack's tokens could begin: a mention, a date or a link, in Markdown too (PostHog/posthog#95054).
_BEGIN = re.compile(r"(?<!\\)(\\*+)<(?=\\?(?:[!@#]|subteam))")
_LINK = re.compile(r"(?<!\\)<(?=[^\s<>|][^<>|\n]{0,200}\|[^<>\n]{0,90}>)")
_MENTION = r"\s{0,8}<?\\?(?:[!@]|#[A-Z0-9]{6}|&(?:#(?:33|64|x21|x40)|excl|commat);)"
_TARGET = re.compile(rf"\](?=[(:]{_MENTION})", re.IGNORECASE)
_INNER_FENCE = re.compile(r"^([ \t>]*)(`{3,})")
_TOKEN_IN_CODE = re.compile(r"<(?=![ \t]*\w+[ \t]*[\^|>]|[@#][A-Z0-9]+[|>]|subteam)")


@lru_cache(maxsize=64)  # a page is measured before it is shown
def to_slack_markdown(markdown: str) -> str:
    """Return the text for a `markdown` block: unchanged, except that nothing pings, images become links and formulas
    stay legible.

    In text we escape the angle bracket of a mention, which Slack then shows as an angle and does not interpret; we do
    not escape `&`, because Slack does not unescape addresses. In code, where an escape would be visible, an invisible
    character breaks the mention.
    """
    parts, at, markdown = [], 0, harmless(markdown)
    for leaf in blocks(markdown).leaves:
        parts += [_escape(markdown[at : leaf.start]), _leaf(leaf, markdown[leaf.start : leaf.end])]
        at = leaf.end
        if not leaf.closed and markdown[at:].strip():  # the list or quote around it has ended
            parts.append(closing(leaf).lstrip("\n") + "\n")
    return _defuse("".join([*parts, _escape(markdown[at:])]))


def appendable(markdown: str, *, final: bool) -> str:
    """Return the same for a growing text, as far as it is final: the result for any longer text begins with this one.

    `final`: the text is complete.
    """
    return to_slack_markdown(markdown if final else markdown[: stable_length(markdown)])


def _leaf(leaf: Leaf, text: str) -> str:
    match leaf.kind:
        case "fence":
            return _fence(leaf, text)
        case "code":
            return text
        case "html":
            return _html(text)
        case "table":
            return "".join(map(_text, lines(complete(leaf, text))))
        case _:
            return _text(text)


def _fence(leaf: Leaf, text: str) -> str:
    """The fence. Another one inside it, which Slack would take for its end, is kept from being one."""
    if leaf.marker[:1] != "`" or not nests(leaf.info) or text.count(leaf.marker) <= 1 + leaf.closed:
        return text
    rows = lines(text)
    last = len(rows) - leaf.closed
    inner = (_INNER_FENCE.sub(lambda found: found[1] + without_fences(found[2]), row) for row in rows[1:last])
    return "".join([rows[0], *inner, *rows[last:]])


def _html(text: str) -> str:
    """HTML, which Slack shows as text; links in it are links all the same."""
    parts, at = [], 0
    for atom in inline(text).atoms:
        if atom.kind in ("link", "image") and misleads(bare(atom.label), atom.target):
            parts += [_escape(text[at : atom.start]), _escape(_named(atom))]
            at = atom.end
    return "".join([*parts, _escape(text[at:])])


def _named(atom: Atom) -> str:
    """A link whose label names another address: label and target beside each other."""
    return f"{bare(atom.label)} (<{atom.target}>)"


@lru_cache(maxsize=1024)
def _text(text: str) -> str:
    parts, at = [], 0
    for atom in _atoms(text):
        piece = text[atom.start : atom.end]
        parts += [_escape(text[at : atom.start]), piece if atom.kind == "code" else _escape(_atom(atom, piece))]
        at = atom.end
    return "".join([*parts, _escape(text[at:])])


def _atoms(text: str) -> Iterator[Atom]:
    """Yield code, and everything that is not shown the way it is written."""
    for atom in inline(text).atoms:
        length = atom.end - atom.start
        if atom.kind == "link":
            inner = [part for part in inline(atom.label).atoms if part.kind in ("code", "image")]
            misleading = misleads(bare(atom.label), atom.target)
            pictured = text.startswith("![", atom.start + 1)
            held = length <= (LONGEST_FORMULA if pictured else HOLD_CHARACTERS)
            if misleading or (held and any(part.kind == "image" for part in inner)):
                yield atom
            else:
                by = atom.start + 1
                yield from (replace(part, start=part.start + by, end=part.end + by) for part in inner)
        elif atom.kind == "code" or (atom.kind in ("image", "math") and length <= LONGEST_FORMULA):
            yield atom


def _atom(atom: Atom, text: str) -> str:
    match atom.kind:
        case "math":
            return escaped(text)
        case "image" | "link" if misleads(bare(atom.label), atom.target):
            return _named(atom)
        case "image" if atom.label:
            return "[" + bare(atom.label) + text[len(atom.label) + 2 :]
        case "image":
            return atom.target
        case _:
            return "[" + (bare(atom.label) or "image") + text[len(atom.label) + 1 :]


def _escape(text: str) -> str:
    return _BEGIN.sub(_angle, _LINK.sub("&lt;", _TARGET.sub(r"]\\", text)))


def _angle(match: re.Match[str]) -> str:
    """Replace an angle with an entity; drop a backslash before it, which would now escape the entity."""
    return match[1][len(match[1]) % 2 :] + "&lt;"


def _defuse(text: str) -> str:
    return _TOKEN_IN_CODE.sub("<\u200b", text)


CODE = re.compile(r"(?s)(```.*?```|`[^`\n]+`)")
_TOKEN = re.compile(r"<([^<>]+)>|&(?:amp|lt|gt);")
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_ENTITY = re.compile("|".join(_ENTITIES))
_Names = Callable[[str], str | None]


def from_slack(text: str, user_name: _Names, channel_name: _Names) -> str:
    """Return a message's text in words: mentions by name, links as Markdown, entities decoded once.

    The callables return the name of an id, or None if it is unknown. In code we undo only what Slack itself added: its
    entities, and the angles around addresses (docs.slack.dev/messaging/formatting-message-text).
    """

    def word(match: re.Match[str]) -> str:
        if match[1] is None:
            return _ENTITIES[match[0]]
        return _token(match[1], user_name, channel_name)

    def code(match: re.Match[str]) -> str:
        if match[1] is None:
            return _ENTITIES[match[0]]
        target, _, label = match[1].partition("|")
        return _decode(label or target if re.match(r"https?:|mailto:|tel:", target) else match[0])

    pieces = CODE.split(text)
    return "".join(_TOKEN.sub(code if i % 2 else word, piece) for i, piece in enumerate(pieces))


def _decode(text: str) -> str:
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], text)


def _token(token: str, user_name: _Names, channel_name: _Names) -> str:
    target, _, label = (_decode(part) for part in token.partition("|"))
    kind, name = target[:1], target[1:]
    if kind == "@":
        return "@" + (user_name(name) or label.removeprefix("@") or name)
    if kind == "#":
        return "#" + (label.removeprefix("#") or channel_name(name) or name)
    if kind == "!":
        return _command(name, label)
    if not label:
        return target.removeprefix("mailto:").removeprefix("tel:")
    bare = re.sub(r"^(?:https?://|mailto:|tel:)", "", target)
    if label in (target, bare, bare.rstrip("/")):
        return label  # Slack created the link from what the person typed
    return f"[{label}]({target})"


def _command(name: str, label: str) -> str:
    if name.startswith("date^"):
        return label or name
    if name.startswith("subteam^"):
        return "@" + (label.removeprefix("@") or name.removeprefix("subteam^"))
    return "@" + (label.removeprefix("@") or name)
