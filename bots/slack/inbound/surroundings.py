"""Reads what was said around a question in Slack: its thread, its channel's newest messages, and what it links to."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from bots.slack.api.client import Web
from bots.slack.api.errors import code_of
from bots.slack.api.lookups import CallBudget
from bots.slack.api.people import People, shown_name
from bots.slack.api.workspace import PATIENCE, Capabilities, Identity, Patience
from bots.slack.inbound.events import attachments, content, is_said, mentions
from bots.slack.inbound.payloads import TS, Json, nested, string
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound.surface import answered_question
from core.awake import awake
from core.domain.conversation import Place
from core.domain.errors import Forbidden, Gone, PlatformError
from core.domain.options import Context
from core.domain.question import Question, Reads
from core.domain.surroundings import CHOSEN_CHARACTERS, Gap, Reach, Role, Said, Surroundings

# Slack allows 50 calls a minute (Tier 3) of each method; others find replies and missed questions. It advises 200
# messages in one, and allows 1,000 (docs.slack.dev/reference/methods/conversations.replies).
CALLS, PAGE, LARGE_PAGE = 40, 200, 1_000
# A thread is read from its oldest message on (same page): so many calls may look for the newest of a long one.
MAX_CALLS = 6
# Of a message, so many times as much is read as is shown: markup is longer than words.
_MARKUP = 4
MAX_LINKS = 3
# A link to a message (docs.slack.dev/reference/methods/chat.getPermalink).
_LINK = re.compile(
    r"https://[a-z0-9-]+(?:\.enterprise)?\.slack(?:-gov)?\.com/archives/([CDG][A-Z0-9]{1,40})/p(\d{10})(\d{6})"
    r"(?:\?([\w.=&;-]{1,200}))?"
)
_HISTORY = ("channels:history", "groups:history", "mpim:history")


@dataclass(frozen=True, slots=True)
class _Found:
    """Messages as Slack returns them, oldest first, and what is missing."""

    messages: tuple[Json, ...] = ()
    gaps: frozenset[Gap] = frozenset()


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of a conversation. `more`: there are newer messages in a thread, or older ones in a channel."""

    messages: tuple[Json, ...]
    more: bool


class SlackSurroundings:
    """Reads them in time: what Slack has not said by then is missing, and named as a gap."""

    def __init__(
        self,
        web: Web,
        me: Identity,
        people: People,
        incoming_text: IncomingText,
        capabilities: Capabilities,
        replies: CallBudget,
        history: CallBudget,
        patience: Patience = PATIENCE,
    ) -> None:
        """`replies`, `history`: the calls of conversations.replies and conversations.history, `CALLS` of each."""
        self._client, self._call, self._me, self._people = web.client, web.call, me, people
        self._incoming_text, self._capabilities, self._patience = incoming_text, capabilities, patience
        self._replies, self._history = replies, history

    async def around(self, question: Question, reach: Reach) -> Surroundings:
        """Return what was said around a question; raises nothing of Slack's."""
        async with asyncio.TaskGroup() as group:
            thread = group.create_task(self._thread(question, reach))
            channel = group.create_task(self._channel(question, reach))
            linked = group.create_task(self._linked(question))
            chosen = group.create_task(self._chosen(question))
        found, others, links, anew = thread.result(), channel.result(), linked.result(), chosen.result()
        left = reach.messages - len(found.messages)
        room = {each["ts"]: each for each in others.messages[max(0, len(others.messages) - left) :] if left > 0}
        room |= {each["ts"]: each for each in found.messages}
        around = [room[ts] for ts in sorted(room, key=float)]
        words = await said([*around, *links.messages], reach.characters, self._incoming_text, self._me)
        if anew.messages:
            # the files of a message that somebody chose are read
            words += await said(anew.messages, CHOSEN_CHARACTERS, self._incoming_text, self._me, previews=False)
        gaps = found.gaps | others.gaps | links.gaps | anew.gaps
        return Surroundings(words[: len(around)], words[len(around) :], gaps)

    async def channel_name(self, place: Place) -> str:
        """Return the name of a channel, "" if Slack does not say it within about a second."""
        return (await self._people.names((), [place.channel])).get(place.channel, "")

    async def _thread(self, question: Question, reach: Reach) -> _Found:
        """The thread at hand up to the question: all of it, or what came since it was read for an earlier one."""
        place = question.place
        if not place.thread or place.direct:
            return _Found()
        pages: list[_Page] = []
        gaps = await self._tried(lambda: self._read_thread(question, reach, pages))
        page = max(pages, key=_reaches, default=_Page((), False))
        messages = page.messages
        first = pages[0].messages[:1] if pages else ()
        if first and first != messages[:1] and first[0]["ts"] == place.thread:
            messages = first + messages
        begin = max((_ts(each) for each in messages if each["ts"] in reach.known and not self._ours(each)), default=0.0)
        kept = self._apart_from_dialogue(
            [each for each in messages if reach.summary or _ts(each) > begin], reach, until=question.message
        )
        cut = len(kept) > reach.messages
        if cut:  # the message that all others reply to says what they are about
            root = kept[:1] if kept[0]["ts"] == place.thread else []
            kept = [*root, *kept[len(kept) - reach.messages + len(root) :]]
        skipped = page.messages and _ts(page.messages[0]) > _ts(pages[0].messages[-1])
        if page.more and messages and not gaps:  # newer ones, which we did not find
            gaps |= {Gap.NEWEST}
        if cut or (skipped and kept):
            gaps |= {Gap.MORE}
        if first and first[0].get("subtype") == "tombstone":  # what Slack leaves of a first message with replies
            gaps |= {Gap.GONE}
        if pages and not (messages or gaps or reach.after):  # not even the first message, or the question
            gaps |= {Gap.PERMISSION}
        return _Found(tuple(kept), gaps)

    async def _read_thread(self, question: Question, reach: Reach, pages: list[_Page]) -> None:
        """Read the thread's newest messages. Slack lists a thread from its beginning; of one that takes too many pages
        we guess from when on its newest messages fit into one."""
        place, latest = question.place, question.message or None

        async def page(oldest: str) -> _Page:
            read = await self._page(
                self._replies,
                self._client.conversations_replies,
                channel=place.channel,
                ts=place.thread,
                oldest=oldest or None,
                latest=latest,
                limit=LARGE_PAGE if pages else PAGE,
                include_all_metadata=True,
            )
            messages = sorted(read.messages, key=_ts)
            if oldest:  # each page may begin with the thread's first message
                messages = [each for each in messages if _ts(each) > float(oldest)]
            return _Page(tuple(messages), read.more)

        pages.append(first := await page(reach.after if TS.fullmatch(reach.after) else ""))
        replies = first.messages[0].get("reply_count") if first.messages else None
        if not isinstance(replies, int) or replies < (MAX_CALLS - 1) * LARGE_PAGE:
            while pages[-1].more and pages[-1].messages and len(pages) < MAX_CALLS:
                further = await page(pages[-1].messages[-1]["ts"])
                pages.append(_Page(pages[-1].messages + further.messages, further.more and bool(further.messages)))
            return
        end = float(latest) if latest else _latest(first.messages)
        few, many = 0.0, max(0.0, end - _ts(first.messages[-1]))  # seconds that hold too few or too many messages
        seconds = many * LARGE_PAGE / 2 / replies
        while first.more and len(pages) < MAX_CALLS:
            pages.append(newest := await page(f"{end - seconds:.6f}"))
            if newest.more:
                many = seconds
            elif len(newest.messages) >= min(reach.messages, PAGE // 4):
                return
            else:
                few = seconds
            seconds = math.sqrt(few * many) if few else many / 16

    async def _channel(self, question: Question, reach: Reach) -> _Found:
        """The channel's newest messages since our last answer there, or since the last one of a person."""
        place = question.place
        if reach.context is not Context.ROOM or place.direct:
            return _Found()
        pages: list[_Page] = []

        async def read() -> None:
            after = reach.after if not place.thread and TS.fullmatch(reach.after) else None
            pages.append(
                await self._page(
                    self._history,
                    self._client.conversations_history,
                    channel=place.channel,
                    oldest=after,
                    latest=question.message or None,
                    limit=min(PAGE, reach.messages + 10),  # some are left out
                    include_all_metadata=True,
                )
            )

        gaps = await self._tried(read)
        page = pages[0] if pages else _Page((), False)
        messages = sorted(page.messages, key=_ts)
        if reach.since:
            begin = max(
                (_ts(each) for each in messages if is_said(each) and each.get("user") == reach.since), default=0.0
            )
        else:
            answered = (_ts(each) for each in messages if self._is_answered(each, reach))
            begin = 0.0 if reach.summary else max(answered, default=0.0)
        kept = self._apart_from_dialogue(
            [each for each in messages if _ts(each) > begin], reach, until=question.message
        )
        more = len(kept) > reach.messages or (page.more and not begin and bool(kept))
        return _Found(tuple(kept[-reach.messages :]), gaps | ({Gap.MORE} if more else frozenset()))

    async def _linked(self, question: Question) -> _Found:
        """The messages that the question links to, where those who ask may read them."""
        links = list(dict.fromkeys(match.groups() for match in _LINK.finditer(question.text)))[:MAX_LINKS]
        roots = (next(iter(parse_qs(query or "").get("thread_ts", ())), "") for *_, query in links)
        return await self._together(
            self._link(question, channel, f"{seconds}.{fraction}", root)
            for (channel, seconds, fraction, _), root in zip(links, roots, strict=True)
        )

    async def _chosen(self, question: Question) -> _Found:
        """The message that somebody chose from a menu, which came along cut and may have changed. A thread has its own
        anyway, if it is read."""
        place, about = question.place, question.about if question.reads is Reads.USUAL else ()
        return await self._together(self._link(question, place.channel, each.id, place.thread) for each in about)

    @staticmethod
    async def _together(reads: Iterable[Awaitable[_Found]]) -> _Found:
        found = await asyncio.gather(*reads)
        messages = {(each["ts"]): each for part in found for each in part.messages}
        return _Found(tuple(messages.values()), frozenset().union(*(part.gaps for part in found)))

    async def _link(self, question: Question, channel: str, ts: str, root: str) -> _Found:
        """One message, perhaps in a thread: of this channel, or of a public one that everybody who asks can open."""
        found = list[Json]()

        async def read() -> None:
            if channel != question.place.channel:
                askers = (question.author.id, *question.others)
                if question.author.external or not await self._people.may_read(askers, channel):
                    raise Forbidden("a link leads to a message that not everybody who asks may be able to read")
            page = await self._page(
                self._replies,
                self._client.conversations_replies,
                channel=channel,
                ts=root if TS.fullmatch(root) else ts,
                oldest=ts,
                latest=ts,
                inclusive=True,
                limit=10,  # the first message of a thread may come along
            )
            found.extend(each for each in page.messages if each["ts"] == ts and is_said(each))

        gaps = await self._tried(read)
        return _Found(tuple(found), gaps - {Gap.GONE})

    async def _tried(self, read: Callable[[], Awaitable[None]]) -> frozenset[Gap]:
        """Read in time; return what is missing all the same."""
        if not any(map(self._capabilities.granted, _HISTORY)):
            return frozenset({Gap.PERMISSION})
        try:
            async with awake(self._patience.room):
                await read()
        except Gone as error:
            # So Slack says also of a channel that the bot is not in.
            return frozenset({Gap.PERMISSION if code_of(error) == "channel_not_found" else Gap.GONE})
        except Forbidden:
            return frozenset({Gap.PERMISSION})
        except (PlatformError, TimeoutError):
            return frozenset({Gap.TIME})
        return frozenset()

    async def _page(self, budget: CallBudget, method: Callable[..., Any], **arguments: Any) -> _Page:
        """Make one call, if one is free now. Raises PlatformError."""
        answer = await budget.call(CALLS, lambda: self._call(method(**arguments)))
        listed = answer.get("messages")
        messages = {
            each["ts"]: each
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and TS.fullmatch(string(each.get("ts")))
        }
        return _Page(tuple(messages.values()), bool(answer.get("has_more")))

    def _apart_from_dialogue(self, messages: Sequence[Json], reach: Reach, until: str) -> list[Json]:
        """The messages without questions to us and our replies: the history has them, or has to forget them."""
        replied = {each["ts"]: answered_question(each) for each in messages if self._ours(each)}
        asked = {question for question in replied.values() if question}
        return [
            each
            for each in messages
            if is_said(each)
            and each["ts"] not in reach.known
            and each["ts"] not in asked
            and replied.get(each["ts"]) is None
            and (not until or _ts(each) < float(until))
        ]

    def _is_answered(self, message: Json, reach: Reach) -> bool:
        """Whether this message of a channel is a question that we answered, or our answer."""
        users = message.get("reply_users")
        said = content(message, (), previews=False)
        replied = isinstance(users, list) and self._me.user in users and mentions(said, self._me)
        return message["ts"] in reach.known or replied or (self._ours(message) and bool(answered_question(message)))

    def _ours(self, message: Json) -> bool:
        return _is_ours(message, self._me)


async def said(
    messages: Sequence[Json], characters: int, incoming_text: IncomingText, me: Identity, *, previews: bool = True
) -> tuple[Said, ...]:
    """Return messages in words, with names. `characters`: how many will be read of each. `previews`: see `content`."""
    listed = [attachments(each) for each in messages]
    described = iter(await incoming_text.files([file for each in listed for file in each]))
    files = [tuple(islice(described, len(each))) for each in listed]
    texts = [
        content(each, found, previews=previews)[: _MARKUP * characters]
        for each, found in zip(messages, files, strict=True)
    ]
    users = [string(each.get("user")) for each in messages if not _given_name(each)]
    names, words = await incoming_text.read_all(texts, filter(None, users))
    return tuple(
        Said(
            each["ts"],
            _given_name(each) or names.get(string(each.get("user")), "") or string(each.get("user")) or "?",
            _role(each, me),
            _ts(each),
            text,
            found,
        )
        for each, text, found in zip(messages, words, files, strict=True)
    )


def _role(message: Json, me: Identity) -> Role:
    if _is_ours(message, me):
        return Role.US
    return Role.BOT if message.get("bot_id") or message.get("subtype") == "bot_message" else Role.PERSON


def _is_ours(message: Json, me: Identity) -> bool:
    return message.get("user") == me.user or bool(me.bot and message.get("bot_id") == me.bot)


def _reaches(page: _Page) -> tuple[float, int]:
    """How new its newest message is, and how many there are."""
    return (_ts(page.messages[-1]) if page.messages else 0.0, len(page.messages))


def _given_name(message: Json) -> str:
    """The author's name, if the message itself says it."""
    profile = shown_name(nested(message, "bot_profile")) or shown_name(nested(message, "user_profile"))
    return string(message.get("username")) or profile


def _latest(messages: Iterable[Json]) -> float:
    """When the newest reply of the thread was written, as far as its messages say."""
    times = [string(each.get("latest_reply")) or each["ts"] for each in messages]
    return max((float(each) for each in times if TS.fullmatch(each)), default=0.0) + 1e-6


def _ts(message: Json) -> float:
    return float(message["ts"])
