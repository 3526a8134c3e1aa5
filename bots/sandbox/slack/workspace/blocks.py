"""Checks blocks and views as Slack does, with Slack's limits and error codes."""

import copy
from collections.abc import Callable
from typing import Any

from bots.sandbox.slack.workspace.text import flat
from bots.sandbox.slack.workspace.values import Json

MARKDOWN_LIMIT = 12_000  # characters, over all markdown blocks of a payload (reference/block-kit/blocks/markdown-block)
_SEE = "[json-pointer:/blocks]"


class SlackRefusal(Exception):
    """Slack's `{"ok": false}` answer with its error code."""

    def __init__(self, code: str, *details: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details
        self.extra = extra

    def body(self) -> Json:
        """The answer's JSON body."""
        body: Json = {"ok": False, "error": self.code, **self.extra}
        if self.details:
            body["errors"] = list(self.details)
            body["response_metadata"] = {"messages": [f"[ERROR] {detail}" for detail in self.details]}
        return body


def checked_blocks(blocks: Any, *, most: int = 50, too_many: str = "invalid_blocks", home: bool = False) -> list[Json]:
    """A copy of the blocks, each with a block_id. Raises SlackRefusal: invalid_blocks, or msg_too_long for Markdown."""
    if not isinstance(blocks, list):
        raise SlackRefusal("invalid_blocks", f"must be an array {_SEE}")
    if len(blocks) > most:
        raise SlackRefusal(too_many, f"no more than {most} items allowed {_SEE}")
    copied: list[Json] = copy.deepcopy(blocks)
    seen: set[str] = set()
    for number, block in enumerate(copied):
        where = f"[json-pointer:/blocks/{number}]"
        _need(isinstance(block, dict) and isinstance(block.get("type"), str), "missing type", where)
        check = _CHECKS.get(block["type"])
        _need(check is not None, f"unsupported type: {block['type']}", where)
        _need(not (home and block["type"] == "markdown"), "unsupported type: markdown", where)
        assert check is not None
        check(block, where)
        block.setdefault("block_id", f"b{number}")
        _need(isinstance(block["block_id"], str) and len(block["block_id"]) <= 255, "invalid block_id", where)
        _need(block["block_id"] not in seen, f"block_id {block['block_id']} already exists", where)
        seen.add(block["block_id"])
    if sum(len(block["text"]) for block in copied if block["type"] == "markdown") > MARKDOWN_LIMIT:
        raise SlackRefusal(
            "msg_too_long", f"markdown blocks hold more than {MARKDOWN_LIMIT} characters together {_SEE}"
        )
    return copied


def checked_view(view: Any) -> Json:
    """A copy of a modal or home view. Raises SlackRefusal with invalid_arguments."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        raise SlackRefusal("invalid_arguments", "invalid view type [json-pointer:/view/type]")
    try:
        if view["type"] == "modal":
            _text(view.get("title"), "[json-pointer:/view/title]", 24, ("plain_text",))
            for name in ("submit", "close"):
                if name in view:
                    _text(view[name], f"[json-pointer:/view/{name}]", 24, ("plain_text",))
        _need(len(view.get("private_metadata", "")) <= 3000, "private_metadata over 3000", "[json-pointer:/view]")
        _need(len(view.get("callback_id", "")) <= 255, "callback_id over 255", "[json-pointer:/view]")
        blocks = checked_blocks(view.get("blocks"), most=100, home=True)
        has_input = any(block["type"] == "input" for block in blocks)
        _need(not has_input or "submit" in view, "submit is needed with input blocks", "[json-pointer:/view]")
    except SlackRefusal as refusal:
        raise SlackRefusal("invalid_arguments", *refusal.details) from None
    return {**copy.deepcopy(view), "blocks": blocks}


def _need(holds: bool, complaint: str, where: str) -> None:
    if not holds:
        raise SlackRefusal("invalid_blocks", f"{complaint} {where}")


def _length(value: Any, where: str, most: int, least: int = 1) -> None:
    _need(isinstance(value, str), "must be a string", where)
    _need(len(value) >= least, f"must be more than {least - 1} characters", where)
    _need(len(value) <= most, f"must be less than {most + 1} characters", where)


def _text(value: Any, where: str, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
    _need(isinstance(value, dict) and value.get("type") in kinds, f"must be a text object: {' or '.join(kinds)}", where)
    _length(value.get("text"), where, most)


def _items(block: Json, name: str, where: str, most: int, least: int = 1) -> list[Any]:
    items = block.get(name)
    _need(isinstance(items, list) and least <= len(items) <= most, f"{name}: {least} to {most} items", where)
    assert isinstance(items, list)
    return items


def _section(block: Json, where: str) -> None:
    _need("text" in block or "fields" in block, "text or fields needed", where)
    if "text" in block:
        _text(block["text"], where, 3000)
    if "fields" in block:
        for field in _items(block, "fields", where, 10):
            _text(field, where, 2000)
    if "accessory" in block:
        _element(block["accessory"], where)


def _context(block: Json, where: str) -> None:
    for item in _items(block, "elements", where, 10):
        _need(isinstance(item, dict), "must be an object", where)
        if item.get("type") != "image":
            _text(item, where, 3000)


def _actions(block: Json, where: str) -> None:
    most = 25 if block["type"] == "actions" else 5
    elements = _items(block, "elements", where, most)
    for item in elements:
        _element(item, where)
    ids = [item["action_id"] for item in elements if "action_id" in item]
    _need(len(ids) == len(set(ids)), "action_id must be unique in its block", where)


def _element(item: Any, where: str) -> None:
    _need(isinstance(item, dict) and isinstance(item.get("type"), str), "missing type", where)
    _length(item.get("action_id", "-"), where, 255)
    if item["type"] == "button":
        _text(item.get("text"), where, 75, ("plain_text",))
        _length(item.get("value", ""), where, 2000, 0)
        _need(item.get("style", "primary") in ("primary", "danger"), "invalid style", where)
        _length(item.get("url", ""), where, 3000, 0)
    if item["type"] == "feedback_buttons":
        for name in ("positive_button", "negative_button"):
            button = item.get(name)
            _need(isinstance(button, dict), f"{name} needed", where)
            assert isinstance(button, dict)
            _text(button.get("text"), where, 75, ("plain_text",))
            _length(button.get("value"), where, 2000)
    for option in item.get("options", ()):
        _text(option.get("text"), where, 75)
        _length(option.get("value"), where, 150)


def _input(block: Json, where: str) -> None:
    _text(block.get("label"), where, 2000, ("plain_text",))
    element = block.get("element")
    _element(element, where)
    assert isinstance(element, dict)
    element.setdefault("action_id", "a")
    if "placeholder" in element:
        _text(element["placeholder"], where, 150, ("plain_text",))
    _need(element.get("max_length", 1) <= 3000, "max_length over 3000", where)
    _length(element.get("initial_value", ""), where, element.get("max_length", 3000), 0)
    if "hint" in block:
        _text(block["hint"], where, 2000, ("plain_text",))


def _table(block: Json, where: str) -> None:
    for row in _items(block, "rows", where, 100):
        _need(isinstance(row, list) and 1 <= len(row) <= 20, "1 to 20 cells in a row", where)
        for cell in row:
            # an empty cell is refused; a space is accepted (CHANGELOG of vercel's adapter-slack, 4.24.0)
            _need(bool(flat(cell, {})), "empty cell", where)


def _pass(block: Json, where: str) -> None:
    """Nothing more to check."""


_CHECKS: dict[str, Callable[[Json, str], None]] = {
    "section": _section,
    "context": _context,
    "actions": _actions,
    "context_actions": _actions,
    "input": _input,
    "table": _table,
    "header": lambda block, where: _text(block.get("text"), where, 150, ("plain_text",)),
    "markdown": lambda block, where: _length(block.get("text"), where, MARKDOWN_LIMIT),
    "image": lambda block, where: _length(block.get("alt_text"), where, 2000),
    "rich_text": lambda block, where: _need(isinstance(block.get("elements"), list), "elements needed", where),
    **dict.fromkeys(("divider", "data_table", "video", "file", "call", "plan", "task_card"), _pass),
}
