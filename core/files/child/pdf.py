"""Reads the text of a PDF, page by page.

PDFium read 100 pages in half of pypdf's time, and a page of 180,000 lines in 1 s instead of 24 s; pdfminer.six took
longer still. It is native code and lets a bomb exhaust the memory: that is why nothing but this process may run it.
"""

import pypdfium2  # type: ignore[import-untyped]

from core.files.child.isolation import Budget
from core.files.child.lines import Lines
from core.files.child.trouble import UnreadableFile
from core.files.kinds import Trouble
from core.files.part import Part

_SCANNED = 20  # characters of a page; one with fewer is a picture
_MOST_BROKEN = 10_000  # pages; a file may claim a million, each of which is found broken in microseconds
_PASSWORD = 4  # FPDF_ERR_PASSWORD in fpdfview.h


def read(content: bytes, budget: Budget) -> tuple[list[Part], str]:
    """Its pages, each below a line with its number; of a document that takes too long, the first ones."""
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        raise UnreadableFile(Trouble.ENCRYPTED if error.err_code == _PASSWORD else Trouble.DAMAGED) from None
    pages, lines = len(document), Lines()
    read_pages = scanned = broken = 0
    for number in range(pages):
        if budget.spent or broken > _MOST_BROKEN:
            break
        read_pages += 1
        try:
            page = document[number]
            text = page.get_textpage().get_text_bounded()
            page.close()
        except pypdfium2.PdfiumError:
            broken += 1
            continue
        scanned += len(text.strip()) < _SCANNED
        lines.add(f"[page {number + 1}]")
        for line in text.splitlines():
            lines.add(line.rstrip())
    if read_pages == broken:
        raise UnreadableFile(Trouble.DAMAGED)
    if read_pages == scanned + broken:
        raise UnreadableFile(Trouble.SCANNED)
    notes = []
    if read_pages < pages:
        notes.append(f"Only the first {read_pages:,} of {pages:,} pages were read.")
    if scanned:
        notes.append(f"{scanned:,} of its pages hold pictures only, which were not read.")
    if broken:
        notes.append(f"{broken:,} of its pages are damaged.")
    return [lines.part()], " ".join(notes)
