"""Files of several people at once: nobody's download waits for what others have sent."""

import asyncio

from core.domain.conversation import Attachment, Author, Place
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.files.attachments import MOST_FILES, AttachmentReader, FileBounds
from core.files.found import FileText
from core.files.reader import FileLimits, FileReader
from tests.bounds import HANG_SECONDS

HERE = Place("test", "w", "c")


def question(person: str, *files: str) -> Question:
    """A question with these files."""
    attachments = tuple(Attachment(name, "", "", 1, file=name) for name in files)
    return Question(TurnId(f"{person}{files}"), HERE, Author(person, person), "hi", attachments=attachments)


async def test_a_download_does_not_wait_for_those_of_one_other_person() -> None:
    """Here they never end, and there are many."""
    begun = asyncio.Event()

    async def fetch(platform: str, attachment: Attachment, most: int) -> bytes:
        if attachment.file.startswith("slow"):
            begun.set()
            await asyncio.get_running_loop().create_future()
        return b"words"

    patient = FileReader(FileLimits(seconds=HANG_SECONDS))
    files = AttachmentReader(fetch, patient, FileBounds(question=10**9, seconds=HANG_SECONDS))
    many = [question("ann", *(f"slow{number}-{each}" for each in range(MOST_FILES))) for number in range(4)]
    waiting = [asyncio.create_task(files.of(each, files.deadline())) for each in many]
    await begun.wait()
    try:
        [file] = (await files.of(question("bob", "a.txt"), files.deadline())).files
        assert isinstance(file, FileText)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
