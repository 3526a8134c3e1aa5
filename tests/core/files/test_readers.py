"""What the readers find in this process, where coverage can count them, and in one whose rights were taken away."""

import pytest

from core.domain.chat import Picture
from core.files.child import picture
from core.files.child.isolation import Budget
from core.files.child.reading import reader_of
from core.files.found import FileText
from core.files.kinds import FileKind, recognise
from core.files.reader import FileLimits, FileReader
from tests.bounds import HANG_SECONDS
from tests.core.files.test_hostile import SAMPLES

LIMITS = FileLimits(seconds=HANG_SECONDS)
READ = [*(("a", content) for content in SAMPLES), ("a.csv", b'a,"b\nc",d\n' * 99), ("a.tsv", b"a\tb\n" * 99)]


@pytest.mark.parametrize(("name", "content"), READ, ids=range(len(READ)))
async def test_no_reader_needs_the_rights_that_are_taken_away(name: str, content: bytes) -> None:
    """It finds the same with them."""
    kind = recognise(content, name, "")
    assert isinstance(kind, FileKind)
    found = await FileReader(LIMITS).read(name, content)
    if kind is FileKind.PICTURE:
        assert isinstance(found, Picture)
        assert picture.read(content)
        return
    assert isinstance(found, FileText)
    _, parts, _ = reader_of(kind, content, Budget(10 * HANG_SECONDS, HANG_SECONDS))()
    assert [part.head.strip() for part in parts] == [part.head.strip() for part in found.parts]
