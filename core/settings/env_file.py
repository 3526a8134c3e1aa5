"""Reads a .env: its values, and sentences about what can't be read in it, none of which quotes a value."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from core.finding import Finding, bad, note

NAME = ".env"
_ENCODING = "utf-8-sig"  # some editors begin a file with a byte order mark
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# No run of letters or digits is as long as that of a secret.
_NAME = re.compile(r"[A-Z]{1,24}(_[A-Z]{1,24}|_?[0-9]{1,3})*")
# What people call the file by mistake, or what an editor makes of its name.
_OTHERS = (".env.txt", "env", "env.txt", ".env.local", ".env.example.txt", "_env")


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A .env as it was read. `path`: where it is, or was looked for, None if nobody looked. `values`: by their names in
    upper case; a later one counts more. `problems`: sentences, for which the bot must not start."""

    path: Path | None = None
    found: bool = False
    values: Mapping[str, str] | None = None
    problems: tuple[str, ...] = ()
    doubts: tuple[Finding, ...] = ()


def read_env_file(path: Path | None) -> EnvFile:
    """Read a .env; never raises. It is no problem if there is none."""
    if path is None:
        return EnvFile()
    path = path.absolute()
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return _unreadable(path, "it is no file")
        data = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            return _unreadable(path, "it is a link that leads nowhere")
        return EnvFile(path)
    except OSError as error:
        return _unreadable(path, error.strerror or type(error).__name__)
    try:
        text = data.decode(_ENCODING)
        if "\0" in text:
            raise UnicodeDecodeError(_ENCODING, data, 0, 1, "NUL")
    except UnicodeDecodeError:
        kind = " (it is in UTF-16, as some shells of Windows write)" if data.startswith(_UTF_16) else ""
        return EnvFile(path, True, problems=(f"{path} is not in UTF-8{kind}: save it anew in this encoding.",))
    lines = [line for line in parse_stream(StringIO(text)) if line.key or line.error]
    broken = [line for line in lines if line.error or line.value is None]
    readable = "".join(line.original.string for line in lines if line not in broken)
    values = dotenv_values(stream=StringIO(readable))
    return EnvFile(
        path,
        True,
        {name.upper(): value.strip() for name, value in values.items() if value is not None},
        tuple(f"Line {_number(line)} of {path} can't be read: write NAME=value." for line in broken),
        (*_open_to_others(path, mode), *_repeated(path, lines)),
    )


def shown(name: str) -> str:
    """A name for people, or words in its place: where a line is broken, a part of a secret stands before the `=`."""
    return name if _NAME.fullmatch(name) else "what stands before the ="


def elsewhere(path: Path, more: Path) -> Path | None:
    """Where else there is a .env, or a file that is probably meant to be one: beside `path`, above it, or in `more`."""
    candidates = [path.parent / name for name in _OTHERS]
    candidates += [folder / NAME for folder in (*path.parent.parents, more)]
    return next((each for each in candidates if each != path and os.path.isfile(each)), None)


def _unreadable(path: Path, why: str) -> EnvFile:
    return EnvFile(path, True, problems=(f"{path} can't be read ({why}): it must be a file that the bot may read.",))


def _number(line: Binding) -> int:
    """The number of a line: the parser counts blank lines before it as a part of it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _open_to_others(path: Path, mode: int) -> tuple[Finding, ...]:
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ()
    kind = f"{path} has the mode {stat.S_IMODE(mode):o}: other users of this machine may be able to read its secrets"
    return (bad(NAME, kind, f"chmod 600 {path}"),)


def _repeated(path: Path, lines: list[Binding]) -> tuple[Finding, ...]:
    """Names that have several values."""
    found: dict[str, list[Binding]] = {}
    for line in lines:
        if line.key:
            found.setdefault(line.key.upper(), []).append(line)
    return tuple(
        note(
            NAME,
            f"{shown(name)} is set several times in {path}, "
            f"in the lines {', '.join(str(_number(line)) for line in several)}",
            "keep one of them: the last one counts",
        )
        for name, several in found.items()
        if len({line.value for line in several}) > 1
    )
