"""What comes of reading a file: its text, a picture, or a sentence that says why there is neither."""

from dataclasses import dataclass

from core.files.kinds import FileKind, Trouble
from core.files.part import Part

_REASONS = {
    Trouble.EMPTY: "it is empty.",
    Trouble.BINARY: "it is neither text nor any other kind of file that I know. Send it as text or PDF.",
    Trouble.ARCHIVE: "it is an archive. Send the files that are in it.",
    Trouble.PROGRAM: "it is a program.",
    Trouble.RECORDING: "it is a recording. I can't listen or watch; send what is said in it as text.",
    Trouble.DRAWING: "it is a drawing (SVG). Send it as a PNG picture.",
    Trouble.OTHER_PICTURE: "I can't open pictures of this kind, such as HEIC, AVIF or TIFF. Send it as PNG or JPEG.",
    Trouble.OTHER_OFFICE: "I can't open documents of this kind. Save it as .docx, .xlsx, .pptx or PDF.",
    Trouble.ENCRYPTED: "it is encrypted. Send it without a password.",
    Trouble.DAMAGED: "it is damaged, or not what it says. Save it again, or send it as another kind of file.",
    Trouble.SCANNED: "its pages hold pictures only. Send it with its text, or the pages as PNG or JPEG.",
    Trouble.NO_TEXT: "there is no text in it.",
    Trouble.LARGE: "it is too large. Send the part of it that matters.",
    Trouble.UNPACKED: "what is packed in it is too large. Send the part of it that matters.",
    Trouble.PIXELS: "it has too many pixels. Send a picture of at most 40 megapixels.",
    Trouble.TIME: "it takes too long to read. Send the part of it that matters.",
    Trouble.MEMORY: "it takes too much memory to read, or it is damaged. Send the part of it that matters.",
    Trouble.BUSY: "something went wrong on my side. Please try again.",
    Trouble.FORBIDDEN: "I am not allowed to read it. Whoever runs me can give me the right to read files.",
    Trouble.ELSEWHERE: "it is kept somewhere else. Send the file itself.",
    Trouble.DELETED: "it was deleted.",
    Trouble.HIDDEN: "it is hidden: it is older than this workspace's plan shows. Send it again.",
    Trouble.UNREACHABLE: "I could not fetch it. Please try again, or send it once more.",
    Trouble.LATE: "I could not fetch it in time. Please try again.",
    Trouble.MANY: "there are too many files, or too much is in them. Send those that matter.",
    Trouble.UNSEEN: "this model can't see pictures.",
}


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of a file. `name` is harmless; `parts` are its sheets, or one part with all of it; `note`: a sentence
    about what of it was not read, "" if all was."""

    name: str
    kind: FileKind
    parts: tuple[Part, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that was not read."""

    name: str
    trouble: Trouble

    @property
    def reason(self) -> str:
        """Why, and what to do, for people, as what follows a colon."""
        return _REASONS[self.trouble]
