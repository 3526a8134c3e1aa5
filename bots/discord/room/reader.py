"""Reads the room around a question: its thread or channel, and what it replies to or links to."""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

from cachetools import FIFOCache

from bots.discord.api.names import NO_GUILD
from bots.discord.api.rest import Rest
from bots.discord.room.access import Access
from bots.discord.room.files import Brought, files_of
from bots.discord.room.history import History
from bots.discord.room.said import (
    FORWARD,
    STARTER,
    GuildView,
    Json,
    author_of,
    chosen,
    is_written,
    number_of,
    people_in,
    reply_to,
    role_of,
    said,
)
from core.awake import awake
from core.domain.conversation import digest
from core.domain.errors import Forbidden, Gone, PlatformError, SlowDown, Unreachable
from core.domain.options import Context
from core.domain.question import Question, Reads
from core.domain.surroundings import Gap, Reach, Role, Said, Surroundings

# Whoever asks gives us five seconds; by then we must have returned what was found.
SECONDS = 4.0
PAGE = 100  # the most messages of one call (docs.discord.com, Get Channel Messages)
_MORE = 20  # how many more are asked for than needed: news of pins and the like are left out
LINKS = 3  # how many of a question's links are followed
_LINK = re.compile(r"https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/channels/(@me|\d{1,20})/(\d{1,20})/(\d{1,20})")
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event told of a question. By default another process heard it."""

    replies: bool = True
    reads: bool | None = None


UNHEARD = Heard()


class Reader:
    """Reads at the time of the turn, in whichever process runs it; nothing of it is kept."""

    def __init__(self, rest: Rest) -> None:
        self._history = History(rest)
        self._access = Access(rest, self._history)
        self._heard: FIFOCache[str, Heard] = FIFOCache(_REMEMBERED)

    def heard(self, question: Question, *, replies: bool, reads: bool | None) -> None:
        """A question was heard in this process, and what the event told need not be looked up.

        `replies`: it replies to a message. `reads`: its author may read the history of the place; None if not known.
        """
        self._heard[question.message or question.id] = Heard(replies, reads)

    async def surroundings(self, question: Question, reach: Reach, view: GuildView) -> Surroundings:
        """What was said around a question, as far as Discord told it in time."""
        if question.place.visiting:
            return _barred(question, reach)
        heard = self._heard.get(question.message or question.id, UNHEARD)
        reading = _Reading(self._history, self._access, question, reach, view, heard)
        try:
            async with awake(SECONDS):
                await reading.run()
        except TimeoutError:
            reading.gaps.add(Gap.TIME)
        return reading.result()

    async def message(self, channel: str, message: str, view: GuildView) -> Brought | None:
        """A message that somebody chose with its files, read anew; None if Discord does not show it. Never raises."""
        try:
            async with awake(SECONDS):
                found = await self._history.message(channel, message)
            said = chosen(found, view)
        except (PlatformError, TimeoutError, AttributeError, KeyError, TypeError, ValueError):
            return None
        return Brought((said,), files_of(found)) if said.text else None


def _barred(question: Question, reach: Reach) -> Surroundings:
    """What can be read where the bot is no member: nothing, and Discord is not even asked."""
    reads = question.place.thread or question.reads is not Reads.USUAL or reach.context is Context.ROOM
    return Surroundings(gaps=frozenset({Gap.PERMISSION} if reads or _LINK.search(question.text) else ()))


@dataclass(slots=True)
class _Past:
    """The messages of one channel, newest first, as far as they have been read.

    `whole`: there are no older ones that matter. `more`: there are, which do not fit.
    """

    messages: list[Json] = field(default_factory=list)
    whole: bool = False
    more: bool = False


class _Reading:
    """What was read for one question; it is filled step by step, so that something is there when time is up."""

    def __init__(
        self, history: History, access: Access, question: Question, reach: Reach, view: GuildView, heard: Heard
    ) -> None:
        self._history, self._access = history, access
        self._question, self._reach, self._view, self._heard = question, reach, view, heard
        self._place = question.place
        self._home = question.place.thread or question.place.channel
        self._until = _number(question.message) + 1 if question.message.isdecimal() else _snowflake(question.at)
        self._after = _number(reach.after)
        self._thread, self._room = _Past(), _Past()
        self._starter: Json | None = None
        self._replied: Json | None = None
        self._linked: dict[str, Json] = {}
        self._links = dict.fromkeys(_LINK.findall(question.text)[:LINKS])
        self._reads, self._asking = heard.reads, asyncio.Lock()  # whether the asker may read here, if it is known
        self.gaps: set[Gap] = set()

    async def run(self) -> None:
        """Read everything side by side."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._noted(self._around()))
            if self._place.thread and self._reads_room:
                group.create_task(self._noted(self._back(self._room, self._place.channel)))
            for link in self._links:
                group.create_task(self._noted(self._follow(*link)))

    def result(self) -> Surroundings:
        """What is there by now."""
        referred = [each for each in (self._replied, *(self._linked.get(m) for _, _, m in self._links)) if each]
        # What we said ourselves is mostly in the history, whose messages are told apart from those around the question.
        ours = [each for each in referred if role_of(each, self._view.own) is Role.US and not self._is_forgotten(each)]
        everything = [*self._thread.messages, *self._room.messages, *referred]
        everything += [self._starter] if self._starter else []
        people = dict(pair for each in everything for pair in people_in(each))
        people[self._question.author.id] = self._question.author.name
        begin = self._read([self._starter] if self._starter else [], people)
        wanted = self._reach.messages
        thread = self._newest(self._thread, wanted - len(begin), people)
        room = self._newest(self._room, wanted - len(begin) - len(thread), people)
        messages = {each.id: each for each in (*self._read(ours, people), *begin, *thread, *room)}
        named = {each.id: each for each in self._read((each for each in referred if each not in ours), people)}
        in_order = sorted(messages.values(), key=lambda each: int(each.id))
        return Surroundings(tuple(in_order), tuple(named.values()), frozenset(self.gaps))

    @property
    def _reads_room(self) -> bool:
        return self._reach.context is Context.ROOM and not self._place.direct

    async def _noted(self, step: Awaitable[None]) -> None:
        """Take a step; what is missing if it fails becomes a gap. A message that is gone was never said."""
        try:
            await step
        except Forbidden:
            self.gaps.add(Gap.PERMISSION)
        except (SlowDown, Unreachable):
            self.gaps.add(Gap.TIME)
        except PlatformError:
            pass

    async def _around(self) -> None:
        """The thread or channel of the question, then what that tells about the question and the thread."""
        message, question = self._question.message, None
        if self._question.reads is Reads.THREAD and self._question.about and not self._place.thread:
            await self._replies(self._question.about[0].id)
        elif self._place.thread or self._reads_room:
            past = self._thread if self._place.thread else self._room
            await self._back(past, self._home)
            question = next((each for each in past.messages if str(each["id"]) == message), None)
        elif message and self._heard.replies:
            question = await self._history.message(self._home, message)
        async with asyncio.TaskGroup() as group:
            if question:
                group.create_task(self._noted(self._reply(question)))
            if self._place.thread and not (self._after or self._reach.since):
                group.create_task(self._noted(self._begin()))

    async def _back(self, past: _Past, channel: str) -> None:
        """Read a channel back: a thread to its beginning, a channel to our last answer there."""
        if not await self._may_read(self._place.workspace, channel):
            self.gaps.add(Gap.PERMISSION)
            return
        before, wanted = self._until, self._reach.messages
        size, seen = min(PAGE, wanted + _MORE), channel == self._home and self._question.message
        for number in range(1 + -(-wanted // PAGE)):
            page = await self._history.before(channel, before, size)
            if not page and not number and (seen if self._view.history is None else not self._view.history):
                # Not even the question: Discord shows an empty list to those who may not read the history.
                self.gaps.add(Gap.PERMISSION)
                return
            fresh = [each for each in page if before is None or number_of(each) < before]
            for each in fresh:
                if number_of(each) <= self._after or self._ends(past, each):
                    past.whole = True
                    return
                past.messages.append(each)
            if len(page) < size:
                past.whole = True
                return
            if not fresh or sum(map(is_written, past.messages)) > wanted:
                break
            before = number_of(fresh[-1])
        past.more = True

    def _ends(self, past: _Past, message: Json) -> bool:
        """Whether what is wanted begins after this message."""
        if not is_written(message) or str(message["id"]) == self._question.message:
            return False
        if self._reach.since:
            return author_of(message) == self._reach.since
        return past is self._room and role_of(message, self._view.own) is Role.US

    async def _replies(self, root: str) -> None:
        """The messages that reply to one, directly or by others, and what it replies to itself."""
        if not await self._may_read(self._place.workspace, self._home) or self._view.history is False:
            self.gaps.add(Gap.PERMISSION)
            return
        hanging, after = {root}, root
        for _ in range(-(-self._reach.messages // PAGE)):
            page = await self._history.after(self._home, after, PAGE)
            for each in page:
                early = self._until is None or number_of(each) < self._until
                if early and is_written(each) and reply_to(each) in hanging:
                    hanging.add(str(each["id"]))
                    self._thread.messages.insert(0, each)
            if len(page) < PAGE:
                break
            after = str(page[-1]["id"])
        else:
            self._thread.more = True
        if not self._thread.messages:
            self.gaps.add(Gap.ALONE)
        await self._reply(await self._history.message(self._home, root))

    async def _begin(self) -> None:
        """The message with which the thread began: in a forum its first one, otherwise one of the channel."""
        past, thread = self._thread, self._place.thread
        first = past.messages[-1] if past.whole and past.messages else None
        if not past.whole and past.messages:
            first = await self._history.first(thread)
        if first is None:
            return
        if str(first["id"]) == thread:
            self._starter = first if thread != self._question.message else None
        elif first.get("type") == STARTER:
            found = first.get("referenced_message", ...)
            try:
                if found is ...:
                    found = await self._history.message(self._place.channel, thread)
            except Gone:
                found = None
            self._starter = found if isinstance(found, dict) and str(found.get("id")) == thread else None
            if found is None:
                self.gaps.add(Gap.GONE)
        elif self._view.forum or (self._view.forum is None and await self._access.is_forum(self._place.channel)):
            self.gaps.add(Gap.GONE)

    async def _reply(self, question: Json) -> None:
        """The message that the question replies to. The words of one that it forwards are its own text already."""
        reference = question.get("message_reference")
        if not isinstance(reference, dict) or reference.get("type") == FORWARD or not reference.get("message_id"):
            return
        channel, message = str(reference.get("channel_id") or self._home), str(reference["message_id"])
        found = question.get("referenced_message", ...)
        guild = self._place.workspace if channel == self._home else str(reference.get("guild_id") or "")
        if not await self._may_read(guild, channel):
            self.gaps.add(Gap.PERMISSION)
            return
        if found is ...:
            found = await self._history.message(channel, message)
        if isinstance(found, dict) and str(found.get("id") or "").isdecimal():
            self._replied = found

    async def _follow(self, guild: str, channel: str, message: str) -> None:
        """The message that a link in the question names."""
        if not await self._may_read(guild, channel):
            self.gaps.add(Gap.PERMISSION)
            return
        self._linked[message] = await self._history.message(channel, message)

    async def _may_read(self, guild: str, channel: str) -> bool:
        """Whether the asker may read a channel's history: an answer in private would tell it to them alone."""
        place, person = self._place, self._question.author.id
        own = NO_GUILD if guild == "@me" else guild
        if own != place.workspace:
            return False
        if channel not in (self._home, place.channel):
            return not place.direct and await self._access.may_read(person, guild, channel)
        if place.direct:
            return True
        async with self._asking:  # once, however much is read here
            if self._reads is None:
                self._reads = await self._access.may_read(person, guild, place.channel)
        return self._reads

    def _is_forgotten(self, message: Json) -> bool:
        return digest(str(message["id"])) in self._reach.forgotten

    def _newest(self, past: _Past, wanted: int, people: dict[str, str]) -> list[Said]:
        """The newest messages of a channel that can be read."""
        others = [each for each in past.messages if str(each["id"]) != self._question.message]
        if self._starter:
            others = [each for each in others if each["id"] != self._starter["id"]]
        found = self._read(others, people)
        if (past.more and found) or len(found) > wanted:
            self.gaps.add(Gap.MORE)
        return found[: max(0, wanted)]

    def _read(self, messages: Iterable[Json], people: dict[str, str]) -> list[Said]:
        """What messages say. One without any content was emptied by Discord, unless it shows us all content."""
        found = []
        for each in filter(is_written, messages):
            read = said(each, self._view, people, self._reach.characters)
            if read:
                found.append(read)
            elif self._view.content is False and role_of(each, self._view.own) is not Role.US:
                self.gaps.add(Gap.INTENT)
        return found


def _number(message: str) -> int:
    return int(message) if message.isdecimal() else 0


def _snowflake(at: float) -> int | None:
    """An id that is greater than those which Discord created until a second after a time in epoch seconds (docs.
    discord.com, Snowflakes): clocks differ, and what was said in the same moment belongs to it."""
    return max(0, int(at * 1000) + 1000 - 1_420_070_400_000) << 22 if at else None
