"""Languages and time zones, as people name them."""

import unicodedata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def language_name(text: str) -> str:
    """A language as it can stand in a sentence to the model. Raises ValueError: nobody can hide orders in it."""
    words = text.split()
    if not (1 <= len(words) <= 3 and len(" ".join(words)) <= 40 and all(map(_is_word, words))):
        raise ValueError("the name of a language: up to three words of letters, as in `German`")
    return " ".join(words)


def _is_word(word: str) -> bool:
    letters = word.strip("()").replace("-", "")
    return letters != "" and all(each.isalpha() or unicodedata.category(each)[0] == "M" for each in letters)


def timezone_name(text: str) -> str:
    """The name of a time zone, however its letters are written. Raises ValueError."""
    text = text.strip()
    titled = "/".join("_".join(word.capitalize() for word in part.split("_")) for part in text.split("/"))
    for name in (text, text.upper(), titled):
        # the library takes the path of no other file, and raises OSError for a folder
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    raise ValueError("the name of a time zone, as in `Europe/Berlin` or `UTC`")
