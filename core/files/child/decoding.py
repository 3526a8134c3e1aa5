"""Decodes the bytes of a text: by their mark, as UTF-8, or by a guess among the encodings that are in use."""

import codecs

# The longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Encodings that the web knows (https://encoding.spec.whatwg.org). Without such a list, short texts are taken for DOS.
_OLD = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("koi8_r", "koi8_u", "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_8", "mac_roman"),
    *("shift_jis", "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "cp949"),
]
_SAMPLE = 16_384  # bytes that a guess needs
_LOOKED_AT = 65_536
# No text has more control characters than this share of it; a short one may have these few.
_MOST_CONTROLS, _FEW_CONTROLS = 0.01, 3
# Logs of terminals and manuals (BEL, backspace, escape) are texts.
_CONTROLS = bytes(each for each in range(32) if each not in b"\a\b\t\n\v\f\r\x1b")


def prepare(content: bytes) -> None:
    """Import what `decoded` needs for these bytes, of which this asks Python alone whether they are UTF-8.

    A guess is rarely needed, and takes longer to import than most texts to read.
    """
    for _, encoding in _MARKS:
        codecs.lookup(encoding)
    try:
        content.decode()
    except UnicodeDecodeError:
        import charset_normalizer  # noqa: F401

        for encoding in ("ascii", *_OLD):
            codecs.lookup(encoding)


def decoded(content: bytes) -> str | None:
    """The text without its mark; None if this is none. What it imports must be there: see `prepare`."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    begin = content[:_LOOKED_AT]
    if wide := _wide(begin):
        return content.decode(wide, "replace")
    if _are_many(len(begin) - len(begin.translate(None, _CONTROLS)), len(begin)):
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if len(content) - error.start < 4 and error.start:  # it was cut within a character
            return content[: error.start].decode()
    mended = content.decode("utf-8", "replace")
    wrong = mended.count("\ufffd")
    if len(mended) - len(mended.encode("ascii", "ignore")) > 2 * wrong:  # characters of UTF-8 hardly come by chance
        return mended
    return _guessed(content)


def _are_many(controls: int, length: int) -> bool:
    return controls > max(_MOST_CONTROLS * length, min(_FEW_CONTROLS, length / 10))


def _wide(begin: bytes) -> str:
    """UTF-16 without a mark shows by the zeros beside ASCII; "" if it is not that."""
    if (zeros := begin.count(b"\x00")) < len(begin) // 4:
        return ""
    odd = begin[1::2].count(b"\x00")
    wide = "utf-16-le" if odd > 0.95 * zeros else "utf-16-be" if odd < 0.05 * zeros else ""
    return wide if wide and _is_likely(begin, begin.decode(wide, "replace")) else ""


def _is_likely(begin: bytes, text: str) -> bool:
    """Whether these bytes are a text in UTF-16: numbers would become control characters, and words between zeros
    Chinese ones."""
    controls = sum(text.count(chr(each)) for each in _CONTROLS) + text.count("\ufffd")
    words = begin.replace(b"\x00", b"")
    if _are_many(controls, len(text)):
        return False
    if len(words) <= 1.1 * (len(begin) - len(words)):  # nearly all characters have a zero
        return True
    try:
        codecs.utf_8_decode(words, "strict", False)  # it may be cut within a character
    except UnicodeDecodeError:
        return True
    return False


def _guessed(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    telling = (line for line in content.splitlines(keepends=True) if not line.isascii())
    sample = b""
    for line in telling:
        sample += line[: _SAMPLE - len(sample)]
        if len(sample) >= _SAMPLE:
            break
    best = from_bytes(sample, cp_isolation=_OLD).best()
    if best is not None:
        return content.decode(best.encoding, "replace")
    ascii_only = len(content.translate(None, bytes(range(128, 256))))
    return content.decode("cp1252", "replace") if ascii_only > 0.7 * len(content) else None
