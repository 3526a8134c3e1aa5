"""Which version of the program runs: its number, and a mark of its sources, since several may have the same number."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[1]


@cache
def running() -> str:
    """The version, such as `0.1.0+3f9a2c81`; without the mark where a source can't be read. It reads them all, once."""
    try:
        number = version("nebula-bot")
    except PackageNotFoundError:
        number = "0"
    mark = hashlib.sha256()
    try:
        for folder in ("bots", "core"):
            for path in sorted((_ROOT / folder).rglob("*")):
                if path.suffix in (".py", ".lua"):
                    mark.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    except OSError:  # an editor's link that leads nowhere, or an update that is under way
        return number
    return f"{number}+{mark.hexdigest()[:8]}"
