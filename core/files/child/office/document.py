"""Reads a document of Office, of whichever kind it is."""

from core.files.child.isolation import Budget
from core.files.child.office import docx, pptx, xlsx
from core.files.child.office.archive import Archive
from core.files.kinds import FileKind
from core.files.part import Part

_READERS = {FileKind.DOCX: docx.read, FileKind.XLSX: xlsx.read, FileKind.PPTX: pptx.read}


def read(content: bytes, budget: Budget) -> tuple[FileKind, list[Part], str]:
    """Its kind, its parts, and what of it was not read."""
    archive = Archive(content, budget)
    return archive.kind, *_READERS[archive.kind](archive)
