"""A corpus of hostile files: each wants time or memory, or lies about what it is. Its cases are made when needed."""

import gzip
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from PIL import Image

from core.domain.chat import Picture
from core.files.found import FileText
from core.files.kinds import Trouble
from tests.core.files.documents import (
    docx,
    packed_zeros,
    paragraph,
    pdf,
    pdf_of,
    pdf_stream,
    picture,
    png,
    pptx,
    rows,
    word_table,
    xlsx,
    zipped,
)


def lying(content: bytes, part: str, claimed: int) -> bytes:
    """The same archive, whose directory says another unpacked size of a part."""
    written = bytearray(content)
    at = written.find(b"PK\x01\x02")
    while at >= 0:
        length = struct.unpack_from("<H", written, at + 28)[0]
        if bytes(written[at + 46 : at + 46 + length]) == part.encode():
            struct.pack_into("<I", written, at + 24, claimed)
        at = written.find(b"PK\x01\x02", at + 4)
    return bytes(written)


def _with_zeros(part: str, megabytes: int, document: bytes) -> bytes:
    """The document, one of whose parts unpacks to this much."""
    written = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(document)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name in source.namelist():
            if name != part:
                archive.writestr(name, source.read(name))
        with archive.open(part, "w") as opened:
            for _ in range(megabytes):
                opened.write(b" " * 1_000_000)
    return written.getvalue()


def _entities(kind: str) -> bytes:
    lines = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    if kind == "laughs":
        doctype, text = f'<!DOCTYPE d [<!ENTITY e0 "ha">{lines}]>', "&e9;"
    elif kind == "quadratic":
        doctype, text = f'<!DOCTYPE d [<!ENTITY a "{"a" * 100_000}">]>', "&a;" * 50_000
    else:
        doctype, text = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"
    return f"<?xml version='1.0'?>{doctype}<d><t>{text}</t></d>".encode()


def _nested(depth: int) -> bytes:
    inner = zipped({"a.txt": b"0" * 1_000_000})
    for _ in range(depth):
        inner = zipped({f"{i}.zip": inner for i in range(5)})
    return inner


def _pages_in_a_circle() -> bytes:
    return pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 >>"])


def _forms_in_a_circle() -> bytes:
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >> /Length 24 >>\n"
        b"stream\n" + b"/X Do " * 4 + b"\nendstream"
    )
    return pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Resources << /XObject << /X 4 0 R >> >> /Contents 5 0 R >>",
            form,
            pdf_stream(b"/X Do " * 50_000),
        ]
    )


def _forms_in_a_tower() -> bytes:
    """Each form draws the next one ten times: ten to the power of twenty in all."""
    tower = [
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R >> >> /Length 60 >>\n"
        b"stream\n%s\nendstream" % (6 + i, b"/X Do " * 10)
        for i in range(20)
    ]
    page = b"<< /Type /Page /Parent 2 0 R /Resources << /XObject << /X 5 0 R >> >> /Contents 4 0 R >>"
    first = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page]
    return pdf_of([*first, pdf_stream(b"/X Do"), *tower])


def _packed_pdf(filters: bytes, content: bytes) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    stream = b"<< /Length %d /Filter [%s] >>\nstream\n%s\nendstream" % (len(content), filters, content)
    first = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page]
    return pdf_of([*first, stream])


def _twice_packed() -> bytes:
    return _packed_pdf(b"/FlateDecode /FlateDecode", zlib.compress(packed_zeros(600), 9))


def _encrypted_pdf() -> bytes:
    document = pdf(["secret"], extra={"Encrypt": "6 0 R", "ID": "[<00> <00>]"})
    o = "<" + "11" * 32 + ">"
    lock = f"<< /Filter /Standard /V 1 /R 2 /O {o} /U {o} /P -4 >>".encode()
    return document.replace(b"xref\n", b"6 0 obj\n%s\nendobj\nxref\n" % lock, 1).replace(b"/Size 6", b"/Size 7")


def _claimed_cells() -> bytes:
    """A sheet that says it is as large as can be, and has two cells at its ends."""
    first = '<row r="1"><c r="A1" t="n"><v>1</v></c></row>'
    last = '<row r="1048576"><c r="XFD1048576" t="n"><v>2</v></c></row>'
    made = xlsx({"all": first + last})
    return made.replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>')


def _wide_cells() -> bytes:
    """Rows that have their last cell alone."""
    return xlsx({"s": "".join(f'<row><c r="XFD{i}"><v>1</v></c></row>' for i in range(1, 100_001))})


def _animated() -> bytes:
    frames = [Image.new("P", (60, 40), i) for i in range(1, 6)]
    written = BytesIO()
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], loop=0)
    return written.getvalue()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>fetch("//evil")</script></svg>'


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file: its name, how to make it, and what may come of reading it: text, a picture or a reason why not."""

    name: str
    make: Callable[[], bytes]
    outcomes: set[type[FileText] | type[Picture] | Trouble]


HOSTILE: Mapping[str, Hostile] = {
    "nothing": Hostile("empty.txt", bytes, {Trouble.EMPTY}),
    "zeros": Hostile("zeros.bin", partial(bytes, 5_000_000), {Trouble.BINARY}),
    "noise": Hostile("noise.txt", partial(noise, 5_000_000), {Trouble.BINARY}),
    "a text called PDF": Hostile("text.pdf", lambda: b"just words\n" * 1_000, {FileText}),
    "a PDF called text": Hostile("pdf.txt", lambda: pdf(["some words on a page, and some more"]), {FileText}),
    "UTF-16": Hostile("wide.txt", lambda: ("Grüße\n" * 100_000).encode("utf-16"), {FileText}),
    "a CSV of one line": Hostile("line.csv", lambda: b"a,b;c " * 1_700_000, {FileText}),
    "a CSV of one cell": Hostile("cell.csv", lambda: b"x" * 10_000_000, {FileText}),
    "a CSV with an open quote": Hostile("quote.csv", lambda: b'a,"b\n' + b"c,d\n" * 2_000_000, {FileText}),
    "a text of one line": Hostile("line.json", lambda: b"[" * 10_000_000, {FileText}),
    "line breaks": Hostile("breaks.md", lambda: b"\n" * 10_000_000, {Trouble.NO_TEXT}),
    "laughing XML": Hostile("laughs.xml", partial(_entities, "laughs"), {FileText}),
    "quadratic XML": Hostile("quadratic.xml", partial(_entities, "quadratic"), {FileText}),
    "XML that reads a file": Hostile("external.xml", partial(_entities, "external"), {FileText}),
    "HTML of open comments": Hostile("comments.html", lambda: b"<html>" + b"<!--" * 1_000_000, {Trouble.TIME}),
    "HTML of open tags": Hostile(
        "tags.html", lambda: b"<html>" + b"<a <b='" * 500_000, {Trouble.MEMORY, Trouble.NO_TEXT}
    ),
    "deep HTML": Hostile(
        "deep.html", lambda: b"<html>" + b"<div><table><tr><td>" * 300_000, {Trouble.TIME, Trouble.NO_TEXT}
    ),
    "HTML of entities": Hostile("entities.html", lambda: b"<html>" + b"&" * 3_000_000, {FileText}),
    "nested archives": Hostile("nested.zip", partial(_nested, 6), {Trouble.ARCHIVE}),
    "a gzip bomb": Hostile("bomb.gz", lambda: gzip.compress(bytes(50_000_000)), {Trouble.ARCHIVE}),
    "a corrupt archive": Hostile("corrupt.docx", lambda: docx(paragraph("words"))[:-60], {Trouble.DAMAGED}),
    "a Word bomb": Hostile("bomb.docx", lambda: _with_zeros("word/document.xml", 300, docx("")), {Trouble.UNPACKED}),
    "a lying Word bomb": Hostile(
        "lies.docx",
        lambda: lying(_with_zeros("word/document.xml", 160, docx("")), "word/document.xml", 1_000),
        {Trouble.DAMAGED},
    ),
    "a Word document that says 3 GB": Hostile(
        "big.docx", lambda: lying(docx(paragraph("w")), "word/document.xml", 3 << 30), {Trouble.UNPACKED}
    ),
    "100,000 paragraphs": Hostile(
        "long.docx", lambda: docx(paragraph("A paragraph of some words.") * 100_000), {FileText}
    ),
    "nested Word tables": Hostile("tables.docx", lambda: docx("<w:tbl><w:tr><w:tc>" * 100_000), {Trouble.DAMAGED}),
    "a Word table": Hostile("table.docx", lambda: docx(word_table([["cell"] * 20] * 10_000)), {FileText}),
    "laughing Word": Hostile(
        "laughs.docx", lambda: zipped({"word/document.xml": _entities("laughs")}), {Trouble.DAMAGED}
    ),
    "quadratic Word": Hostile(
        "quadratic.docx", lambda: zipped({"word/document.xml": _entities("quadratic")}), {Trouble.DAMAGED}
    ),
    "one long XML tag": Hostile(
        "tag.docx", lambda: zipped({"word/document.xml": b"<a " + b"b" * 30_000_000}), {Trouble.TIME, Trouble.DAMAGED}
    ),
    "many XML attributes": Hostile(
        "attributes.docx",
        lambda: zipped({"word/document.xml": b"<a " + b" ".join(b"a%d=''" % i for i in range(1_000_000)) + b"/>"}),
        {Trouble.TIME, Trouble.NO_TEXT, Trouble.MEMORY},
    ),
    "all cells claimed": Hostile("all.xlsx", _claimed_cells, {FileText}),
    "last cells alone": Hostile("wide.xlsx", _wide_cells, {FileText}),
    "two million cells": Hostile("cells.xlsx", lambda: xlsx({"s": rows([["a cell"] * 20]) * 100_000}), {FileText}),
    "an Excel bomb": Hostile(
        "bomb.xlsx", lambda: _with_zeros("xl/sharedStrings.xml", 140, xlsx({"s": rows([["a"]])})), {Trouble.DAMAGED}
    ),
    "long shared strings": Hostile(
        "strings.xlsx",
        lambda: xlsx({"s": '<row><c t="s"><v>0</v></c></row>' * 200_000}, ["x" * 100_000] * 900),
        {FileText, Trouble.TIME},
    ),
    "a thousand sheets": Hostile(
        "sheets.xlsx", lambda: xlsx(dict.fromkeys([f"s{i}" for i in range(1_000)], rows([["a"] * 50] * 50))), {FileText}
    ),
    "3,000 slides": Hostile("slides.pptx", lambda: pptx(["some words\nmore words"] * 3_000), {FileText}),
    "an archive of 100,000 names": Hostile(
        "names.docx", lambda: zipped({str(i): b"" for i in range(100_000)}), {Trouble.ARCHIVE, Trouble.TIME}
    ),
    "an encrypted PDF": Hostile("encrypted.pdf", _encrypted_pdf, {Trouble.ENCRYPTED}),
    "a PDF of scans": Hostile("scans.pdf", lambda: pdf([""] * 20), {Trouble.SCANNED}),
    "a PDF cut short": Hostile("short.pdf", lambda: pdf(["words " * 20] * 50)[:2_000], {Trouble.DAMAGED}),
    "a PDF of noise": Hostile("noise.pdf", lambda: b"%PDF-1.7\n" + noise(1_000_000), {Trouble.DAMAGED}),
    "a PDF whose pages are in a circle": Hostile("circle.pdf", _pages_in_a_circle, {Trouble.DAMAGED}),
    "a PDF whose forms are in a circle": Hostile("forms.pdf", _forms_in_a_circle, {Trouble.MEMORY, Trouble.TIME}),
    "a PDF whose forms are a tower": Hostile("tower.pdf", _forms_in_a_tower, {Trouble.MEMORY, Trouble.TIME}),
    "a PDF bomb": Hostile(
        "bomb.pdf", lambda: _packed_pdf(b"/FlateDecode", packed_zeros(400)), {Trouble.MEMORY, Trouble.TIME}
    ),
    "a PDF bomb in a bomb": Hostile("twice.pdf", _twice_packed, {Trouble.MEMORY, Trouble.TIME}),
    "5,000 pages": Hostile(
        "pages.pdf", lambda: pdf(["A line of some words.\n" * 60] * 5_000, compress=True), {FileText}
    ),
    "a PDF of 200,000 lines": Hostile(
        "vectors.pdf",
        lambda: _packed_pdf(
            b"", b"".join(b"%d %d m %d %d l S\n" % (i % 600, i % 800, i % 7, i % 9) for i in range(200_000))
        ),
        {Trouble.SCANNED},
    ),
    "100 megapixels": Hostile("large.png", lambda: png(10_000, 10_000, packed_zeros(300)), {Trouble.PIXELS}),
    "40 megapixels": Hostile("allowed.png", lambda: picture("PNG", (8_000, 5_000), "RGBA"), {Picture}),
    "a line of 40 megapixels": Hostile("line.png", lambda: png(40_000_000, 1, packed_zeros(120)), {Trouble.MEMORY}),
    "a PNG without its pixels": Hostile("claims.png", lambda: png(6_000, 6_000, b""), {Trouble.DAMAGED}),
    "100 megapixels of JPEG": Hostile("large.jpg", lambda: picture("JPEG", (12_000, 9_000)), {Picture}),
    "45 progressive megapixels": Hostile(
        "progressive.jpg", lambda: picture("JPEG", (7_500, 6_000), progressive=True), {Trouble.PIXELS}
    ),
    "30 megapixels of WebP": Hostile(
        "large.webp", lambda: picture("WEBP", (7_000, 4_000), lossless=True), {Trouble.MEMORY}
    ),
    "a picture cut short": Hostile("short.jpg", lambda: picture("JPEG", (900, 900))[:900], {Trouble.DAMAGED}),
    "an animated GIF": Hostile("animated.gif", _animated, {Picture}),
    "HEIC": Hostile(
        "photo.heic", lambda: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00" + noise(9_000), {Trouble.OTHER_PICTURE}
    ),
    "SVG with a script": Hostile("drawing.svg", lambda: SVG, {Trouble.DRAWING}),
}
