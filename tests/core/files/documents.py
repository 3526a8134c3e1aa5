"""Makes files of all kinds from a few words: nothing of them is kept in the repository."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from xml.sax.saxutils import escape

from PIL import Image

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def zipped(parts: Mapping[str, bytes | str]) -> bytes:
    """A zip archive of these parts."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 1)  # always the same bytes
    return written.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """The relations of a part: id → (kind, target)."""
    lines = (
        f'<Relationship Id="{each}" Type="{_RELATION}/{kind}" Target="{target}"/>'
        for each, (kind, target) in targets.items()
    )
    return f"<Relationships {_PACKAGE}>{''.join(lines)}</Relationships>"


def docx(body: str, parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """A Word document with this body of WordprocessingML."""
    document = f"<?xml version='1.0'?><w:document {_W}><w:body>{body}</w:body></w:document>"
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document, **(parts or {})})


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def word_table(rows: Iterable[Sequence[str]]) -> str:
    lines = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{line}</w:tr>' for line in lines)}</w:tbl>"


def footnotes(text: str) -> str:
    return f"<w:footnotes {_W}><w:footnote>{paragraph(text)}</w:footnote></w:footnotes>"


def xlsx(
    sheets: Mapping[str, str], strings: Sequence[str] = (), formats: Sequence[str] = (), parts: Mapping[str, str] = {}
) -> bytes:
    """A workbook: the name of each sheet with its rows as SpreadsheetML; `formats`: the number format of each style."""
    names = [f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets)]
    related = {f"r{i}": ("worksheet", f"worksheets/s{i}.xml") for i in range(len(sheets))}
    related["strings"] = ("sharedStrings", "/xl/sharedStrings.xml")
    shared = "".join(f"<si><t>{escape(each)}</t></si>" for each in strings)
    styles = "".join(f'<numFmt numFmtId="{200 + i}" formatCode="{escape(code)}"/>' for i, code in enumerate(formats))
    used = "".join(f'<xf numFmtId="{200 + i}"/>' for i in range(len(formats)))
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_RELATION}"><sheets>{"".join(names)}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations(related),
            "xl/sharedStrings.xml": f"<sst {_MAIN}>{shared}</sst>",
            "xl/styles.xml": f"<styleSheet><numFmts>{styles}</numFmts><cellXfs><xf/>{used}</cellXfs></styleSheet>",
            **{
                f"xl/worksheets/s{i}.xml": f"<worksheet {_MAIN}><sheetData>{rows}</sheetData></worksheet>"
                for i, rows in enumerate(sheets.values())
            },
            **parts,
        }
    )


def rows(cells: Iterable[Sequence[str]]) -> str:
    """Rows of a sheet, whose cells are written where they stand."""
    lines = ("".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row) for row in cells)
    return "".join(f"<row>{line}</row>" for line in lines)


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None) -> bytes:
    """A presentation of these texts, a paragraph for each line; their files are in the opposite order."""
    parts: dict[str, str] = {}
    ids, related = [], {}
    for i, text in enumerate(slides):
        file = f"slides/slide{len(slides) - i}.xml"
        ids.append(f'<p:sldId id="{256 + i}" r:id="r{i}"/>')
        related[f"r{i}"] = ("slide", file)
        parts[f"ppt/{file}"] = f"<p:sld {_A}>{_shapes(text)}</p:sld>"
        if notes and i in notes:
            parts[f"ppt/notesSlides/n{i}.xml"] = f"<p:notes {_A}>{_shapes(notes[i])}</p:notes>"
            target = f"../notesSlides/n{i}.xml"
            parts[f"ppt/slides/_rels/slide{len(slides) - i}.xml.rels"] = relations({"n": ("notesSlide", target)})
    main = f"<p:presentation {_A}><p:sldIdLst>{''.join(ids)}</p:sldIdLst></p:presentation>"
    return zipped({"ppt/presentation.xml": main, "ppt/_rels/presentation.xml.rels": relations(related), **parts})


def _shapes(text: str) -> str:
    return "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.splitlines())


def pdf(pages: Sequence[str], *, compress: bool = False, extra: Mapping[str, str] | None = None) -> bytes:
    """A PDF with a page for each text, in Helvetica; `extra` goes into its trailer."""
    streams = [_page(text) for text in pages]
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, stream in enumerate(streams):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            b"/Resources << /Font << /F 3 0 R >> >> /Contents %d 0 R >>" % (5 + 2 * i)
        )
        objects.append(pdf_stream(stream, b"/FlateDecode" if compress else b""))
    return pdf_of(objects, extra)


def pdf_stream(content: bytes, filters: bytes = b"") -> bytes:
    """A stream, which is packed once for each filter."""
    for _ in range(filters.count(b"FlateDecode")):
        content = zlib.compress(content, 9)
    return b"<< /Length %d /Filter [%s] >>\nstream\n%s\nendstream" % (len(content), filters, content)


def pdf_of(objects: Sequence[bytes], extra: Mapping[str, str] | None = None) -> bytes:
    """A PDF of these objects, of which the first is the catalog."""
    written, places = b"%PDF-1.7\n", []
    for i, each in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (i, each)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    more = "".join(f"/{key} {value} " for key, value in (extra or {}).items())
    count = len(objects) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer << /Size {count} /Root 1 0 R {more}>>\n"
    return written + end.encode() + f"startxref\n{len(written)}\n%%EOF\n".encode()


def _page(text: str) -> bytes:
    lines = (f"({re.sub('[()]', '', line)}) Tj T*" for line in text.splitlines())
    return f"BT /F 10 Tf 12 TL 50 800 Td {' '.join(lines)} ET".encode("latin-1", "replace")


def picture(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    """A picture in one colour."""
    written = BytesIO()
    Image.new(mode, size).save(written, kind, **options)
    return written.getvalue()


def png(width: int, height: int, packed: bytes) -> bytes:
    """A PNG in RGB that says it has this size, whatever is packed in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def packed_zeros(megabytes: int) -> bytes:
    """A zlib stream of zeros: one megabyte of them, packed so that it can stand any number of times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)  # without beginning and end
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = megabytes * 1_000_000 % 65_521 << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + block * megabytes + packer.flush() + struct.pack(">I", checksum)
