"""The servers of `make bench-live` with their real limits, and what people saw of every reply."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from string import ascii_lowercase

from bots.sandbox.discord.limits import DISCORD_LIMITS, DiscordLimit
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.slack.methods.limits import SLACK_LIMITS, SlackLimit
from bots.sandbox.slack.server import SlackServer
from core.domain.chat import ChatMessage
from core.domain.conversation import Place
from tests.bench.live_ideal import Sight
from tests.bench.wire import BENCH_WAIT_SECONDS, AskKind, BenchScene, BenchWire, process

ROUND_TRIP = 0.05  # seconds of a round trip between the bot and a platform
DISCORD_HALVED, SLACK_HALVED = DiscordLimit(2, 5.0), SlackLimit(25)  # of edits
LETTERS = ascii_lowercase  # reply number n is "a1 a2 a3 …", with the n-th letter instead of "a"
_QUESTION = re.compile(r"Question ([a-z])\b")
_TOKEN = re.compile(r"\b([a-z])(\d+)\b")


@dataclass(frozen=True, slots=True)
class ShownReply:
    """One reply: when the model's server wrote each token, and what people could see when (monotonic seconds).

    `starts`: how many tokens precede each of its messages.
    """

    written: tuple[float, ...]
    sights: tuple[Sight, ...]
    starts: tuple[int, ...]

    @property
    def first(self) -> float:
        """When people could first see text; infinite if never."""
        return next((sight.at for sight in self.sights if sight.tokens), float("inf"))

    @property
    def complete(self) -> float:
        """Since when people could see the whole text."""
        found = float("inf")
        for sight in reversed(self.sights):
            if sight.tokens < len(self.written):
                break
            found = sight.at
        return found


@dataclass(frozen=True, slots=True)
class Watched:
    """All replies of a run, the platform's calls by method or route, and how many of them got 429."""

    replies: tuple[ShownReply, ...]
    calls: tuple[tuple[str, int], ...]
    refused: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class UnheardQuestion:
    """A question that the bot did not receive: its place, the id of its message, and its text."""

    place: Place
    message: str
    text: str


class LiveWire(BenchWire):
    """The servers, as seen from the bench's process."""

    async def says(self, tokens: int, pace: float) -> None:
        """Set the number of tokens of the model's answers and how many it writes per second."""
        await self.call("says", tokens, pace)

    async def ready(self, event: AskKind, bots: int) -> None:
        """Wait for this many bots on the platform of this event. From now on calls count."""
        await self.call("ready", event, bots)

    async def team(self) -> str:
        """Slack's workspace."""
        return str(await self.call("team"))

    async def post_unheard(self, number: int) -> UnheardQuestion:
        """Post question `number` in Discord's first channel, without a mention."""
        found: UnheardQuestion = await self.call("post_unheard", number)
        return found

    async def halve(self, seconds: float) -> None:
        """After this many seconds, Discord and Slack accept about half as many edits, without any notice."""
        await self.call("halve", seconds)

    async def slow(self, seconds: float) -> None:
        """Let Discord answer every edit this many seconds late."""
        await self.call("slow", seconds)

    async def watch(self, replies: int, patience: float) -> Watched:
        """Wait until this many replies are complete, at most this long after the model's last token; returns what
        people saw."""
        found: Watched = await self.call("watch", replies, patience)
        return found


@asynccontextmanager
async def live_wire(channels: int) -> AsyncIterator[LiveWire]:
    """Start the servers in their own process."""
    async with process(LiveScene, channels) as (pipe, addresses):
        yield LiveWire(pipe, addresses)


class LiveScene(BenchScene):
    """The same in the servers' process."""

    slack_limits = SLACK_LIMITS
    discord_limits = DISCORD_LIMITS

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        super().__init__(slack, discord, channels)
        slack.faults.latency = discord.latency = ROUND_TRIP
        self._tokens = 0
        self._known = 0  # calls before the run
        self._later: set[asyncio.Task[None]] = set()

    def says(self, tokens: int, pace: float) -> None:
        self._tokens, self.nebula.pace = tokens, pace

    async def ready(self, event: AskKind, bots: int) -> None:
        if event in (AskKind.SLACK, AskKind.SLACK_DIRECT):
            await self._slack.until(lambda: self._slack.sockets == bots, BENCH_WAIT_SECONDS)
        else:
            sessions, commands = self._discord.gateway, self._discord.commands
            await self._discord.until(
                lambda: len(sessions.sessions) == bots and bool(commands.registered), BENCH_WAIT_SECONDS
            )
        self._known = len(self._calls())

    def team(self) -> str:
        return self._slack.team

    async def post_unheard(self, number: int) -> UnheardQuestion:
        channel = self._channels[0]
        message = await self._discord.say(self._bob, channel, self._question(number))
        return UnheardQuestion(Place("discord", channel.guild, channel.id), message.id, message.content)

    def halve(self, seconds: float) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            self._discord.limits = replace(DISCORD_LIMITS, edit=DISCORD_HALVED)
            self._slack.limits = {**SLACK_LIMITS, "chat.update": SLACK_HALVED}

        self._later.add(asyncio.get_running_loop().create_task(later()))

    def slow(self, seconds: float) -> None:
        self._discord.faults.slow("PATCH /channels/*", seconds, times=None)

    async def watch(self, replies: int, patience: float) -> Watched:
        with suppress(TimeoutError):
            told = self._tokens / (self.nebula.pace or 1) + BENCH_WAIT_SECONDS
            await self.nebula.until(lambda: sum(each.finished for each in self.nebula.requests) >= replies, told)
            platform = self._slack if self._slack.sockets else self._discord
            await platform.until(lambda: self._complete(replies), patience)
        calls = self._calls()[self._known :]
        return Watched(
            tuple(self._shown(LETTERS[number]) for number in range(replies)),
            tuple(Counter(name for name, _ in calls).most_common()),
            tuple(Counter(name for name, status in calls if status == 429).most_common()),
        )

    def _answer(self, messages: Sequence[ChatMessage]) -> str:
        return " ".join(f"{_asked(messages)}{number}" for number in range(1, self._tokens + 1))

    def _question(self, number: int) -> str:
        return f"Question {LETTERS[number]}, please."

    def _calls(self) -> list[tuple[str, int]]:
        if self._slack.sockets:
            return [(call.method, call.status) for call in self._slack.calls]
        return [(call.route, call.status) for call in self._discord.calls]

    def _complete(self, replies: int) -> bool:
        """Whether this many replies are visible to their last token."""
        seen: Counter[str] = Counter()
        for frames in self._messages():
            seen.update(letter for letter, _ in set(_TOKEN.findall(frames[-1][1])))
        return sum(many >= self._tokens for many in seen.values()) >= replies

    def _shown(self, letter: str) -> ShownReply:
        """What people could see of one reply: its tokens up to the first missing one, over all its messages."""
        written = next((each.written for each in self.nebula.requests if _asked(each.messages) == letter), ())
        found = []
        for name, frames in enumerate(self._messages()):
            pieces = [(at, [int(n) for who, n in _TOKEN.findall(text) if who == letter]) for at, text in frames]
            if any(numbers for _, numbers in pieces):
                found += [(at, name, numbers) for at, numbers in pieces]
        visible: dict[int, list[int]] = {}
        sights = []
        for at, name, numbers in sorted(found):
            visible[name] = numbers
            there = {number for each in visible.values() for number in each}
            sights.append(Sight(at, next(number for number in range(len(there) + 1) if number + 1 not in there)))
        starts = {0, *(min(numbers) - 1 for numbers in visible.values() if numbers)}
        return ShownReply(written, tuple(sights), tuple(sorted(starts)))

    def _messages(self) -> Iterator[list[tuple[float, str]]]:
        """What each message of the bot showed, and from when on."""
        for room in (*self._rooms, *(direct for _, direct in self._direct)):
            for message in self._slack.messages(room):
                if message.user == self._slack.bot_user:
                    yield [(frame.at, frame.shown) for frame in message.frames]
        for channel in self._channels:
            for each in self._discord.messages(channel):
                if each.bot:
                    yield [(frame.at, frame.content) for frame in each.frames]


def _asked(messages: Sequence[ChatMessage]) -> str:
    """The letter of the question in the model's request."""
    found = _QUESTION.findall(messages[-1].content)
    return found[-1] if found else ""
