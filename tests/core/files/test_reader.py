"""What is read of files of every kind, through a process of its own."""

import gzip
from io import BytesIO

import pytest
from PIL import Image

from core.domain.chat import Picture
from core.files.child import html_page
from core.files.child.isolation import Budget
from core.files.found import FileText, Unread
from core.files.kinds import FileKind, Trouble
from core.files.reader import FileLimits, FileReader
from tests.bounds import HANG_SECONDS
from tests.core.files.documents import (
    docx,
    footnotes,
    paragraph,
    pdf,
    picture,
    pptx,
    rows,
    word_table,
    xlsx,
    zipped,
)
from tests.growth import MOST, growth

PATIENT = FileLimits(seconds=HANG_SECONDS)


async def found(name: str, content: bytes, hint: str = "") -> FileText | Picture | Unread:
    return await FileReader(PATIENT).read(name, content, hint)


async def read(name: str, content: bytes, hint: str = "") -> FileText:
    file = await found(name, content, hint)
    assert isinstance(file, FileText), file
    return file


async def text(name: str, content: bytes, hint: str = "") -> str:
    [part] = (await read(name, content, hint)).parts
    return part.text


async def test_text_stays_as_it_is() -> None:
    """Code, Markdown, JSON and XML are read as they were written, without what drives terminals."""
    code = "def f():\n\treturn '<ä>'\r\n\x1b[0m\u202e"
    file = await read("a.py", code.encode())
    assert (file.kind, file.parts[0].text) == (FileKind.TEXT, "def f():\n\treturn '<ä>'\n[0m")
    assert await text("a.json", b'{"a": [1]}') == '{"a": [1]}'


GERMAN = "Die Bücher über Größe und Maß liegen schön geordnet im Häuschen; für später ändern wir nichts. "
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю, потом пойдём гулять в парк. "
JAPANESE = "これは日本語の文章です。ファイルの文字コードを正しく読み取れるかどうかを確かめます。"


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        *((GERMAN, each) for each in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")),
        *((RUSSIAN, each) for each in ("cp1251", "koi8-r", "utf-16")),
        *((JAPANESE * 3, each) for each in ("shift_jis", "euc_jp")),
        *((words, "utf-16-le") for words in ("plain\n" * 3, "Ann said: これは日本語 (Japanese), and Bob said: 扡敤\n")),
    ],
)
async def test_text_of_any_encoding(words: str, encoding: str) -> None:
    """By its mark, as UTF-8, by its zeros, or by a guess."""
    assert await text("a.txt", words.encode(encoding)) == words


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"ready\a\n", "ready\n"),
        (b"\x1b[31mred\x1b[0m\n", "[31mred[0m\n"),
        (b"N\bNA\bAM\bME\bE\n  _\bl_\bs\n", "NAME\n  ls\n"),
        (b"one\x01 two three\n", "one two three\n"),
        (b"a\x00 zero in a short text\n", "a\ufffd zero in a short text\n"),
    ],
)
async def test_a_text_with_some_control_characters(content: bytes, shown: str) -> None:
    """Logs of terminals and manuals have them; they are left out, and so is what a backspace took back."""
    assert await text("a.log", content) == shown


@pytest.mark.parametrize(
    "content",
    [b"abc\0def\0", "grün\0".encode() + b"abc\0def\0" * 20, bytes(range(1, 9)), b"\1\0\2\0\3\0\4\0" * 99],
    ids=["words", "words in UTF-8", "bytes", "numbers"],
)
async def test_zeros_alone_make_no_text(content: bytes) -> None:
    """Words and numbers between them are not taken for UTF-16."""
    assert await found("a.txt", content) == Unread("a.txt", Trouble.BINARY)


async def test_a_text_with_a_broken_end_or_byte_is_utf_8() -> None:
    """A log that was cut within a character, or has a wrong byte, is still read."""
    assert await text("a.log", "größer\n".encode() * 20 + "ü".encode()[:1]) == "größer\n" * 20
    assert await text("a.log", b"\xff" + "größer\n".encode() * 20) == "\ufffd" + "größer\n" * 20


async def test_a_table_of_text() -> None:
    """Each row is one line, whatever is in its cells and between them; the size is said."""
    for separator in ",;\t|":
        content = f'name{separator}"a, b; c"\nann{separator}"x\ny|z"\n'
        [part] = (await read("a.csv", content.encode())).parts
        assert part.title == "2 rows × 2 columns"
        assert part.text == "| name | a, b; c |\n|---|---|\n| ann | x y\\|z |\n"


async def test_a_long_table_keeps_its_head_and_tail() -> None:
    """What is missing is counted."""
    lines = "".join(f"{number},{'x' * 90}\n" for number in range(50_000))
    [part] = (await read("a.csv", b"name,value\n" + lines.encode())).parts
    assert part.title == "50,001 rows × 2 columns"
    assert part.head.startswith("| name | value |\n|---|---|\n| 0 | x")
    assert part.tail.splitlines()[-1].startswith("| 49999 | x")
    assert part.head.count("\n") + part.lines + part.tail.count("\n") == 50_002
    assert part.size <= 2_000_000


async def test_a_web_page_as_people_see_it() -> None:
    """Without scripts, styles and markup; headings, lists, preformatted text and rows of tables are kept."""
    page = """<!doctype html><html><head><title>Fish &amp; chips</title><style>p {}</style>
    <script>x('<p>')</script></head><body><h2>Prices</h2><p>All   <b>in</b>\n euros<br>today</p>
    <ul><li>one<li>two</ul><svg><text>no</text></svg>
    <table><tr><th>dish</th><th>price</th></tr><tr><td>cod<br>fillet</td><td>9</td></tr></table>
    <pre>a\n  b</pre><img alt="a cod" src="//x"></body></html>"""
    assert (await text("a.html", page.encode())).splitlines() == [
        *("Fish & chips", "## Prices", "All in euros", "today", "- one", "- two", "| dish | price |"),
        *("| cod fillet | 9 |", "a", "  b", "[picture: a cod]"),
    ]


async def test_a_long_tag_costs_in_proportion() -> None:
    """A saved page has its pictures in its tags, megabytes in each."""

    def page(length: int) -> str:
        return f"<html><p>before</p><img alt='a cod' src='data:image/png;base64,{'A' * length}'><p>after</p>"

    def work(content: str) -> None:
        [part], _ = html_page.read(content, Budget(HANG_SECONDS, HANG_SECONDS))
        assert part.text == "before\n[picture: a cod]\nafter\n"

    assert await growth(work, page, 1_000_000) <= MOST


async def test_a_canvas_without_a_name_for_its_kind() -> None:
    """What Slack serves of a canvas or a post is a web page, whatever it is called."""
    assert await text("Plans", b"<html><body><p>Ship it</p></body></html>", "quip") == "Ship it\n"


async def test_a_word_document() -> None:
    """Headings, paragraphs, tables and footnotes, in their order; deleted text and copies for old versions are not."""
    body = (
        paragraph("Plan", "Title")
        + paragraph("Goals & aims", "Heading2")
        + "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>first</w:t><w:tab/><w:t>point</w:t></w:r></w:p>"
        + paragraph("second point", "ListBullet")
        + word_table([["who", "what"], ["ann", "cod"]])
        + "<w:p><w:r><w:delText>gone</w:delText><mc:Fallback><w:t>twice</w:t></mc:Fallback><w:t>end</w:t></w:r></w:p>"
    ).replace("<mc:Fallback>", '<mc:Fallback xmlns:mc="m">')
    file = await read("a.bin", docx(body, {"word/footnotes.xml": footnotes("a note")}))
    assert file.kind is FileKind.DOCX
    assert [part.title for part in file.parts] == ["", "Footnotes"]
    assert file.parts[0].text.splitlines() == [
        *("# Plan", "## Goals & aims", "- first\tpoint", "- second point", "| who | what |", "| ann | cod |", "end"),
    ]
    assert file.parts[1].text == "a note\n"


async def test_a_workbook() -> None:
    """Each sheet is a table: shared strings, numbers, dates, times, truth values, and gaps where no cells are."""
    cells = (
        '<row><c r="A1" t="s"><v>1</v></c><c r="C1" t="s"><v>0</v></c></row>'
        '<row><c r="A3" s="1"><v>45658</v></c><c r="B3" s="1"><v>45658.5</v></c>'
        '<c r="C3" s="0"><v>0.30000000000000004</v></c><c r="D3" t="b"><v>1</v></c><c r="E3" s="2"><v>45658</v></c>'
        "</row>"
    )
    book = xlsx(
        {"Costs": cells, "empty": "", "Notes": rows([["a|b", "c\nd"]])}, ["what", "when"], ["yyyy-mm-dd", "0.0"]
    )
    file = await read("a.xlsx", book)
    assert [part.title for part in file.parts] == [
        *("Sheet “Costs”: 2 rows × 5 columns", "Sheet “Notes”: 1 row × 2 columns"),
    ]
    assert file.parts[0].text.splitlines() == [
        *("| when |  | what |", "|---|---|---|", "| 2025-01-01 | 2025-01-01 12:00:00 | 0.3 | TRUE | 45658 |"),
    ]
    assert file.parts[1].text.startswith("| a\\|b | c d |\n")


async def test_a_wide_sheet() -> None:
    """Of a row, the first hundred columns are shown, and the others counted: where only the last cell is there, that
    costs no more than this cell. A cell that names no column, or none that can be, is the next one."""
    cells = (
        '<row><c r="B1"><v>1</v></c><c><v>2</v></c><c r="ZZZ1"><v>3</v></c><c r="B1"><v>4</v></c></row>'
        '<row><c r="XFD2"><v>5</v></c></row>'
        '<row><c r="CU3"><v>6</v></c><c><v>7</v></c><c><v>8</v></c></row>'
        '<row><c r="CW4"/></row>'
    )
    [part] = (await read("a.xlsx", xlsx({"s": cells}))).parts
    assert part.title == "Sheet “s”: 3 rows × 16,384 columns"
    assert part.text.splitlines() == [
        *("|  | 1 | 2 | 3 | 4 |", "|---|---|---|---|---|"),
        f"|{'  |' * 100} (… 16,284 more columns) |",
        f"|{'  |' * 98} 6 | 7 | (… 1 more column) |",
    ]


async def test_a_presentation() -> None:
    """Its slides in the order in which they are shown, with their notes."""
    slides = pptx(["Hello\nworld", "The end"], {1: "breathe"})
    assert (await text("a.pptx", slides)).splitlines() == [
        *("[slide 1]", "Hello", "world", "[slide 2]", "The end", "(note) breathe"),
    ]


async def test_a_pdf() -> None:
    """Its pages, in their order; pages that hold pictures only are counted."""
    file = await read("a.pdf", pdf(["The first page has some words.\nAnd a line.", "", "The third page, too, has."]))
    assert file.parts[0].text.splitlines() == [
        *("[page 1]", "The first page has some words.", "And a line.", "[page 2]", "[page 3]"),
        "The third page, too, has.",
    ]
    assert file.note == "1 of its pages hold pictures only, which were not read."


async def test_a_pdf_that_claims_more_pages_than_it_has() -> None:
    """A million, of which all but the first are broken: it is given up after ten thousand of these."""
    file = await read("a.pdf", pdf(["A page of some words."]).replace(b"/Count 1 ", b"/Count 1000000 "))
    assert file.parts[0].text == "[page 1]\nA page of some words.\n"
    assert file.note == "Only the first 10,002 of 1,000,000 pages were read. 10,001 of its pages are damaged."


async def test_a_long_pdf_is_read_as_far_as_time_allows() -> None:
    """What of it was read is said."""
    limits = FileLimits(seconds=HANG_SECONDS, cpu=2)
    file = await FileReader(limits).read("a.pdf", pdf(["A line of some words.\n" * 60] * 6_000, compress=True))
    assert isinstance(file, FileText)
    assert file.note.startswith("Only the first ")
    assert file.note.endswith(" of 6,000 pages were read.")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_a_picture_is_shrunk(kind: str) -> None:
    """To 1,024 pixels on its long side, as a JPEG; a small one keeps its size."""
    for size, expected in (((3_000, 1_500), (1_024, 512)), ((40, 300), (40, 300))):
        file = await found("a.dat", picture(kind, size))
        assert isinstance(file, Picture)
        with Image.open(BytesIO(file.data)) as shown:
            assert (file.mime, shown.format, shown.size) == ("image/jpeg", "JPEG", expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
async def test_a_picture_of_any_mode(mode: str) -> None:
    """What is transparent becomes white; grey of 16 bits stays as bright as it was."""
    image = Image.new(mode, (2_100, 30), 40_000 if mode == "I;16" else 0)
    written = BytesIO()
    image.save(written, "JPEG" if mode == "CMYK" else "PNG")
    file = await found("a.png", written.getvalue())
    assert isinstance(file, Picture)
    with Image.open(BytesIO(file.data)) as shown:
        brightness = shown.convert("L").getpixel((500, 7))
    bright = {"LA": 255, "RGBA": 255, "I;16": 156, "CMYK": 255}.get(mode, 0)
    assert isinstance(brightness, int | float)
    assert abs(brightness - bright) <= 2


async def test_a_picture_loses_what_the_camera_wrote() -> None:
    """It is turned upright, and nothing of the place and the time stays."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "secret camera"
    file = await found("a.jpg", picture("JPEG", (60, 20), exif=exif))
    assert isinstance(file, Picture)
    assert b"secret" not in file.data
    with Image.open(BytesIO(file.data)) as shown:
        assert shown.size == (20, 60)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "MPO"])
async def test_the_first_frame_of_what_moves(kind: str) -> None:
    """Several pictures in one file are the first one: an animation, or what phones write."""
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    written = BytesIO()
    frames[0].save(written, kind, save_all=True, append_images=frames[1:])
    file = await found("a.gif", written.getvalue())
    assert isinstance(file, Picture)
    with Image.open(BytesIO(file.data)) as shown:
        red, _, blue = shown.getpixel((4, 4))  # type: ignore[misc]
        assert red > 200 > 50 > blue


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty."),
        (gzip.compress(b"words"), "it is an archive. Send the files that are in it."),
        (zipped({"a.txt": b"words"}), "it is an archive. Send the files that are in it."),
        (zipped({"content.xml": b""}), "I can't open documents of this kind. Save it as .docx, .xlsx, .pptx or PDF."),
        (pdf([""]), "its pages hold pictures only. Send it with its text, or the pages as PNG or JPEG."),
        (docx(""), "there is no text in it."),
        (docx("")[:90], "it is damaged, or not what it says. Save it again, or send it as another kind of file."),
    ],
    ids=lambda each: "" if isinstance(each, bytes) else each,
)
async def test_what_is_not_read_gets_a_sentence(content: bytes, words: str) -> None:
    """It names the file, says why, and what to do."""
    file = await found("../up\n/my file", content)
    assert isinstance(file, Unread)
    assert (file.name, file.reason) == ("my file", words)


async def test_a_file_over_the_limit_is_not_read() -> None:
    """Whatever it said before of its size."""
    file = await FileReader(FileLimits(content=10)).read("a.txt", b"eleven char")
    assert file == Unread("a.txt", Trouble.LARGE)
