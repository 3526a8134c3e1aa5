"""Variables in a system prompt: `{date}`, `{channel}` and `{bot}`; whatever else is in braces stays as it is."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.text import BRACKETS, one_line

# Not so within further braces, as in a template that the prompt is about.
_VARIABLE = re.compile(r"(?<!\{)\{(date|channel|bot)\}(?!\})")
_LONGEST = 100  # characters of a name
DIRECT = "a direct message"
"""The channel where there is none."""
_UNKNOWN = "this channel"


def has_channel(prompt: str) -> bool:
    """Whether the name of the channel is needed."""
    return any(match[1] == "channel" for match in _VARIABLE.finditer(prompt))


def filled(prompt: str, *, now: float, timezone: str, channel: str, bot: str) -> str:
    """The prompt with values in place of its variables. `now`: epoch seconds; the date is the day in this time zone,
    so that a server can keep what it knows of the prompt until midnight. `channel`, `bot`: names, made harmless."""
    values: Mapping[str, str] = {
        "date": datetime.fromtimestamp(now, _zone(timezone)).date().isoformat(),
        "channel": _name(channel) or _UNKNOWN,
        "bot": _name(bot) or "Nebula",
    }
    # In one pass: a name that looks like a variable is not replaced once more.
    return _VARIABLE.sub(lambda match: values[match[1]], prompt)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # known where it was set, but not on this machine
        return UTC


def _name(name: str) -> str:
    return one_line(name, _LONGEST).translate(BRACKETS)
