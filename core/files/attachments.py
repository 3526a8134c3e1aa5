"""Reads the files of a question and of its dialogue when it is answered, in time and in bounds, and keeps nothing of
what is in them."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cachetools import TTLCache

from core.domain.chat import Picture
from core.domain.conversation import Attachment, Exchange
from core.domain.errors import Forbidden, Gone, Hidden, PlatformError, Rejected, TooLong
from core.domain.question import Question
from core.domain.surroundings import Surroundings
from core.files.found import FileText, Unread
from core.files.kinds import Trouble
from core.files.reader import FileReader
from core.files.slots import FairSlots

log = logging.getLogger(__name__)

Fetch = Callable[[str, Attachment, int], Awaitable[bytes]]
"""The content of a file on a platform, at most so many bytes of it. Raises PlatformError."""

MOST_FILES = 10  # of a question; Discord's and Slack's own clients send no more
MOST_PICTURES = 4
MOST_OF_ROOM = 3  # files of other messages
# A question may go on about the files of so many exchanges before it, the newest of them.
RECENT, MOST_EARLIER = 10, 3
# In one process, and for one person of it: each holds a file's bytes.
AT_ONCE, OF_ONE_PERSON = 4, 2
# Files that took long for nothing: for so many seconds only their own question, and one about them, waits for them.
_MOST_VAIN, _VAIN_SECONDS = 10_000, 600.0
_MOST_SENTENCES, _MOST_NAMES = 3, 5  # of the small print
_PASSING = (Trouble.LATE, Trouble.UNREACHABLE, Trouble.BUSY)  # another time the file may be read
# A question about files that others sent.
_ABOUT_FILES = re.compile(
    r"\b(?:files?|attach(?:ed|ments?)|documents?|pdfs?|spreadsheets?|pictures?|images?|photos?|screenshots?|uploaded)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FileBounds:
    """How much is read. `file`, `question`: bytes of a file, and of all files of a question; `seconds`: how long a
    question waits for its files."""

    file: int = 10_000_000
    question: int = 25_000_000
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Attached:
    """What came of a question's files, in their order. `sizes`: the bytes of each, 0 if they were not fetched. Two may
    have one name, and two pictures be the same. `earlier`: how many of the first are files of questions before it."""

    files: tuple[FileText | Picture | Unread, ...] = ()
    sizes: tuple[int, ...] = ()
    earlier: int = 0

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures among them, the newest of which count."""
        return tuple(each for each in self.files if isinstance(each, Picture))

    @property
    def has_text(self) -> bool:
        """Whether the text of a file was read that the question brought along."""
        return any(isinstance(each, FileText) for each in self.files[self.earlier :])

    def quotable_earlier(self) -> list[FileText | Unread]:
        """The files of questions before this one."""
        return [each for each in self.files[: self.earlier] if not isinstance(each, Picture)]

    def quotable(self, seen: Sequence[Picture]) -> list[FileText | Unread]:
        """All others but the pictures that the model sees: a picture that it does not see is a file that is not
        read."""
        found: list[FileText | Unread] = []
        for each in self.files[self.earlier :]:
            if not isinstance(each, Picture):
                found.append(each)
            elif not _is_in(seen, each):
                found.append(Unread(each.name, Trouble.UNSEEN))
        return found

    def small_print(self, seen: Sequence[Picture], cut: Sequence[str] = (), *, again: bool = False) -> str:
        """The sentences that say what was read, and what not and why; "" if there are no files. `cut`: the names of
        those of which the middle was left out. `again`: files of earlier questions were quoted."""
        read = [
            f"{each.name} ({_size(size)})" if isinstance(each, FileText) or _is_in(seen, each) else ""
            for each, size in zip(self.files, self.sizes, strict=True)
        ]
        old, new = (list(filter(None, each)) for each in (read[: self.earlier], read[self.earlier :]))
        unseen = [each.name for each in self.pictures if not _is_in(seen, each)]
        sentences = [f"Read {_listed(new)}."] if new else []
        if again and old:
            sentences.append(f"Read again: {_listed(old)}.")
        if cut:
            sentences.append(f"Too long to read whole, so I left out the middle: {_listed(cut)}.")
        if unseen:
            sentences.append(f"I can't see pictures: {_listed(unseen)}.")
        reasons: dict[str, list[str]] = {}
        for each in self.files:
            if isinstance(each, Unread):
                reasons.setdefault(each.reason, []).append(each.name)
        told = list(reasons.items())[:_MOST_SENTENCES]
        sentences += [f"I can't read {_listed(names)}: {reason}" for reason, names in told]
        if len(reasons) > len(told):
            more = sum(map(len, reasons.values())) - sum(len(names) for _, names in told)
            sentences.append(f"Nor can I read {more} more.")
        return " ".join(sentences)

    def plus(self, other: "Attached") -> "Attached":
        """Both together."""
        return _few_pictures(Attached(self.files + other.files, self.sizes + other.sizes))

    def behind(self, earlier: "Attached") -> "Attached":
        """The same, with files of earlier questions before them."""
        return Attached(earlier.files + self.files, earlier.sizes + self.sizes, len(earlier.files))


NOTHING_ATTACHED = Attached()


class AttachmentReader:
    """Fetches files from their platform and reads them."""

    def __init__(self, fetch: Fetch, reader: FileReader, bounds: FileBounds | None = None) -> None:
        self._fetch, self._reader = fetch, reader
        self._bounds = bounds or FileBounds()
        self._slots = FairSlots(AT_ONCE, OF_ONE_PERSON)
        self._vain: TTLCache[str, Trouble] = TTLCache(_MOST_VAIN, _VAIN_SECONDS)

    def deadline(self) -> float:
        """Until when a question that begins to wait for files now may do so, by the loop's clock."""
        return asyncio.get_running_loop().time() + self._bounds.seconds

    async def of(self, question: Question, until: float) -> Attached:
        """The files of a question; never raises."""
        return await self._read(question, question.attachments, self._bounds.question, until)

    async def of_dialogue(self, question: Question, dialogue: Sequence[Exchange], until: float) -> Attached:
        """The newest files of the exchanges just before a question, since it may go on about them; never raises. In a
        channel these are the asker's own. Of those that will never be read again, it names what the question is about;
        those that took long for nothing are not tried again for any other question.
        """
        known = {each.identity for each in question.attachments}
        found = {
            file.identity: file
            for each in dialogue[-RECENT:]
            if _goes_on(question, each)
            for file in each.files
            if file.identity not in known
        }
        about = _ABOUT_FILES.search(question.text)

        def asked_for(name: str) -> bool:
            return bool(about) or name in question.text

        newest = list(found.values())[-MOST_EARLIER:]
        tried = [each for each in newest if asked_for(each.name) or self._vain.get(_key(question, each)) is None]
        read = await self._read(question, tried, self._bounds.file, until)

        def matters(file: FileText | Picture | Unread) -> bool:
            match file:
                case Unread(name, trouble):
                    return trouble in _PASSING or asked_for(name)
                case _:
                    return isinstance(file, FileText)

        pairs = [each for each in zip(read.files, read.sizes, strict=True) if matters(each[0])]
        return Attached(tuple(file for file, _ in pairs), tuple(size for _, size in pairs))

    async def of_room(self, question: Question, around: Surroundings, own: Attached, until: float) -> Attached:
        """The newest files of the messages that the question refers to, and of all around it if it speaks of files, in
        what its own files left of its bounds; never raises. Those that took long for nothing are tried again only if
        the question refers to them."""
        said = list(around.referred)
        if _ABOUT_FILES.search(question.text):
            said = [*around.messages, *said]
        known = {each.identity for each in question.attachments}
        found = {file.identity: file for each in said for file in each.files if file.identity not in known}
        newest = list(found.values())[-MOST_OF_ROOM:]
        referred = {file.identity for each in around.referred for file in each.files}
        vain = {
            each.identity: _unread(each, trouble)
            for each in newest
            if each.identity not in referred and (trouble := self._vain.get(_key(question, each))) is not None
        }
        left = self._bounds.question - sum(own.sizes)
        read = await self._read(question, [each for each in newest if each.identity not in vain], left, until)
        return Attached(tuple(vain.values()), (0,) * len(vain)).plus(read)

    async def _read(self, question: Question, attachments: Sequence[Attachment], left: int, until: float) -> Attached:
        """What is in these files, of which `left` bytes may be fetched. As many are fetched side by side as may all be
        as large as one file may be."""
        if not attachments:
            return NOTHING_ATTACHED
        found: dict[int, FileText | Picture | Unread] = {}
        sizes: dict[int, int] = {}
        begun: dict[int, float] = {}
        waiting = places = list(range(min(MOST_FILES, len(attachments))))
        try:
            async with asyncio.timeout_at(until):
                while waiting and left > 0:
                    side_by_side = waiting[: max(1, min(AT_ONCE, left // self._bounds.file))]
                    waiting = waiting[len(side_by_side) :]
                    most = min(self._bounds.file, left)
                    async with asyncio.TaskGroup() as group:
                        for place in side_by_side:
                            group.create_task(self._one(question, attachments[place], place, most, begun, found, sizes))
                    left -= sum(sizes.get(place, 0) for place in side_by_side)
        except TimeoutError:
            log.info("turn %s: not all of its files could be fetched in time", question.id)
            found |= {place: _unread(attachments[place], Trouble.LATE) for place in places if place not in found}
        enough = until - self._bounds.seconds / 2  # others may have held up what began later
        for place, file in found.items():
            slow = begun.get(place, until) < enough
            if isinstance(file, Unread) and _is_vain(file.trouble, fetched=place in sizes, slow=slow):
                self._vain[_key(question, attachments[place])] = file.trouble
        files = [found.get(place) or _unread(each, Trouble.MANY) for place, each in enumerate(attachments)]
        return _few_pictures(Attached(tuple(files), tuple(sizes.get(place, 0) for place in range(len(files)))))

    async def _one(
        self,
        question: Question,
        attachment: Attachment,
        place: int,
        most: int,
        begun: dict[int, float],
        found: dict[int, FileText | Picture | Unread],
        sizes: dict[int, int],
    ) -> None:
        """Read one file of at most `most` bytes. A file that says it is larger is not fetched; no other says how large
        it is, whatever it says. `begun`: when each began to be fetched."""
        platform = question.place.platform
        person = f"{platform}/{question.author.id}"
        async with self._slots.one(person):
            try:
                if attachment.size > most:
                    raise TooLong(f"{attachment.size} bytes")
                begun[place] = asyncio.get_running_loop().time()
                content = await self._fetch(platform, attachment, most)
                sizes[place] = len(content)
                found[place] = await self._reader.read(attachment.name, content, attachment.kind, person)
            except PlatformError as error:
                log.info("turn %s: can't fetch a file: %s: %s", question.id, type(error).__name__, error)
                small = isinstance(error, TooLong) and most < self._bounds.file and attachment.size <= self._bounds.file
                found[place] = _unread(attachment, Trouble.MANY if small else _trouble(error))
            except Exception:
                log.exception("turn %s: reading a file failed", question.id)
                found[place] = _unread(attachment, Trouble.BUSY)


def kept(attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """The files that later questions may go on about: a picture is never sent again."""
    return tuple(each for each in attachments if not each.kind.startswith("image/"))[-MOST_EARLIER:]


def _goes_on(question: Question, exchange: Exchange) -> bool:
    """Whether a question may be about what an exchange was about."""
    place = question.place
    return place.direct or bool(place.thread) or question.private or exchange.asked_by(question.author.id)


def _few_pictures(attached: Attached) -> Attached:
    """The same, of whose pictures only the newest are left."""
    old = attached.pictures[:-MOST_PICTURES]
    files = (Unread(each.name, Trouble.MANY) if _is_in(old, each) else each for each in attached.files)
    return replace(attached, files=tuple(files)) if old else attached


def _is_in(pictures: Sequence[Picture], file: object) -> bool:
    """Whether this very file is one of the pictures: another one may hold the same."""
    return any(each is file for each in pictures)


def _is_vain(trouble: Trouble, *, fetched: bool, slow: bool) -> bool:
    """Whether a file took long for nothing: it came and can't be read, or had time enough and did not come."""
    return trouble not in _PASSING if fetched else slow and trouble is Trouble.LATE


def _key(question: Question, attachment: Attachment) -> str:
    return f"{question.place.platform}/{attachment.identity}"


def _unread(attachment: Attachment, trouble: Trouble) -> Unread:
    return Unread(attachment.name, trouble)


_TROUBLES: Mapping[type[PlatformError], Trouble] = {
    TooLong: Trouble.LARGE,
    Rejected: Trouble.ELSEWHERE,
    Hidden: Trouble.HIDDEN,
    Forbidden: Trouble.FORBIDDEN,
    Gone: Trouble.DELETED,
}


def _trouble(error: PlatformError) -> Trouble:
    return next((trouble for kind, trouble in _TROUBLES.items() if isinstance(error, kind)), Trouble.UNREACHABLE)


def _listed(names: Iterable[str]) -> str:
    """Names as people list them, the first of many."""
    found = list(names)
    if len(found) > _MOST_NAMES:
        found = [*found[:_MOST_NAMES], f"{len(found) - _MOST_NAMES} more"]
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))


def _size(count: int) -> str:
    """A number of bytes as people write it."""
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1_000:.0f} KB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
