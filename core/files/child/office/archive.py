"""Opens a document that is a zip archive of XML; no part of it may unpack to more than its share, or declare entities.

The standard library reads it several times faster than python-docx, python-pptx and openpyxl, and as a stream: what is
read takes as much memory as what is kept of it.
"""

import codecs
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from xml.parsers import expat

from core.files.child.isolation import Budget
from core.files.child.trouble import UnreadableFile
from core.files.kinds import FileKind, Trouble

_MOST_UNPACKED = 150_000_000  # bytes of one part
_PIECE = 65_536  # bytes
_MAIN_PARTS = {
    "word/document.xml": FileKind.DOCX,
    "xl/workbook.xml": FileKind.XLSX,
    "ppt/presentation.xml": FileKind.PPTX,
}
_BIN = "xl/workbook.bin"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of these alone an unpacker's memory does not depend on the data

codecs.lookup("cp437")  # of names in archives; nothing can be imported later

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]


class Archive:
    """The parts of a document, which are read as long as there is time."""

    def __init__(self, content: bytes, budget: Budget) -> None:
        try:
            self._zip = zipfile.ZipFile(BytesIO(content))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
            raise UnreadableFile(Trouble.DAMAGED) from None
        self._budget = budget
        self._parts = {each.filename: each for each in self._zip.infolist()}

    @property
    def kind(self) -> FileKind:
        """Which kind of document it is."""
        for name, kind in _MAIN_PARTS.items():
            if name in self._parts:
                return kind
        other = _BIN in self._parts or "content.xml" in self._parts  # Excel's binary format; OpenDocument
        raise UnreadableFile(Trouble.OTHER_OFFICE if other else Trouble.ARCHIVE)

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            part = self._parts[name]
        except KeyError:
            raise UnreadableFile(Trouble.DAMAGED) from None
        if part.flag_bits & 1:
            raise UnreadableFile(Trouble.ENCRYPTED)
        if part.compress_type not in _METHODS:
            raise UnreadableFile(Trouble.DAMAGED)
        if part.file_size > _MOST_UNPACKED:  # more than it says does not come out
            raise UnreadableFile(Trouble.UNPACKED)
        try:
            with self._zip.open(part) as opened:
                while piece := opened.read(_PIECE):
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError):
            raise UnreadableFile(Trouble.DAMAGED) from None

    def parse(self, name: str, start: Start, end: End, text: Callable[[str], None]) -> bool:
        """Call these for each element and text of a part; returns false if there was no time for all of it.

        The names of elements come without prefixes.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda tag, attributes: start(tag.rpartition(":")[2], attributes)
        parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
        parser.CharacterDataHandler = text
        parser.EntityDeclHandler = _refuse
        try:
            for piece in self._pieces(name):
                if self._budget.spent:
                    return False
                parser.Parse(piece, False)
            parser.Parse(b"", True)
        except expat.ExpatError:
            raise UnreadableFile(Trouble.DAMAGED) from None
        return True

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """What a part refers to: id → (the last word of its type, the part's name); Open Packaging Conventions."""
        folder, _, file = name.rpartition("/")
        relations = f"{folder}/_rels/{file}.rels"
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship" and attributes.get("TargetMode") != "External":
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = kind, _joined(folder, attributes.get("Target", ""))

        if relations in self:
            self.parse(relations, start, ignored, ignored)
        return found


def value(attributes: dict[str, str]) -> str:
    """The attribute `val`, whatever its prefix; "" without one."""
    return next((each for key, each in attributes.items() if key.rpartition(":")[2] == "val"), "")


def relation(attributes: dict[str, str]) -> str:
    """The id of a relation, `r:id`: its prefix tells it from an element's own `id`."""
    return next((each for key, each in attributes.items() if key.endswith(":id")), "")


def _joined(folder: str, target: str) -> str:
    """The name of a part, from the folder of the part that refers to it."""
    steps: list[str] = []
    for step in target.split("/") if target.startswith("/") else [*folder.split("/"), *target.split("/")]:
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def ignored(*_: object) -> None:
    """For what of a part is not looked at."""


def _refuse(*_: object) -> None:
    """No document of Office declares entities; only bombs do."""
    raise UnreadableFile(Trouble.DAMAGED)
