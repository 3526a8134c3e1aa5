"""Labels of links that name another address than the one the link leads to."""

import html
import re
import unicodedata
from contextlib import suppress
from urllib.parse import urlsplit

# Only this many characters of a label are searched.
_LONGEST = 2000
_MARKS = re.compile(r"[*_`~|]|\\(?=[!-/:-@\[-`{-~])")
_DOT = r"[.\u3002\uff0e\uff61]"
_ADDRESS = re.compile(
    rf"(?i)(?<![\w@.])(?:(?P<scheme>[a-z][a-z0-9+.-]{{1,15}}):/{{0,3}})?"
    rf"(?P<user>[^\s/?#@<>()\[\]]{{1,100}}@)?"
    rf"(?P<host>(?:[\w-]{{1,63}}{_DOT}){{1,10}}[\w-]{{2,63}})(?P<rest>[:/?#])?"
)
_SCHEMES = frozenset({"http", "https", "ftp", "ftps", "ws", "wss"})
# Endings of files that are top-level domains too: without a scheme or a path, `main.py` is a file.
_FILES = frozenset(
    {"cc", "cs", "js", "kt", "md", "ml", "mm", "mov", "pl", "pm", "ps", "py", "rs", "sh", "so", "ts", "zip"}
)


def misleads(label: str, target: str) -> bool:
    """Whether a link's label holds an address of another host than the link's target.

    `label` is Markdown. The same host with and without `www.`, and hosts of which one is within the other, are the same
    site. A name without scheme, `www.` or path that may be a file's (`main.py`) counts as none.
    """
    theirs = _host(target)
    if not theirs or label == target:
        return False
    text = unicodedata.normalize("NFKC", html.unescape(label[:_LONGEST]))
    text = "".join(each for each in text if unicodedata.category(each) not in ("Cf", "Cc") or each.isspace())
    return any(
        _is_address(found) and not _same_site(_plain(found["host"]), theirs)
        for found in _ADDRESS.finditer(_MARKS.sub("", text))
    )


def _is_address(found: re.Match[str]) -> bool:
    host = _plain(found["host"])
    if found["scheme"]:
        return found["scheme"].lower() in _SCHEMES
    if found["user"]:
        return False  # somebody's e-mail address
    if host.startswith("www."):
        return True
    last = host.rsplit(".", 1)[1]
    return len(last) >= 2 and not last.isdigit() and (last not in _FILES or found["rest"] == "/")


def _host(target: str) -> str:
    """The host of an address as a browser reads it; "" if it has none."""
    try:
        split = urlsplit(target.strip().replace("\\", "/"))
        host = split.hostname if split.scheme.lower() in _SCHEMES else None
    except ValueError:
        return "?"  # an address that can't be read is not the one that the label names
    return _plain(host) if host else ""


def _plain(host: str) -> str:
    host = re.sub(_DOT, ".", unicodedata.normalize("NFKC", host)).casefold().strip(".")
    if not host.isascii():
        with suppress(UnicodeError):
            host = host.encode("idna").decode()
    return host


def _same_site(one: str, other: str) -> bool:
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
