"""Text as it can be sent: half characters and the null, which neither JSON nor platforms hold, become U+FFFD."""

import re

_UNSOUND = re.compile("[\x00\ud800-\udfff]")


def sound(text: str) -> str:
    """The text with pairs of half characters joined, and what can't be sent replaced."""
    if not _UNSOUND.search(text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
