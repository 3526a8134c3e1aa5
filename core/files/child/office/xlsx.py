"""Reads the sheets of an Excel workbook as tables, row by row as they come: only cells that are there cost anything."""

import re
from datetime import datetime, timedelta

from core.files.child.lines import LONGEST_TEXT, MOST_COLUMNS, TableRows
from core.files.child.office.archive import Archive, ignored, relation
from core.files.child.trouble import UnreadableFile
from core.files.kinds import Trouble
from core.files.part import Part

_MAIN, _STYLES = "xl/workbook.xml", "xl/styles.xml"
_MOST_SHEETS = 30
_MOST_STRINGS = 100_000_000  # characters of all shared strings
_LAST_COLUMN = 16_384  # https://support.microsoft.com/office/excel-specifications-and-limits
# Formats of dates and times that need no definition: ECMA-376, part 1, 18.8.30.
_DATES = frozenset({*range(14, 23), *range(45, 48)})
_LITERAL = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_LAST_DAY = 2_958_465  # 9999-12-31


class _Workbook:
    """What the workbook says of its sheets: names and parts, shared strings, and which styles are dates."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.sheets: list[tuple[str, str]] = []
        self.strings: list[str] = []
        self.dates: set[str] = set()
        self.epoch = datetime(1899, 12, 30)
        related = archive.related(_MAIN)
        self._read_sheets(related)
        for kind, name in related.values():
            if kind == "sharedStrings" and name in archive:
                self._read_strings(name)
        if _STYLES in archive:
            self._read_styles()

    def _read_sheets(self, related: dict[str, tuple[str, str]]) -> None:
        def start(tag: str, attributes: dict[str, str]) -> None:
            kind, part = related.get(relation(attributes), ("", ""))
            if tag == "sheet" and kind == "worksheet" and part in self.archive:
                self.sheets.append((attributes.get("name", ""), part))
            elif tag == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                self.epoch = datetime(1904, 1, 1)

        self.archive.parse(_MAIN, start, ignored, ignored)

    def _read_strings(self, name: str) -> None:
        text = _CellText()
        size = 0

        def end(tag: str) -> None:
            nonlocal size
            text.end(tag)
            if tag == "si":
                self.strings.append(text.taken())
                size += len(self.strings[-1])
                if size > _MOST_STRINGS:
                    raise UnreadableFile(Trouble.UNPACKED)

        self.archive.parse(name, text.start, end, text.text)

    def _read_styles(self) -> None:
        formats: dict[str, bool] = {}
        styles: list[str] = []
        inside = False

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal inside
            if tag == "numFmt":
                code = _LITERAL.sub("", attributes.get("formatCode", "")).lower()
                formats[attributes.get("numFmtId", "")] = any(letter in code for letter in "dyhs")
            elif tag == "cellXfs":
                inside = True
            elif tag == "xf" and inside:
                styles.append(attributes.get("numFmtId", "0"))

        def end(tag: str) -> None:
            nonlocal inside
            inside = inside and tag != "cellXfs"

        self.archive.parse(_STYLES, start, end, ignored)
        built_in = {str(each) for each in _DATES}
        self.dates = {str(place) for place, code in enumerate(styles) if formats.get(code, code in built_in)}


class _CellText:
    """The text of a string or cell, without the readings (`rPh`) of what is written in Japanese."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._open = False
        self._reading = False

    def start(self, tag: str, _: dict[str, str]) -> None:
        if tag == "rPh":
            self._reading = True
        elif tag in ("t", "v"):
            self._open = not self._reading

    def end(self, tag: str) -> None:
        if tag == "rPh":
            self._reading = False
        elif tag in ("t", "v"):
            self._open = False

    def text(self, data: str) -> None:
        if self._open:
            self._pieces.append(data)

    def taken(self) -> str:
        text = "".join(self._pieces)
        self._pieces = []
        return text


class _Sheet:
    """Turns the elements of a worksheet (ECMA-376, part 1, 18.3) into rows."""

    def __init__(self, book: _Workbook, most: int) -> None:
        self.table = TableRows(most)
        self._book = book
        self._text = _CellText()
        self._row: list[str] = []  # its first cells; of those that no table shows, there may be thousands
        self._column = 0  # the last one of the row that is open
        self._filled = False
        self._kind = self._style = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            column = _column(attributes.get("r", ""))
            self._column = column if self._column < column <= _LAST_COLUMN else self._column + 1
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
        else:
            self._text.start(tag, attributes)

    def end(self, tag: str) -> None:
        if tag == "c":
            shown = self._shown(self._text.taken())
            self._filled = self._filled or bool(shown)
            if self._column <= MOST_COLUMNS:
                self._row.extend([""] * (self._column - 1 - len(self._row)))
                self._row.append(shown)
        elif tag == "row":
            if self._filled:
                self.table.add(self._row, self._column)
            self._row, self._column, self._filled = [], 0, False
        else:
            self._text.end(tag)

    def text(self, data: str) -> None:
        self._text.text(data)

    def _shown(self, value: str) -> str:
        if self._kind == "s":
            place = int(value) if value.isdecimal() else -1
            return self._book.strings[place] if 0 <= place < len(self._book.strings) else ""
        if self._kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if self._kind != "n" or not value:
            return value
        try:
            number = float(value)
            if self._style in self._book.dates and 0 <= number <= _LAST_DAY:
                return _date(self._book.epoch, number)
        except ValueError:
            return value
        return value if len(value) < 16 else f"{number:.15g}"


def read(archive: Archive) -> tuple[list[Part], str]:
    """A table for each sheet that is not empty; of a workbook that takes too long, the first rows."""
    book = _Workbook(archive)
    found: list[Part] = []
    for place, (name, part) in enumerate(book.sheets[:_MOST_SHEETS], 1):
        sheet = _Sheet(book, LONGEST_TEXT // min(len(book.sheets), _MOST_SHEETS))
        whole = archive.parse(part, sheet.start, sheet.end, sheet.text)
        if sheet.table.rows:
            found.append(sheet.table.part(f"Sheet “{name}”"))
        if not whole:
            note = f"Of the sheet “{name}”, only the first {sheet.table.rows:,} rows were read"
            left = len(book.sheets) - place
            return found, f"{note}; of {left:,} sheets after it, nothing." if left else f"{note}."
    left = len(book.sheets) - _MOST_SHEETS
    return found, f"{left:,} more sheets were not read." if left > 0 else ""


def _column(reference: str) -> int:
    """The number of a cell's column, from 1, by its reference, such as `AB12`; 0 if it has none."""
    number = 0
    for letter in reference[:3]:
        if not "A" <= letter <= "Z":
            break
        number = number * 26 + ord(letter) - 64
    return number


def _date(epoch: datetime, days: float) -> str:
    moment = epoch + timedelta(seconds=round(days * 86_400))
    if days < 1:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d}" if days == int(days) else f"{moment:%Y-%m-%d %H:%M:%S}"
