"""The servers of `make bench-crowd` and `make bench-rooms`: many people ask in many rooms; what each of them saw."""

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from bots.sandbox.discord.limits import DISCORD_LIMITS
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.faults import Received
from bots.sandbox.slack.methods.limits import SLACK_LIMITS, SlackLimit
from bots.sandbox.slack.server import SlackServer
from core.domain.chat import ChatMessage
from tests.bench.wire import BENCH_WAIT_SECONDS, BenchScene

CROWD_ROUND_TRIP = 0.05  # seconds of a round trip between the bot and a platform
TOKENS_A_WORD = 2  # words have eight characters, and the model's tokens at most five
TYPING_SECONDS = 10.0  # how long Discord shows it
LOOK_SECONDS = 0.1  # between two looks at whether all answers are complete
_QUESTION = re.compile(r"Question (\d+)\b")
_TYPING = re.compile(r"/channels/(\d+)/typing$")
_REACTION = re.compile(r"/messages/(\d+)/reactions/")


class Spot(StrEnum):
    """Where in a room somebody asks."""

    SLACK = "Slack"  # in the channel: the answer opens a thread
    SLACK_THREAD = "Slack thread"  # in a thread that this person began before
    DISCORD = "Discord"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. `at`: seconds from the beginning; `room`, `person`: numbers on the platform."""

    at: float
    spot: Spot
    room: int
    person: int


@dataclass(frozen=True, slots=True)
class AskSeen:
    """What became of a question, in monotonic seconds; inf for what never happened.

    `late`: by how many seconds it was asked later than planned. `requested`: when the model was asked; `key`: by which
    process. `own`: how long the model wrote. `sign`: the first status, reaction or message; `first`, `complete`: the
    first word and the whole answer on screen; `states`: how many different texts the answer showed.
    """

    ask: Ask
    said: float
    late: float
    requested: float = inf
    key: str = ""
    began: float = inf
    ended: float = inf
    own: float = inf
    sign: float = inf
    first: float = inf
    complete: float = inf
    states: int = 0


@dataclass(frozen=True, slots=True)
class CrowdSeen:
    """A run: what became of each question in order, calls by method or route, those that got 429, and the share of a
    core that the servers took."""

    asks: tuple[AskSeen, ...]
    calls: tuple[tuple[str, int], ...]
    refused: tuple[tuple[str, int], ...]
    busy: float


class CrowdScene(BenchScene):
    """The platforms with their real limits, and a model that writes steadily."""

    slack_limits: Mapping[str, SlackLimit] = SLACK_LIMITS
    discord_limits = DISCORD_LIMITS

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        super().__init__(slack, discord, channels)
        slack.faults.latency = discord.latency = CROWD_ROUND_TRIP
        self._words = 0
        self._guild = discord.add_guild("Crowd")
        self._in_slack: list[str] = []
        self._on_discord = [discord.add_member(self._guild, "bob-0")]
        self._put: dict[int, tuple[str, float, float]] = {}  # by question: its message, when it was said, how late
        self._threads: dict[tuple[int, int], str] = {}  # by room and person

    def furnish(self, rooms: int, people: int, words: int, pace: float) -> None:
        """Open this many rooms for this many people on each platform; every answer has `words` words."""
        self._words, self.nebula.pace = words, pace
        self._in_slack = [self._slack.add_user(f"ann-{number}") for number in range(people)]
        self._rooms = [self._slack.add_channel(f"crowd-{number}", self._in_slack[0]) for number in range(rooms)]
        self._on_discord = [self._discord.add_member(self._guild, f"bob-{number}") for number in range(people)]
        self._channels = [self._discord.add_channel(self._guild, f"crowd-{number}") for number in range(rooms)]

    async def ready(self, slack: int, discord: int) -> None:
        """Wait for this many connections on each platform."""
        sessions, commands = self._discord.gateway, self._discord.commands
        await self._slack.until(lambda: self._slack.sockets >= slack, BENCH_WAIT_SECONDS)
        await self._discord.until(
            lambda: len(sessions.sessions) >= discord and (not discord or bool(commands.registered)),
            BENCH_WAIT_SECONDS,
        )

    async def play(self, asks: Sequence[Ask], patience: float) -> CrowdSeen:
        """Let people ask; wait for all answers, at most `patience` seconds from the last question on."""
        clock = asyncio.get_running_loop().time
        await self._begin_threads(asks)
        before, spent, begun = self._calls(), time.process_time(), clock()
        numbered = dict(enumerate(asks, len(self._put)))
        for number, ask in numbered.items():
            await asyncio.sleep(begun + ask.at - clock())
            said = clock()
            message = await self._ask(number, ask)
            self._put[number] = message, said, said - begun - ask.at
        open_ = dict(numbered)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while open_:
                    open_ = {number: ask for number, ask in open_.items() if not self._complete(number, ask)}
                    await asyncio.sleep(LOOK_SECONDS)
        busy = (time.process_time() - spent) / (clock() - begun)
        calls = self._calls() - before
        return CrowdSeen(
            self._seen(numbered),
            tuple(Counter(name for name, _ in calls.elements()).most_common()),
            tuple((name, many) for (name, status), many in calls.most_common() if status == 429),
            busy,
        )

    async def _begin_threads(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if ask.spot is Spot.SLACK_THREAD:
                said = await self._slack.say(self._in_slack[ask.person], self._rooms[ask.room], "Good morning.")
                self._threads[ask.room, ask.person] = said.ts
        if self._threads:
            await self._slack.until(lambda: not self._slack.pending, BENCH_WAIT_SECONDS)

    async def _ask(self, number: int, ask: Ask) -> str:
        text = f"Question {number}, please."
        if ask.spot is Spot.DISCORD:
            text = f"@{self._discord.bot_user.name} {text}"
            return (await self._discord.say(self._on_discord[ask.person], self._channels[ask.room], text)).id
        thread = self._threads.get((ask.room, ask.person), "")
        person, room = self._in_slack[ask.person], self._rooms[ask.room]
        return (await self._slack.say(person, room, f"@nebula {text}", thread)).ts

    def _answer(self, messages: Sequence[ChatMessage]) -> str:
        number = _asked(messages)
        return " ".join([*(f"{number:04d}x{place:03d}" for place in range(self._words - 1)), f"{number:04d}xend"])

    def _calls(self) -> Counter[tuple[str, int]]:
        """How many calls there were, by method or route and status."""
        slack = Counter((call.method, call.status) for call in self._slack.calls)
        return slack + Counter((call.route, call.status) for call in self._discord.calls)

    def _complete(self, number: int, ask: Ask) -> bool:
        return any(f"{number:04d}xend" in frames[-1][1] for frames in self._messages(ask))

    def _messages(self, ask: Ask) -> Iterator[list[tuple[float, str]]]:
        """What each message of the bot in a question's room showed, and from when on."""
        if ask.spot is Spot.DISCORD:
            for each in self._discord.messages(self._channels[ask.room]):
                if each.bot:
                    yield [(frame.at, frame.content) for frame in each.frames]
            return
        for message in self._slack.messages(self._rooms[ask.room]):
            if message.user == self._slack.bot_user:
                yield [(frame.at, frame.shown) for frame in message.frames]

    def _seen(self, asks: Mapping[int, Ask]) -> tuple[AskSeen, ...]:
        requests: dict[int, Received] = {}
        for each in self.nebula.requests:
            requests.setdefault(_asked(each.messages), each)
        signs = self._signs()
        return tuple(self._one(number, ask, requests.get(number), signs) for number, ask in asks.items())

    def _one(self, number: int, ask: Ask, request: Received | None, signs: Mapping[str, list[float]]) -> AskSeen:
        message, said, late = self._put[number]
        frames = sorted(
            (at, text)
            for frames in self._messages(ask)
            if any(f"{number:04d}x" in text for _, text in frames)
            for at, text in frames
        )
        states = [(at, _read(number, text)) for at, text in frames]
        where = {message, self._threads.get((ask.room, ask.person), "")}
        if ask.spot is Spot.DISCORD:
            where.add(self._channels[ask.room].id)
        seen = [max(at, said) for name in where for at in signs.get(name, ()) if at > said - TYPING_SECONDS]
        written = request.written if request else ()
        return AskSeen(
            ask,
            said,
            late,
            requested=request.at if request else inf,
            key=request.key if request else "",
            began=written[0] if written else inf,
            ended=written[-1] if written else inf,
            own=written[-1] - written[0] if written else inf,
            sign=min([*seen, *(at for at, _ in frames)], default=inf),
            first=min((at for at, (words, _) in states if words), default=inf),
            complete=min((at for at, (_, whole) in states if whole), default=inf),
            states=len({state for _, state in states if state[0]}),
        )

    def _signs(self) -> dict[str, list[float]]:
        """When statuses, reactions and typing appeared, by the thread, message or channel that shows them."""
        found: dict[str, list[float]] = defaultdict(list)
        for call in self._slack.calls:
            if not call.error and call.method == "assistant.threads.setStatus" and call.arguments.get("status"):
                found[str(call.arguments["thread_ts"])].append(call.at + CROWD_ROUND_TRIP / 2)
            elif not call.error and call.method == "reactions.add":
                found[str(call.arguments["timestamp"])].append(call.at + CROWD_ROUND_TRIP / 2)
        for each in self._discord.calls:
            shown = _TYPING.search(each.path) or (each.method == "PUT" and _REACTION.search(each.path))
            if shown and each.status < 400:
                found[shown[1]].append(each.at + CROWD_ROUND_TRIP / 2)
        return found


def _asked(messages: Sequence[ChatMessage]) -> int:
    """The number of the question in the model's request, -1 for none."""
    found = _QUESTION.findall(messages[-1].content)
    return int(found[-1]) if found else -1


def _read(number: int, text: str) -> tuple[int, bool]:
    """How many words of this answer a text shows, the last one perhaps in part, and whether the last of all."""
    return text.count(f"{number:04d}x"), f"{number:04d}xend" in text
