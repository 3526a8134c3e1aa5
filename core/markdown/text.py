"""Text as it can be sent: without half characters and nulls, and without what a platform would read as a fence."""

import re

UNSEEN = "\u200b"
"""An invisible character that keeps two others apart."""

_TICKS = re.compile("`{3,}")
_UNSOUND = re.compile("[\x00\ud800-\udfff]")


def sound(text: str) -> str:
    """The text with pairs of half characters joined; what neither JSON nor platforms accept becomes U+FFFD."""
    if not _UNSOUND.search(text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_fences(text: str) -> str:
    """The text with backticks that can't begin or end a block of code, however many are in a row."""
    return _TICKS.sub(lambda run: UNSEEN.join(run[0]), text)
