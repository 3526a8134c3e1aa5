"""Reads the text of a presentation: its slides in their order, with their notes."""

from core.files.child.lines import Lines, table_row
from core.files.child.office.archive import Archive, ignored, relation
from core.files.part import Part

_MAIN = "ppt/presentation.xml"


class _Shapes:
    """Turns the elements of DrawingML (ECMA-376, part 1, section 21) into lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._cells: list[str] | None = None
        self._in_text = False
        self._skipped = 0
        self._number = False  # the number of the slide is no text of it

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Fallback" or self._skipped:
            self._skipped += 1
        elif tag == "t":
            self._in_text = not self._number
        elif tag == "fld":
            self._number = attributes.get("type") == "slidenum"
        elif tag == "br":
            self._line.append(" ")
        elif tag == "tr":
            self._cells = []
        elif tag == "tc" and self._cells is not None:
            self._cells.append("")

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag == "t":
            self._in_text = False
        elif tag == "fld":
            self._number = False
        elif tag == "p":
            self._paragraph()
        elif tag == "tr" and self._cells is not None:
            cells, self._cells = self._cells, None
            self.lines.append(table_row(cells))

    def text(self, data: str) -> None:
        if self._in_text and not self._skipped:
            self._line.append(data)

    def _paragraph(self) -> None:
        text = " ".join("".join(self._line).split())
        self._line = []
        if not text:
            return
        if self._cells:
            self._cells[-1] += f" {text}"
        else:
            self.lines.append(text)


def read(archive: Archive) -> tuple[list[Part], str]:
    """Its slides, each below a line with its number; of a presentation that takes too long, the first ones."""
    lines, slides = Lines(), _slides(archive)
    for number, slide in enumerate(slides, 1):
        shapes, notes = _Shapes(), _Shapes()
        whole = archive.parse(slide, shapes.start, shapes.end, shapes.text)
        for kind, name in archive.related(slide).values():
            if kind == "notesSlide" and name in archive:
                whole = archive.parse(name, notes.start, notes.end, notes.text) and whole
        if not whole:
            return [lines.part()], f"Only the first {number - 1:,} of {len(slides):,} slides were read."
        lines.add(f"[slide {number}]")
        for line in (*shapes.lines, *(f"(note) {each}" for each in notes.lines)):
            lines.add(line)
    return [lines.part()], ""


def _slides(archive: Archive) -> list[str]:
    """The names of the slides, in the order in which they are shown."""
    related, ids = archive.related(_MAIN), []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "sldId":
            ids.append(relation(attributes))

    archive.parse(_MAIN, start, ignored, ignored)
    names = (related[each][1] for each in ids if each in related)
    return [name for name in names if name in archive]
