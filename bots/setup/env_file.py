"""Changes a .env: sets variables in it, and keeps every other line, comment and order."""

import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from dotenv.parser import parse_stream

from core.domain.errors import NebulaBotError

_PLAIN = re.compile(r"[\w./:@+,=-]*", re.ASCII)


def text_of(path: Path) -> str:
    """The text of a .env that can be read, "" if there is none."""
    return path.read_bytes().decode("utf-8-sig") if path.exists() else ""


def merged(text: str, changes: Mapping[str, str]) -> str:
    """The text with these variables set: where each is set already, else below its line in a comment (`# NAME=`), else
    at the end."""
    end = "\r\n" if "\r\n" in text else "\n"
    left, pieces = dict(changes), []
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    set_already = {(each.key or "").upper() for each in bindings}  # the bot reads names in any case
    for each in bindings:
        piece = each.original.string
        if each.key and (name := each.key.upper()) in changes:
            before = piece[: piece.index(each.key)].removesuffix("'")  # blank lines, and perhaps `export`
            piece = f"{before}{each.key}={_quoted(changes[name])}{end}"
            left.pop(name, None)
        elif each.key is None:
            piece = _uncommented(piece, left, set_already, end)
        pieces.append(piece)
    whole = "".join(pieces)
    if left and whole and not whole.endswith("\n"):
        whole += end
    return whole + "".join(f"{name}={_quoted(value)}{end}" for name, value in left.items())


def write(path: Path, text: str) -> None:
    """Replace the file in one step; only its owner may read it. Raises NebulaBotError, with the old file in place."""
    path = path.resolve()  # a link stays one
    name = ""
    try:
        number, name = mkstemp(prefix=".env.", dir=path.parent)  # of mode 0600
        with open(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        if path.exists() and os.geteuid() == 0:  # whoever runs the bot must be able to read it
            os.chown(name, path.stat().st_uid, path.stat().st_gid)
        os.replace(name, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(name)
        raise NebulaBotError(f"{path} can't be written ({error.strerror}).") from None


def _uncommented(piece: str, left: dict[str, str], set_already: set[str], end: str) -> str:
    """A piece of comments; a line `# NAME=…` becomes the variable, and what it was for stays above."""
    lines = []
    for line in piece.splitlines(keepends=True):
        found = re.match(r"#\s?([A-Z_]+)=", line)
        if found and found[1] in left and found[1] not in set_already:
            line = f"{found[1]}={_quoted(left.pop(found[1]))}{end}"
        lines.append(line)
    return "".join(lines)


def _quoted(value: str) -> str:
    """A value as .env has it."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
