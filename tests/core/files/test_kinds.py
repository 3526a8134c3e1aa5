"""What a file is: its bytes decide, and its name and type only say which kind of text it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.files.kinds import FileKind, Trouble, recognise
from tests.core.files.documents import docx, pdf, picture
from tests.growth import MOST, growth


@pytest.mark.parametrize(
    ("content", "name", "hint", "kind"),
    [
        (b"words", "a.md", "", FileKind.MARKDOWN),
        (b"a,b", "table.CSV", "", FileKind.CSV),
        (b"a,b", "download", "text/csv; charset=utf-8", FileKind.CSV),
        (b"a,b", "Untitled", "csv", FileKind.CSV),  # Slack's word
        (b"a\tb", "a.tsv", "text/plain", FileKind.TSV),
        (b"{}", "a.json", "", FileKind.JSON),
        (b"print(1)", "a.py", "text/x-python", FileKind.TEXT),
        (b"<?xml version='1.0'?><a/>", "feed", "", FileKind.XML),
        (b"\n<!-- x --><!DOCTYPE html><p>", "page.txt", "text/plain", FileKind.HTML),
        ("<html lang='de'>".encode("utf-16"), "canvas", "", FileKind.HTML),
        (b"words", "a.pdf", "application/pdf", FileKind.TEXT),
        (b"junk\n%PDF-1.7", "a.txt", "text/plain", FileKind.PDF),
        (docx(""), "a.zip", "", FileKind.ZIP),
        (picture("JPEG"), "a.png", "image/png", FileKind.PICTURE),
        (picture("WEBP"), "a.docx", "", FileKind.PICTURE),
        (b"MZ is no program, and BMW no picture", "a.txt", "", FileKind.TEXT),
        (b"", "a.txt", "", Trouble.EMPTY),
        (b" \n\x00\n", "a.txt", "", Trouble.EMPTY),
        (b"MZ\x90\x00", "a.txt", "", Trouble.PROGRAM),
        (b"\x1f\x8b\x08", "a.txt", "", Trouble.ARCHIVE),
        (b"\x00\x00\x00\x18ftypheic", "a.jpg", "image/jpeg", Trouble.OTHER_PICTURE),
        (b"\x00\x00\x00\x18ftypM4A ", "voice.mp4", "video/mp4", Trouble.RECORDING),
        (b"<?xml version='1.0'?>\n<!-- a --><svg xmlns=''>", "a.png", "", Trouble.DRAWING),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9), "a.doc", "", Trouble.OTHER_OFFICE),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "a.docx",
            "",
            Trouble.ENCRYPTED,
        ),
    ],
    ids=lambda each: "" if isinstance(each, bytes) else str(each),
)
def test_bytes_decide(content: bytes, name: str, hint: str, kind: FileKind | Trouble) -> None:
    """A beginning that is known goes before the name; among texts, the name and the type choose."""
    assert recognise(content, name, hint) is kind


@given(st.binary(max_size=600), st.text(max_size=20), st.text(max_size=20))
def test_anything_is_something(content: bytes, name: str, hint: str) -> None:
    """Whatever the bytes, the name and the type."""
    assert recognise(pdf([])[:9] + content, name, hint) is FileKind.PDF
    assert isinstance(recognise(content, name, hint), FileKind | Trouble)


@pytest.mark.parametrize("unit", ["<!---->", "<!-- -->", "<?xml?>", " ", "<!-- ", "<!--<?xml?>-->"])
async def test_what_is_above_the_root_costs_in_proportion(unit: str) -> None:
    """In the bot's own process: there is one way to read it, whatever comes after it."""
    assert await growth(lambda text: recognise(f"{text}x".encode()), lambda n: unit * (n // len(unit)), 2_000) <= MOST


@pytest.mark.parametrize("above", ["<!---->" * 30, "<!-- a --> \n<?xml version='1.0'?><!-->-->"])
def test_comments_above_the_root_are_passed_over(above: str) -> None:
    """Any number of them, with any text."""
    assert recognise(f"{above}<html>".encode()) is FileKind.HTML
    assert recognise(f"{above}<svg>".encode()) is Trouble.DRAWING
