"""The arguments of one Web API call, in any encoding."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bots.sandbox.slack.workspace.blocks import SlackRefusal


class Args:
    """Arguments by name. Forms and JSON bodies give the same result."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = {name: value for name, value in raw.items() if value is not None}

    @classmethod
    async def of(cls, request: web.Request) -> "Args":
        """The arguments in query and body. Raises SlackRefusal with invalid_json or invalid_form_data."""
        raw: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            try:
                body = json.loads(await request.text() or "{}")
            except ValueError:
                raise SlackRefusal("invalid_json") from None
            if not isinstance(body, dict):
                raise SlackRefusal("json_not_object")
            raw |= body
        elif request.method == "POST":
            try:
                raw |= dict(await request.post())
            except ValueError:
                raise SlackRefusal("invalid_form_data") from None
        return cls(raw)

    def has(self, name: str) -> bool:
        """Whether the argument was given and is not empty."""
        return self.raw.get(name) not in (None, "", [])

    def text(self, name: str) -> str:
        """A string, "" when missing."""
        value = self.raw.get(name, "")
        return value if isinstance(value, str) else str(value)

    def needed(self, name: str) -> str:
        """A required string. Raises SlackRefusal with invalid_arguments."""
        if not self.has(name):
            raise SlackRefusal("invalid_arguments", f"missing required field: {name}")
        return self.text(name)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean; forms say 1, 0, true or false."""
        value = self.raw.get(name, default)
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes")

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        text = self.text(name)
        return int(text) if text.isdigit() else default

    def json(self, name: str, error: str) -> Any:
        """A list or object, in a form as JSON text. Raises SlackRefusal with `error` when it can't be read."""
        value = self.raw.get(name)
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise SlackRefusal(error, f"{name} is not JSON") from None
        return value
