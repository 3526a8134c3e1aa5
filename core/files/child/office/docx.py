"""Reads the text of a Word document: its paragraphs, headings, lists, tables and footnotes."""

from core.files.child.lines import Lines, table_row
from core.files.child.office.archive import Archive, value
from core.files.part import Part

_PARTS = {"word/document.xml": "", "word/footnotes.xml": "Footnotes", "word/endnotes.xml": "Endnotes"}


class _Paragraphs:
    """Turns the elements of WordprocessingML (ECMA-376, part 1, section 17) into lines."""

    def __init__(self) -> None:
        self.lines = Lines()
        self._line: list[str] = []
        self._begin = ""  # of the line: what makes it a heading, or an item of a list
        self._rows: list[list[str]] = []  # the rows that are open, the innermost last
        self._in_text = False
        self._skipped = 0  # elements open whose content is shown elsewhere, too

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Fallback" or self._skipped:
            self._skipped += 1
        elif tag == "t":
            self._in_text = True
        elif tag == "tab":
            self._line.append("\t")
        elif tag in ("br", "cr"):
            self._line.append("\n")
        elif tag == "pStyle":
            self._begin = _begin(value(attributes)) or self._begin
        elif tag == "numPr":
            self._begin = self._begin or "- "
        elif tag == "tr":
            self._rows.append([])
        elif tag == "tc" and self._rows:
            self._rows[-1].append("")

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag == "t":
            self._in_text = False
        elif tag == "p":
            self._paragraph()
        elif tag == "tr" and self._rows:
            self._add(table_row(self._rows.pop()))

    def text(self, data: str) -> None:
        if self._in_text and not self._skipped:
            self._line.append(data)

    def _paragraph(self) -> None:
        text = "".join(self._line).strip()
        if text:
            self._add(self._begin + text)
        self._line, self._begin = [], ""

    def _add(self, line: str) -> None:
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += f" {line}"
        else:
            self.lines.add(line)


def read(archive: Archive) -> tuple[list[Part], str]:
    """Its text and its notes; of a document that takes too long, the beginning."""
    found, whole = [], True
    for name, title in _PARTS.items():
        if name in archive and whole:
            paragraphs = _Paragraphs()
            whole = archive.parse(name, paragraphs.start, paragraphs.end, paragraphs.text)
            if paragraphs.lines.seen:
                found.append(paragraphs.lines.part(title))
    return found, "" if whole else "Only the beginning of the document was read."


def _begin(style: str) -> str:
    """What Markdown begins a heading or an item with, by the id of its style: `Title`, `Heading2`, `ListBullet`."""
    if style == "Title":
        return "# "
    name, level = style[:-1], style[-1:]
    if name == "Heading" and level in "123456":
        return "#" * int(level) + " "
    return "- " if style.startswith("List") else ""
