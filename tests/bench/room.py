"""What reading the room costs: the time from an event in a thread of 200 messages to the model's request."""

import statistics
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import DiscordChannel
from bots.sandbox.slack.server import SlackServer
from core.domain.options import Context
from tests.bench.served import served
from tests.bench.table import Table, ms, percentile
from tests.bench.wire import BENCH_WAIT_SECONDS, BenchScene, BenchWire, process

ROOM_MESSAGES, ROOM_PEOPLE, ROOM_TURNS, ROOM_WARM_UP = 200, 20, 8, 2
ROOM_DELAY_SECONDS = 0.1  # of each call of Discord's and Slack's API, as over the internet
PLATFORMS = ("Slack", "Discord")
QUESTIONS = {"why did it fail?": "a question", "summarise this thread": "a summary"}


class RoomScene(BenchScene):
    """Threads in which many people have written."""

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        super().__init__(slack, discord, channels)
        discord.privileged = Intent.MESSAGE_CONTENT
        self._crowd = [slack.add_user(f"person-{number}") for number in range(ROOM_PEOPLE)]
        self._members = [discord.add_member(self._guild, f"person-{number}") for number in range(ROOM_PEOPLE)]

    async def fill(self) -> None:
        """Let them write, on both platforms; from then on, their APIs take their time."""
        self._roots: list[str] = []
        self._threads: list[DiscordChannel] = []
        for room, channel in zip(self._rooms, self._channels, strict=True):
            root = await self._slack.say(self._crowd[0], room, "the deploy failed: disk was full")
            first = await self._discord.say(self._members[0], channel, "the deploy failed: disk was full")
            thread = self._discord.add_thread(channel, "Deploy", message=first)
            for number in range(1, ROOM_MESSAGES):
                text = f"message {number}: I looked into it and freed {number} GB, please try again in a moment"
                await self._slack.say(self._crowd[number % ROOM_PEOPLE], room, text, thread=root.ts)
                await self._discord.say(self._members[number % ROOM_PEOPLE], thread, text)
            self._roots.append(root.ts)
            self._threads.append(thread)
        self._slack.faults.latency = self._discord.latency = ROOM_DELAY_SECONDS

    async def ask_in_thread(self, platform: str, number: int, text: str) -> tuple[float, float, int]:
        """Somebody asks in this thread; when, when the model received the request, and how long its text is."""
        before, said = len(self.nebula.requests), time.monotonic()
        if platform == "Slack":
            await self._slack.say(self._ann, self._rooms[number], f"@nebula {text}", thread=self._roots[number])
        else:
            await self._discord.say(self._bob, self._threads[number], f"@{self._discord.bot_user.name} {text}")
        await self.nebula.until(lambda: len(self.nebula.requests) > before, BENCH_WAIT_SECONDS)
        request = self.nebula.requests[before]
        return said, request.at, request.messages[-1].content.count("\n")


async def measure() -> Table:
    """About 40 s."""
    found: dict[tuple[str, Context, str], list[float]] = {}
    lines: dict[tuple[str, Context, str], int] = {}
    cases = list(product(PLATFORMS, (Context.OFF, Context.THREAD), QUESTIONS))
    rounds = ROOM_TURNS + ROOM_WARM_UP
    async with process(RoomScene, rounds * len(QUESTIONS)) as (pipe, addresses):
        servers = BenchWire(pipe, addresses)
        await servers.call("fill")
        for context in (Context.OFF, Context.THREAD):
            with TemporaryDirectory(prefix="nb-") as folder:
                config = addresses.config(Path(folder), reply_context=context)
                async with served(servers, config) as bot:
                    for platform, (kind, question) in product(PLATFORMS, enumerate(QUESTIONS)):
                        case = (platform, context, question)
                        for number in range(kind * rounds, (kind + 1) * rounds):
                            said, asked, lines[case] = await servers.call("ask_in_thread", platform, number, question)
                            await bot.runner.idle()
                            found.setdefault(case, []).append(asked - said)
    rows = []
    for platform, context, question in cases:
        times = found[platform, context, question][ROOM_WARM_UP:]
        least = found[platform, Context.OFF, question][ROOM_WARM_UP:]
        more = statistics.median(times) - statistics.median(least)
        rows.append(
            (
                f"{platform}, {QUESTIONS[question]}",
                context.value,
                str(lines[platform, context, question]),
                *map(ms, (statistics.median(times), percentile(times, 0.95), more)),
            )
        )
    return Table(
        "What reading the room costs",
        f"From the moment the platform sends the event until Nebula has the request; in threads of {ROOM_MESSAGES} "
        f"messages by {ROOM_PEOPLE} people, each asked in once. Each call of a platform's API takes "
        f"{ROOM_DELAY_SECONDS * 1000:.0f} ms.",
        ("where and what", "context", "lines of the question", "median ms", "p95 ms", "more than off, ms"),
        tuple(rows),
        ("The target is at most 500 ms more.",),
    )
