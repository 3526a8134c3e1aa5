"""Slack's dialect: standard Markdown as Slack's markdown block takes it, and Slack's own tokens as words."""

import re
from collections.abc import Callable

from bots.slack.mrkdwn import plain, to_mrkdwn
from core.inline import Atom, inline
from core.markdown import blocks

__all__ = ["LIMIT", "from_slack", "plain", "to_mrkdwn", "to_slack_markdown"]

LIMIT = 12_000
"""Characters of all markdown blocks of a message together (docs.slack.dev: blocks/markdown-block)."""

# What Slack reads as a mention, a date or a link of its own, in Markdown too (PostHog/posthog#95054).
_LIVE = re.compile(r"<(?=\\?(?:[@#]|!(?!--)))([^<>\n]*)(>?)|<([^<>|\n]*\|[^<>\n]*)>")
_DEFINITION = re.compile(r"(?m)^([ >]*\[[^\]\n]+\])(?=:\s*<?[!@])")
_LIVE_CODE = re.compile(r"<(?=[!@#]\w)")


def to_slack_markdown(markdown: str) -> str:
    """The text for a `markdown` block: as it is, but nothing in it pings, and images are links.

    In text the angles of a mention are escaped, which Slack shows as angles and does not read again; `&` is not, since
    addresses are not unescaped. In code, where an escape would show, a character nobody sees breaks the mention.
    """
    parts, at = [], 0
    for leaf in blocks(markdown).leaves:
        text = markdown[leaf.start : leaf.end]
        code = leaf.kind in ("fence", "code")
        parts += [_escape(markdown[at : leaf.start]), _defuse(text) if code else _text(text)]
        at = leaf.end
    return "".join([*parts, _escape(markdown[at:])])


def _text(text: str) -> str:
    parts, at = [], 0
    for atom in inline(text).atoms:
        parts += [_escape(text[at : atom.start]), _atom(atom, text[atom.start : atom.end])]
        at = atom.end
    return "".join([*parts, _escape(text[at:])])


def _atom(atom: Atom, text: str) -> str:
    match atom.kind:
        case "code":
            return _defuse(text)
        case "image":
            return _link(f"[{atom.label}]({atom.target})" if atom.label else atom.target, atom.target)
        case "link":
            images = [inner for inner in inline(atom.label).atoms if inner.kind == "image"]
            if images:
                label = " ".join(image.label for image in images if image.label) or "image"
                return _link(f"[{label}]({atom.target})", atom.target)
            return _link(text, atom.target)
    return _escape(text)


def _link(text: str, target: str) -> str:
    """A link; one to `!channel` or `@U…` would be a mention in Slack's own markup, and is shown as it is written."""
    return ("\\" if target[:1] in ("!", "@") else "") + _escape(text)


def _escape(text: str) -> str:
    def angles(match: re.Match[str]) -> str:
        if match[3] is not None:
            return f"&lt;{match[3]}&gt;"
        return f"&lt;{match[1]}{'&gt;' if match[2] else ''}"

    return _LIVE.sub(angles, _DEFINITION.sub(r"\1\\", text))


def _defuse(text: str) -> str:
    return _LIVE_CODE.sub("<\u200b", text)


CODE = re.compile(r"(?s)(```.*?```|`[^`\n]+`)")
_TOKEN = re.compile(r"<([^<>]+)>|&(?:amp|lt|gt);")
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_ENTITY = re.compile("|".join(_ENTITIES))
_Names = Callable[[str], str | None]


def from_slack(text: str, user_name: _Names, channel_name: _Names) -> str:
    """A message's text in words: mentions by name, links as Markdown, entities decoded once.

    The callables give the name of an id, None where it is not known. In code only what Slack itself put there is taken
    back: its entities, and the angles around addresses (docs.slack.dev/messaging/formatting-message-text).
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
        return label  # Slack made the link out of what was typed
    return f"[{label}]({target})"


def _command(name: str, label: str) -> str:
    if name.startswith("date^"):
        return label or name
    if name.startswith("subteam^"):
        return "@" + (label.removeprefix("@") or name.removeprefix("subteam^"))
    return "@" + (label.removeprefix("@") or name)


def appendable(markdown: str, *, final: bool) -> str:
    return to_slack_markdown(markdown)
