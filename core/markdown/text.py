"""Text as it can be sent: without characters that do harm, and without what a platform would read as a fence."""

import re

from core.text import harmless

sound = harmless
"""Every dialect shows this of a text."""

UNSEEN = "\u200b"
"""An invisible character that keeps two others apart."""

_TICKS = re.compile("`{3,}")


def without_fences(text: str) -> str:
    """The text with backticks that can't begin or end a block of code, however many are in a row."""
    return _TICKS.sub(lambda run: UNSEEN.join(run[0]), text)
