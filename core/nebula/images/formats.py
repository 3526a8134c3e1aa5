"""Which bytes count as a picture: PNG, JPEG and WebP, of a size that people's programs can show.

Only the beginning is looked at. Nothing here decodes a picture, and nothing runs what is in it.
"""

import struct

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_MOST_PIXELS = 40_000_000
# Segments of a JPEG that say how large it is (ITU-T T.81, table B.1): all SOF, which DHT, JPG and DAC are not.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def kind_of(content: bytes) -> str:
    """The kind of a picture, "png", "jpeg" or "webp"; "" for anything else, and for one that is too large to show."""
    if content.startswith(_PNG):
        return "png" if content[12:16] == b"IHDR" and _fits(content, 16, ">II") else ""
    if content.startswith(_JPEG):
        return "jpeg" if _fits(content, _frame(content), ">HH") else ""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp" if _is_webp(content) else ""
    return ""


def _fits(content: bytes, at: int, form: str) -> bool:
    """Whether the two sides that are written here make a picture that can be shown."""
    if at < 0 or len(content) < at + struct.calcsize(form):
        return False
    return _can_be_shown(*struct.unpack_from(form, content, at))


def _can_be_shown(width: int, height: int) -> bool:
    return 0 < width * height <= _MOST_PIXELS


def _frame(content: bytes) -> int:
    """Where a JPEG says how large it is; -1 if it does not."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        if content[at + 1] in _FRAMES:
            return at + 5
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
    return -1


def _is_webp(content: bytes) -> bool:
    """Whether a WebP can be shown (developers.google.com, WebP Container Specification; RFC 6386 and 9649)."""
    if len(content) < 30:
        return False
    match content[12:16]:
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
        case b"VP8L":
            sides = int.from_bytes(content[21:25], "little")
            width, height = (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        case _:
            return False
    return _can_be_shown(width, height)
