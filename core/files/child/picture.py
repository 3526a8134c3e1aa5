"""Shrinks a picture for the model, without decoding one that has too many pixels; nothing of its metadata stays."""

from io import BytesIO

from PIL import ExifTags, Image, ImageOps, MpoImagePlugin, UnidentifiedImageError, WebPImagePlugin

from core.files.child.trouble import UnreadableFile
from core.files.kinds import Trouble

LONG_SIDE = 1_024
"""Pixels: for a picture of this size, a vision model pays about 1,000 tokens (Qwen2.5-VL: one for 28 × 28 pixels)."""
MOST_PIXELS = 40_000_000
_LARGE = 10_000_000  # pixels of a WebP, of which libwebp holds all, once or twice
# MPO: a JPEG with more pictures behind the first, as phones write it.
_WEBP = WebPImagePlugin.WebPImageFile.format
_FORMATS = ("PNG", "JPEG", "GIF", _WEBP, MpoImagePlugin.MpoImageFile.format)
_QUALITY = 88
_STRIP = 512  # rows of a picture that are shrunk at a time

Image.MAX_IMAGE_PIXELS = None  # it only warns from there on; ours is above


def read(content: bytes) -> bytes:
    """A JPEG whose long side has at most LONG_SIDE pixels, of the first frame, on white."""
    try:
        picture = Image.open(BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError:
        raise UnreadableFile(Trouble.DAMAGED) from None
    # a JPEG is decoded at a half, a quarter or an eighth of its size, unless all of it is needed at once
    if not picture.info.get("progressive"):
        scale = min(1.0, LONG_SIDE / max(picture.size))
        picture.draft("RGB", (round(picture.width * scale), round(picture.height * scale)))
    if picture.width * picture.height > MOST_PIXELS:
        raise UnreadableFile(Trouble.PIXELS)
    try:
        small = ImageOps.exif_transpose(_shrunk(picture))
    except OSError:
        # libwebp says the same of a damaged picture as of one that has no room
        large = picture.format == _WEBP and picture.width * picture.height > _LARGE
        raise UnreadableFile(Trouble.MEMORY if large else Trouble.DAMAGED) from None
    written = BytesIO()
    small.save(written, "JPEG", quality=_QUALITY, subsampling=0)
    return written.getvalue()


def _shrunk(picture: Image.Image) -> Image.Image:
    """By a whole factor first, and strip by strip: a conversion of the whole would double the memory."""
    factor = max(1, max(picture.size) // (2 * LONG_SIDE))
    rows = max(1, _STRIP // factor) * factor
    small = Image.new("RGB", (-(-picture.width // factor), -(-picture.height // factor)), "white")
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(picture.height, top + rows)))
        if strip.mode.startswith("I"):  # 16 bits of grey, of which a conversion would keep the lower half
            strip = strip.point(lambda grey: grey / 256).convert("L")
        strip = strip.convert("RGBA" if picture.has_transparency_data else "RGB").reduce(factor)
        small.paste(strip, (0, top // factor), strip if strip.mode == "RGBA" else None)
    small.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    small.getexif()[ExifTags.Base.Orientation] = picture.getexif().get(ExifTags.Base.Orientation, 1)
    return small


def _warm_up() -> None:
    """Pillow imports many modules only when it needs them, and no file can be opened then."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for kind in _FORMATS:
        written = BytesIO()
        Image.new("RGBA" if kind == "PNG" else "RGB", (1, 1)).save(written, kind, exif=exif)
        read(written.getvalue())


_warm_up()
