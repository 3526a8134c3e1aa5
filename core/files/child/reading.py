"""Reads one file from standard input, importing only what its kind needs, and writes what it found as JSON."""

import json
import re
import sys
from binascii import b2a_base64
from collections.abc import Callable

from core.files.child.decoding import decoded, prepare
from core.files.child.isolation import Budget, bound, give_back, seal
from core.files.child.lines import LONGEST_TEXT
from core.files.child.trouble import UnreadableFile
from core.files.kinds import FileKind, Trouble
from core.files.part import Part, cut
from core.text import harmless

_Found = tuple[FileKind, list[Part], str]
"""What a file is, its parts, and a sentence about what of it was not read."""

_STRUCK = re.compile("[^\b\n]\b")  # printers strike a letter twice to make it bold, and a line below it


def main(kind: str, memory: int, cpu: int, seconds: float) -> None:
    """Read a file of this kind in `memory` bytes, `cpu` seconds of CPU time and `seconds` of the clock."""
    bound(memory, cpu)
    try:
        answer = _answer(FileKind(kind), sys.stdin.buffer.read(), Budget(cpu, seconds))
    except UnreadableFile as error:
        answer = {"trouble": error.trouble}
    except MemoryError:
        answer = {"trouble": Trouble.MEMORY}
    except Exception:  # noqa: BLE001  whatever a parser trips over, the file is to blame
        answer = {"trouble": Trouble.DAMAGED}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())


def _answer(kind: FileKind, content: bytes, budget: Budget) -> dict[str, object]:
    """The fields of `_Answer` in reader.py."""
    if kind is FileKind.PICTURE:
        from core.files.child import picture

        seal()
        return {"kind": kind, "picture": b2a_base64(picture.read(content), newline=False).decode()}
    read = reader_of(kind, content, budget)
    seal()
    kind, parts, note = read()
    give_back()
    if not any(part.head.strip() for part in parts):
        raise UnreadableFile(Trouble.TIME if note else Trouble.NO_TEXT)
    return {"kind": kind, "parts": [_harmless(part) for part in parts], "note": harmless(note)}


def reader_of(kind: FileKind, content: bytes, budget: Budget) -> Callable[[], _Found]:
    """How to read it. Everything that reading needs is imported then, and no parser has seen the bytes yet."""
    if kind is FileKind.ZIP:
        from core.files.child.office import document

        return lambda: document.read(content, budget)
    if kind is FileKind.PDF:
        from core.files.child import pdf

        return lambda: (kind, *pdf.read(content, budget))
    prepare(content)
    if kind is FileKind.HTML:
        from core.files.child import html_page

        return lambda: (kind, *html_page.read(_text(content), budget))
    if kind in (FileKind.CSV, FileKind.TSV):
        from core.files.child import csv_table

        return lambda: (kind, *csv_table.read(_text(content), budget))
    return lambda: (kind, [cut(Part("", _text(content)), LONGEST_TEXT)], "")


def _text(content: bytes) -> str:
    if (text := decoded(content)) is None:
        raise UnreadableFile(Trouble.BINARY)
    return _STRUCK.sub("", text) if "\b" in text else text


def _harmless(part: Part) -> Part:
    title, head, tail, lines, characters = part
    return Part(harmless(title), harmless(head), harmless(tail), lines, characters)
