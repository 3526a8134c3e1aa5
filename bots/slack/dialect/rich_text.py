"""Writes blocks as the markup of a message's text, for messages that have blocks alone."""

from collections.abc import Mapping
from typing import Any

from bots.slack.dialect.mrkdwn import escape

# Slack nests lists and quotes a few levels deep; what is deeper or longer than a message can be is left out.
_DEEPEST, _MOST_ELEMENTS, _LONGEST = 8, 5_000, 40_000


def text_of(blocks: Any) -> str:
    """Return the words of blocks of any form (docs.slack.dev/reference/block-kit/blocks), "" if there are none."""
    left = [_MOST_ELEMENTS]
    return "\n".join(filter(None, (_written(block, left, 0) for block in _list(blocks)))).strip()[:_LONGEST]


def quoted(title: str, text: str) -> str:
    """Return a text in markup as a quotation under a title in plain words."""
    lines = "\n".join(f"> {line}" for line in text[:_LONGEST].split("\n"))
    return f"{escape(title)}:\n{lines}"


def _written(element: Any, left: list[int], depth: int) -> str:
    """Return one block or element. `left`: how many more may be looked at."""
    left[0] -= 1
    if not isinstance(element, dict) or left[0] < 0 or depth > _DEEPEST:
        return ""
    inner = [_written(each, left, depth + 1) for each in _list(element.get("elements"))]
    match element.get("type"):
        case "rich_text_section":
            return "".join(inner)
        case "rich_text_list":
            ordered = element.get("style") == "ordered"
            return "\n".join(f"{f'{number}.' if ordered else '•'} {each}" for number, each in enumerate(inner, 1))
        case "rich_text_quote":
            return "\n".join(f"> {line}" for line in "".join(inner).split("\n"))
        case "rich_text_preformatted":
            return f"```\n{''.join(inner)}\n```"
        case "section" | "header" | "markdown":
            text = element.get("text")
            written = _string(text, "text") if isinstance(text, dict) else _string(element, "text")
            mrkdwn = isinstance(text, dict) and text.get("type") == "mrkdwn"
            return written if mrkdwn else escape(written)
        case "text":
            text = escape(_string(element, "text"))
            style = element.get("style")
            return f"`{text}`" if isinstance(style, dict) and style.get("code") and text.strip() else text
        case "user":
            return f"<@{_string(element, 'user_id')}>"
        case "channel":
            return f"<#{_string(element, 'channel_id')}>"
        case "usergroup":
            return f"<!subteam^{_string(element, 'usergroup_id')}>"
        case "broadcast":
            return f"<!{_string(element, 'range')}>"
        case "link":
            address, label = _string(element, "url"), _string(element, "text")
            return f"<{escape(address)}|{escape(label)}>" if label else f"<{escape(address)}>"
        case "emoji":
            return f":{_string(element, 'name')}:"
        case "date":
            return escape(_string(element, "fallback"))
        case _:
            return "\n".join(filter(None, inner))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(element: Mapping[str, Any], field: str) -> str:
    found = element.get(field)
    return found if isinstance(found, str) else ""
