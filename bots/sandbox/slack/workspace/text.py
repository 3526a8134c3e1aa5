"""Texts in Slack's client: what a person reads, whom a text pings, and what the client sends for typed text."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_TEXT_TYPES = ("markdown", "mrkdwn", "plain_text")

_FENCE = re.compile(
    r"^[ \t>]*(`{3,}(?=[^`\n]*$)|~{3,})[^\n]*(?:\n.*?)??(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_MRKDWN_CODE = re.compile(r"```.+?```|`[^`\n]+`", re.DOTALL)
_PING = re.compile(r"<!(?:channel|here|everyone)(?:\|[^>\n]*)?>|<@[UW][A-Z0-9]+(?:\|[^>\n]*)?>|<!subteam\^S[^>\n]*>")
_TOKEN = re.compile(r"<([^<>\n]+)>|&(lt|gt|amp);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}
_PLAIN_PING = re.compile(r"(?<![\w<])@(?:channel|here|everyone)\b")
_URL = re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)\]'\"]")


def escape(text: str) -> str:
    """The three entities that Slack's markup needs (docs.slack.dev, formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def outside_code(text: str, change: Callable[[str], str], *, markdown: bool = True) -> str:
    """The text with `change` applied to everything that is not code."""
    patterns = (_FENCE, _SPAN) if markdown else (_MRKDWN_CODE,)

    def walk(part: str, rest: tuple[re.Pattern[str], ...]) -> str:
        if not rest:
            return change(part)
        done, end = [], 0
        for match in rest[0].finditer(part):
            done += [walk(part[end : match.start()], rest[1:]), match[0]]
            end = match.end()
        return "".join([*done, walk(part[end:], rest[1:])])

    return walk(text, patterns)


def live_pings(text: str, *, markdown: bool, parse: str = "none") -> tuple[str, ...]:
    """Everything in the text that notifies people. A plain `@channel` does so only with parse=full."""
    found: list[str] = []

    def collect(part: str) -> str:
        found.extend(_PING.findall(part))
        if parse == "full":
            found.extend(_PLAIN_PING.findall(part))
        return part

    outside_code(text, collect, markdown=markdown)
    return tuple(found)


def readable(text: str, names: Mapping[str, str], *, markdown: bool) -> str:
    """The text as a client shows it: ids as names, links unwrapped, entities decoded.

    In mrkdwn entities are decoded everywhere; in Markdown not inside code, where CommonMark shows them as written.
    """

    def replace(match: re.Match[str]) -> str:
        token, entity = match[1], match[2]
        if entity:
            return _ENTITIES[entity]
        target, _, label = token.partition("|")
        if target[:1] == "@":
            return "@" + names.get(target[1:], label or target[1:])
        if target[:1] == "#":
            return "#" + (label or names.get(target[1:], target[1:]))
        if target[:1] == "!":
            return label or "@" + target[1:].partition("^")[0]
        if re.match(r"(https?|mailto|tel):", target):
            return f"[{label}]({target})" if label else target
        return match[0]

    def decode(part: str) -> str:
        return _TOKEN.sub(replace, part)

    return outside_code(text, decode) if markdown else decode(text)


def typed(text: str, people: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """The text that the client sends when a person types this: with entities, and with ids for names outside code.

    `people` and `channels` map names to ids.
    """
    handles = {name.lower(): f"<@{user}>" for name, user in people.items()}
    handles |= {word: f"<!{word}>" for word in ("here", "channel", "everyone")}
    rooms = {name.lower(): f"<#{channel}|{name}>" for name, channel in channels.items() if name}

    def link(part: str) -> str:
        part = _URL.sub(lambda match: f"<{match[0]}>", part)
        part = _names("@", handles).sub(lambda match: handles[match[1].lower()], part)
        return _names("#", rooms).sub(lambda match: rooms[match[1].lower()], part)

    return outside_code(escape(text), link)


def _names(sign: str, names: Iterable[str]) -> re.Pattern[str]:
    # longest first, so that "ann marie" is not taken for "ann"
    choice = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"(?<![\w<{sign}/])" + sign + rf"({choice})(?![\w])", re.IGNORECASE)


def rich_text(text: str) -> list[dict[str, Any]]:
    """A small rich_text block for a person's message, as the events carry it beside the text."""
    elements: list[dict[str, Any]] = []
    for part in re.split(r"(<@[UW][A-Z0-9]+>)", text):
        if match := re.fullmatch(r"<@([UW][A-Z0-9]+)>", part):
            elements.append({"type": "user", "user_id": match[1]})
        elif part:
            elements.append({"type": "text", "text": readable(part, {}, markdown=False)})
    section = {"type": "rich_text_section", "elements": elements}
    return [{"type": "rich_text", "block_id": "rich", "elements": [section]}]


def shown_blocks(blocks: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """The Markdown that a person reads in the blocks, without their buttons."""
    parts = [_block_text(block, names) for block in blocks]
    return "\n\n".join(part for part in parts if part)


def block_pings(blocks: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every live ping in the texts of the blocks."""
    found: list[str] = []
    for block in blocks:
        for kind, text in texts(block):
            if kind != "plain_text":
                found.extend(live_pings(text, markdown=kind == "markdown"))
    return tuple(found)


def texts(value: Any) -> list[tuple[str, str]]:
    """Every text object or markdown block in the value, with its type."""
    if isinstance(value, list):
        return [found for item in value for found in texts(item)]
    if not isinstance(value, Mapping):
        return []
    if value.get("type") in _TEXT_TYPES and isinstance(value.get("text"), str):
        return [(value["type"], value["text"])]
    if value.get("type") == "user" and "user_id" in value:
        return [("mrkdwn", f"<@{value['user_id']}>")]
    if value.get("type") == "broadcast":
        return [("mrkdwn", f"<!{value.get('range')}>")]
    if value.get("type") == "usergroup":
        return [("mrkdwn", f"<!subteam^{value.get('usergroup_id')}>")]
    return [found for item in value.values() for found in texts(item)]


def _block_text(block: Mapping[str, Any], names: Mapping[str, str]) -> str:
    match block.get("type"):
        case "markdown":
            return readable(block["text"], names, markdown=True)
        case "divider":
            return "---"
        case "image":
            return f"[image: {block.get('alt_text', '')}]"
        case "actions" | "context_actions" | "input":
            return ""
        case "rich_text":
            return flat(block, names)
        case "context":
            return " ".join(readable(text, names, markdown=False) for _, text in texts(block["elements"]))
        case "section":
            said = texts(block.get("text")) + texts(block.get("fields"))
            return "\n".join(readable(text, names, markdown=False) for _, text in said)
        case "table" | "data_table":
            rows = (" | ".join(flat(cell, names) for cell in row) for row in block.get("rows", []))
            return "\n".join(f"| {row} |" for row in rows)
        case _:
            return "\n".join(readable(text, names, markdown=False) for _, text in texts(block))


def flat(value: Any, names: Mapping[str, str]) -> str:
    """The text of a rich_text block or of a table cell."""
    if isinstance(value, list):
        return "".join(flat(item, names) for item in value)
    if not isinstance(value, Mapping):
        return ""
    match value.get("type"):
        case "user":
            return "@" + names.get(value["user_id"], value["user_id"])
        case "broadcast":
            return f"@{value['range']}"
        case "channel":
            return "#" + names.get(value["channel_id"], value["channel_id"])
        case "link":
            return f"[{value['text']}]({value['url']})" if value.get("text") else str(value["url"])
        case "emoji":
            return f":{value['name']}:"
        case _:
            return str(value["text"]) if isinstance(value.get("text"), str) else flat(value.get("elements"), names)
