"""How responses word a value and where it comes from, so that no text in them becomes a link, a ping or markup."""

import re
import time

from core.settings.parameters import Layer, Origin
from core.text import as_code

_MARKS = re.compile(r"[\[\]()<>*_`~|@]")


def came_from(origin: Origin) -> str:
    """Where a value comes from."""
    match origin.layer:
        case Layer.DEFAULT:
            return "the default"
        case Layer.ENVIRONMENT:
            return "from the bot's configuration"
        case Layer.QUESTION:
            return "chosen for this question"
        case Layer.PERSON:
            return f"your own default since {day(origin.at)}"
    who = f" by {plain(origin.by)} on {day(origin.at)}" if origin.by else ""  # an older version may not say
    where = origin.where or str(origin.layer)
    if origin.preset:
        return f"from the preset `{origin.preset}` of this {where}, saved{who}"
    return f"set for this {where}{who}"


def day(at: float) -> str:
    """A time (epoch seconds) as its day."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def plain(name: str) -> str:
    """A name of a person that becomes neither a link nor a ping."""
    return _MARKS.sub("", name)


def brief(value: object) -> str:
    """The beginning of a value, as code within a line."""
    line = as_code(" ".join(as_text(value).split()))
    return f"`{line if len(line) <= 120 else line[:119] + '…'}`"


def fenced(text: str) -> str:
    """Put any text in a code block, with a fence longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def unset(parameter: str) -> str:
    """Who chooses the value of a parameter that has none."""
    return f"left to the {'model' if parameter == 'language' else 'server'}"


def shown(parameter: str, value: object) -> str:
    """The end of a sentence that names a value: a longer text in a block of its own, anything else in the line."""
    if value is None:
        return f": {unset(parameter)}."
    text = as_text(value)
    return f":\n\n{fenced(text)}" if _needs_block(text) else f": `{text}`"


def in_effect(parameter: str, value: object, origin: Origin) -> str:
    """A sentence with the value that counts here and where it comes from."""
    if value is None:
        return f"The value is {unset(parameter)} ({came_from(origin)})."
    text = as_text(value)
    if _needs_block(text):
        return f"The value in effect ({came_from(origin)}) is:\n\n{fenced(text)}"
    return f"The value in effect is `{text}` ({came_from(origin)})."


def as_text(value: object) -> str:
    """A value as people write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _needs_block(text: str) -> bool:
    return len(text) > 60 or "\n" in text or "`" in text
