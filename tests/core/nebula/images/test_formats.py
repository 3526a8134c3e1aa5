"""Which bytes count as a picture: a file that only claims to be one never reaches people."""

import io
import struct

import pytest
from PIL import Image

from core.nebula.images.formats import kind_of

HUGE = 7_000  # pixels: its square is too many


def drawn(kind: str, side: int = 20, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (drawn("PNG"), "png"),
        (drawn("JPEG"), "jpeg"),
        (drawn("JPEG", progressive=True), "jpeg"),
        (drawn("WEBP"), "webp"),
        (drawn("WEBP", lossless=True), "webp"),
        (drawn("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"), "webp"),
    ],
    ids=["png", "jpeg", "progressive", "lossy", "lossless", "extended"],
)
def test_pictures_are_recognised(content: bytes, kind: str) -> None:
    """All that the API can make, as a real program writes them."""
    assert kind_of(content) == kind


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x00" * 5,
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPVP8Z" + bytes(30),
        b"RIFF\0\0\0\0WAVEfmt ",
        drawn("GIF"),
        drawn("BMP"),
        drawn("TIFF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><html></html>",
        b"%PDF-1.7",
        b"MZ\x90\0",
        b"\x7fELF",
        b"PK\x03\x04",
    ],
)
def test_anything_else_is_none(content: bytes) -> None:
    """No other format, nothing that could run, and nothing that only begins like a picture."""
    assert kind_of(content) == ""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_nobody_can_show_is_none(kind: str) -> None:
    """A small file may hold a square of billions of points, and people's programs would choke on it."""
    assert kind_of(drawn(kind, HUGE)) == ""


def test_a_picture_without_a_side_is_none() -> None:
    """A PNG of no width."""
    content = bytearray(drawn("PNG"))
    struct.pack_into(">I", content, 16, 0)
    assert kind_of(bytes(content)) == ""
