"""Decides what a file is: its bytes decide, and its name and type only say which kind of text it is.

Nothing is parsed here: the process that reads a stranger's file is another one (see reader.py).
"""

import re
from enum import StrEnum


class FileKind(StrEnum):
    """What can be read, in words for the model."""

    TEXT = "text"
    MARKDOWN = "Markdown"
    JSON = "JSON"
    XML = "XML"
    HTML = "web page"
    CSV = "CSV"
    TSV = "TSV"
    PDF = "PDF"
    ZIP = "zip"  # the reading process looks whether it is one of the next three
    DOCX = "Word document"
    XLSX = "Excel workbook"
    PPTX = "PowerPoint presentation"
    PICTURE = "picture"


class Trouble(StrEnum):
    """Why a file can't be read."""

    EMPTY = "empty"
    BINARY = "binary"
    ARCHIVE = "archive"
    PROGRAM = "program"
    RECORDING = "recording"
    DRAWING = "drawing"
    OTHER_PICTURE = "other picture"
    OTHER_OFFICE = "other office"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    SCANNED = "scanned"
    NO_TEXT = "no text"
    LARGE = "large"
    UNPACKED = "unpacked"
    PIXELS = "pixels"
    TIME = "time"
    MEMORY = "memory"
    BUSY = "busy"
    # these are found before there are bytes of it, or after they were read
    FORBIDDEN = "forbidden"
    ELSEWHERE = "elsewhere"
    DELETED = "deleted"
    HIDDEN = "hidden"
    UNREACHABLE = "unreachable"
    LATE = "late"
    MANY = "many"
    UNSEEN = "unseen"


_PREFIX = 4096  # bytes that are looked at

# Beginnings of files: https://en.wikipedia.org/wiki/List_of_file_signatures
_BEGINNINGS: tuple[tuple[bytes, FileKind | Trouble], ...] = (
    (b"PK\x03\x04", FileKind.ZIP),
    (b"PK\x05\x06", FileKind.ZIP),
    (b"\x89PNG\r\n\x1a\n", FileKind.PICTURE),
    (b"\xff\xd8\xff", FileKind.PICTURE),
    (b"GIF87a", FileKind.PICTURE),
    (b"GIF89a", FileKind.PICTURE),
    (b"II*\x00", Trouble.OTHER_PICTURE),
    (b"MM\x00*", Trouble.OTHER_PICTURE),
    (b"\x00\x00\x01\x00", Trouble.OTHER_PICTURE),
    (b"8BPS\x00", Trouble.OTHER_PICTURE),
    (b"\xff\x0a", Trouble.OTHER_PICTURE),  # JPEG XL
    (b"\x00\x00\x00\x0cJXL ", Trouble.OTHER_PICTURE),
    (b"{\\rtf", Trouble.OTHER_OFFICE),
    (b"\x1f\x8b", Trouble.ARCHIVE),
    (b"BZh", Trouble.ARCHIVE),
    (b"\xfd7zXZ\x00", Trouble.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", Trouble.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Trouble.ARCHIVE),
    (b"Rar!\x1a\x07", Trouble.ARCHIVE),
    (b"ID3", Trouble.RECORDING),
    (b"OggS\x00", Trouble.RECORDING),
    (b"fLaC\x00", Trouble.RECORDING),
    (b"\xff\xfb", Trouble.RECORDING),
    (b"\xff\xf3", Trouble.RECORDING),
    (b"\xff\xf2", Trouble.RECORDING),
    (b"\xff\xf1", Trouble.RECORDING),
    (b"\x1a\x45\xdf\xa3", Trouble.RECORDING),  # Matroska, WebM
    (b"\x7fELF", Trouble.PROGRAM),
    (b"MZ", Trouble.PROGRAM),
    (b"\xca\xfe\xba\xbe", Trouble.PROGRAM),
    (b"\xcf\xfa\xed\xfe", Trouble.PROGRAM),
    (b"\x00asm", Trouble.PROGRAM),
)
# So short a beginning may also be that of a text, which has no NUL.
_LETTERS = frozenset({b"BZh", b"ID3", b"MZ"})
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Office before 2007, and the envelope of an encrypted document
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # the name of a stream in it: [MS-OFFCRYPTO] 2.3.4
# Brands of the ISO container that hold pictures (ISO/IEC 23008-12); all others are sound or film.
_PICTURE_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"})
_RIFF: dict[bytes, FileKind | Trouble] = {
    b"WEBP": FileKind.PICTURE,
    b"WAVE": Trouble.RECORDING,
    b"AVI ": Trouble.RECORDING,
}

# What a text is, by the end of its name, or by its MIME type or Slack's file type.
_HINTS = {
    **dict.fromkeys(("md", "markdown", "mdown", "text/markdown", "text/x-markdown"), FileKind.MARKDOWN),
    **dict.fromkeys(("json", "jsonl", "ndjson", "ipynb", "geojson", "application/json"), FileKind.JSON),
    **dict.fromkeys(("xml", "xsd", "xsl", "xslt", "rss", "atom", "application/xml", "text/xml"), FileKind.XML),
    **dict.fromkeys(("html", "htm", "xhtml", "text/html", "application/xhtml+xml"), FileKind.HTML),
    **dict.fromkeys(("csv", "text/csv"), FileKind.CSV),
    **dict.fromkeys(("tsv", "tab", "text/tab-separated-values"), FileKind.TSV),
}
# No way back into any of it: there would be two for each comment.
_ABOVE_ROOT = r"(?>\s+|<\?xml[^>]*>|<!--(?:(?!-->).){0,1000}-->)*+"
_HTML = re.compile(rf"{_ABOVE_ROOT}<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)
_SVG = re.compile(rf"{_ABOVE_ROOT}(?:<!doctype\s+svg[^>]*>\s*)?<(?:svg:)?svg[\s>]", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"\s*<\?xml\s", re.IGNORECASE)


def recognise(content: bytes, name: str = "", hint: str = "") -> FileKind | Trouble:
    """What to read the file as, or why not to. `hint`: its MIME type, or Slack's `filetype`.

    Whether something that begins like a text is one shows only when it is read.
    """
    begin = content[:_PREFIX]
    if len(content) <= _PREFIX and not content.strip(b"\x00 \t\r\n"):
        return Trouble.EMPTY
    for beginning, found in _BEGINNINGS:
        if begin.startswith(beginning) and (beginning not in _LETTERS or b"\x00" in begin):
            return found
    if b"%PDF-" in begin[:1024]:  # readers accept what comes before it: ISO 32000-1, annex H, note 13
        return FileKind.PDF
    if begin.startswith(_OLE):
        return Trouble.ENCRYPTED if _ENCRYPTED in content else Trouble.OTHER_OFFICE
    if begin[4:8] == b"ftyp":
        return Trouble.OTHER_PICTURE if begin[8:12] in _PICTURE_BRANDS else Trouble.RECORDING
    if begin.startswith(b"RIFF") and begin[8:12] in _RIFF:
        return _RIFF[begin[8:12]]
    if begin.startswith(b"BM") and begin[6:10] == b"\x00" * 4:
        return Trouble.OTHER_PICTURE
    if begin[257:262] == b"ustar":
        return Trouble.ARCHIVE
    return _text(begin, name, hint)


def _text(begin: bytes, name: str, hint: str) -> FileKind | Trouble:
    """What kind of text this is, if it is one."""
    # of UTF-16, too, what matters here is ASCII
    markup = begin.replace(b"\x00", b"").decode("ascii", "ignore")
    if _SVG.match(markup):
        return Trouble.DRAWING
    if _HTML.match(markup):
        return FileKind.HTML
    for said in (name.rpartition(".")[2], hint.partition(";")[0]):
        if (found := _HINTS.get(said.strip().lower())) is not None:
            return found
    return FileKind.XML if _XML.match(markup) else FileKind.TEXT
