"""Strings that can do no harm: without control characters and half characters, on one line where that matters, and
without what a platform would read as a fence."""

import re

# What a text may have besides printable characters: \n and \t. All others of C0 and C1 drive terminals (ECMA-48), and
# two characters turn the direction of letters round, so that people read another text than programs do
# (unicode.org/reports/tr36, Bidirectional Text Spoofing). Half characters can't be sent at all.
_HARM = re.compile("\r\n?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")
_HALVES = re.compile("[\ud800-\udfff]")
# In a name, everything that changes the direction of what follows.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_KEPT = "\n\t"

BRACKETS = str.maketrans("<>[]", "‹›()")
"""For a stranger's name: it then ends no bracket, and begins no mark of a chat template."""

# Unseen in a file's name, or they turn the direction of what follows; and what would end a quotation of it.
_MARKS = re.compile("[\u061c\u200b-\u200f\u2060\ufeff]")
_DEFUSED = str.maketrans('"<>`[]', "'‹›'()")
_LONGEST_FILE_NAME = 100

_TICKS = re.compile("`{3,}")

UNSEEN = "\u200b"
"""An invisible character that keeps two others apart."""

# The most characters of a name.
LONGEST_NAME = 200


def harmless(text: str) -> str:
    """Return the text with pairs of half characters joined, \\n for \\r\\n, and without other control characters. Lone
    half characters, and NUL as in CommonMark, become U+FFFD. For a growing text, the result grows as well."""
    if not _HARM.search(text):
        return text
    if _HALVES.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _HARM.sub(_replacement, text)


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a name of a person, file or channel as it can stand within a sentence: harmless, on one line, with at most
    `longest` characters."""
    # a name may be as long as a message: look at no more of it than can be shown
    line = " ".join(_DIRECTIONS.sub("", harmless(text[: 10 * longest])).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def file_name(name: str) -> str:
    """Return the name of a stranger's file as it can stand in a sentence or a quotation: on one line, without folders,
    and without what could end a quotation or a bracket or turn the direction of letters round."""
    last = re.split(r"[/\\]", one_line(_MARKS.sub("", name), len(name)))[-1]
    return one_line(last, _LONGEST_FILE_NAME).translate(_DEFUSED).strip(" .") or "a file without a name"


def escaped(text: str, *, lines: bool = False) -> str:
    """Return the text with control characters written out (`\\x1b`), for a log. `lines`: keep \\n and \\t."""
    if not _UNPRINTABLE.search(text):
        return text

    def written(match: re.Match[str]) -> str:
        return match[0] if lines and match[0] in _KEPT else match[0].encode("unicode_escape").decode()

    return _UNPRINTABLE.sub(written, text)


def _replacement(match: re.Match[str]) -> str:
    if match[0].startswith("\r"):
        return "\n"
    return "\ufffd" if match[0] == "\x00" else ""


def without_fences(text: str) -> str:
    """Return the text with backticks that can't begin or end a block of code, however many are in a row."""
    return _TICKS.sub(lambda run: UNSEEN.join(run[0]), text)


def as_code(text: str) -> str:
    """Return the text as it can stand between backticks: it must not end the code."""
    return text.replace("`", "'")
