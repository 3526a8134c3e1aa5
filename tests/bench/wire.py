"""The sandbox's Slack, Discord and Nebula in a process of their own, so that their CPU time is not the bot's."""

import asyncio
import inspect
import logging
import multiprocessing
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bots.sandbox.discord.limits import DiscordLimits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS, SlackLimit
from bots.sandbox.slack.server import SlackServer
from bots.slack.manifest import EVENTS
from core.domain.chat import ChatMessage
from tests.configuration import Configuration, configured

BENCH_WAIT_SECONDS = 20.0  # the longest wait for something that the bot does


class AskKind(StrEnum):
    """How a person asks."""

    SLACK = "Slack mention"
    SLACK_DIRECT = "Slack direct message"
    DISCORD = "Discord mention"
    DISCORD_SLASH = "Discord /ask"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the servers, and the tokens that they accept."""

    nebula: str
    platform: str
    slack: str
    slack_bot_token: str
    slack_app_token: str
    discord: str
    gateway: str
    discord_token: str

    def environment(self) -> dict[str, str]:
        """The variables that point a bot at these servers."""
        return {
            "NEBULA_API_KEY": "bench",
            "NEBULA_BASE_URL": self.nebula,
            "NEBULA_PLATFORM_URL": self.platform,
            "SLACK_API_URL": self.slack,
            "SLACK_BOT_TOKEN": self.slack_bot_token,
            "SLACK_APP_TOKEN": self.slack_app_token,
            "DISCORD_API_URL": self.discord,
            "DISCORD_GATEWAY_URL": self.gateway,
            "DISCORD_TOKEN": self.discord_token,
            # one person asks more in a minute than people do in a day
            "PERSON_TOKENS": "off",
            "CHANNEL_TOKENS": "off",
        }

    def config(self, data: Path, **more: Any) -> Configuration:
        """The same as a configuration, independent of the environment, with these values besides."""
        values: dict[str, Any] = {name.lower(): value for name, value in self.environment().items()}
        values |= {"redis_url": None, "slack_signing_secret": None, "data_dir": data, "drain_seconds": 0}
        return configured(**values | more)


@dataclass(frozen=True, slots=True)
class AskTimes:
    """When the event was sent, and when the model received its request, in seconds of the system's monotonic clock."""

    said: float
    requested: float


class BenchWire:
    """The servers, as the bench's process sees them."""

    def __init__(self, pipe: "Connection[Any, Any]", addresses: Addresses) -> None:
        self._pipe = pipe
        self._lock = asyncio.Lock()
        self.addresses = addresses

    async def answers(self, text: str, pace: float = 0.0) -> None:
        """Set the model's answer from now on, at this many tokens per second (0: at once)."""
        await self.call("answers", text, pace)

    async def connected(self) -> None:
        """Wait for a bot that is connected to both platforms and has registered its commands."""
        await self.call("connected")

    async def ask(self, event: AskKind, number: int) -> AskTimes:
        """Let somebody ask in channel `number`; returns once the model has been asked."""
        said, requested = await self.call("ask", event, number)
        return AskTimes(said, requested)

    async def ask_many(self, event: AskKind, many: int) -> None:
        """Let this many people ask at once, each in another channel; returns once the model has received all
        requests."""
        await self.call("ask_many", event, many)

    async def streams(self) -> int:
        """How many answers the model streams now."""
        return int(await self.call("streams"))

    async def call(self, name: str, *arguments: object) -> Any:
        """Call the scene's method of this name and return its result; one call at a time."""
        async with self._lock:
            self._pipe.send((name, arguments))
            return await asyncio.to_thread(self._pipe.recv)


class BenchScene:
    """The same in the servers' process: its public methods are what BenchWire calls."""

    slack_limits: Mapping[str, SlackLimit] = NO_SLACK_LIMITS
    discord_limits: DiscordLimits | None = None

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        self._slack, self._discord = slack, discord
        self._text = "ok"
        self.nebula = NebulaServer(answer=self._answer)
        self._ann = slack.add_user("ann")
        self._rooms = [slack.add_channel(f"room-{number}", self._ann) for number in range(channels)]
        people = [self._ann, *(slack.add_user(f"friend-{number}") for number in range(1, channels))]
        self._direct = [(person, slack.open_dm(person)) for person in people]
        self._guild = discord.add_guild("Bench")
        self._bob = discord.add_member(self._guild, "bob")
        self._channels = [discord.add_channel(self._guild, f"room-{number}") for number in range(channels)]

    def addresses(self) -> Addresses:
        slack, discord = self._slack, self._discord
        return Addresses(
            nebula=self.nebula.base_url,
            platform=self.nebula.platform_url,
            slack=slack.api_url,
            slack_bot_token=slack.bot_token,
            slack_app_token=slack.app_token,
            discord=discord.api_url,
            gateway=discord.gateway_url,
            discord_token=discord.token,
        )

    def answers(self, text: str, pace: float) -> None:
        self.nebula.pace = pace
        self._text = text

    async def connected(self) -> None:
        discord = self._discord
        await self._slack.until(lambda: self._slack.sockets > 0, BENCH_WAIT_SECONDS)
        await discord.until(lambda: bool(discord.gateway.sessions and discord.commands.registered), BENCH_WAIT_SECONDS)

    async def ask(self, event: AskKind, number: int) -> tuple[float, float]:
        before = len(self.nebula.requests)
        said = time.monotonic()
        await self._say(event, number)
        await self.nebula.until(lambda: len(self.nebula.requests) > before, BENCH_WAIT_SECONDS)
        return said, self.nebula.requests[before].at

    async def ask_many(self, event: AskKind, many: int) -> None:
        before = len(self.nebula.requests)
        for number in range(many):
            await self._say(event, number)
        await self.nebula.until(lambda: len(self.nebula.requests) >= before + many, BENCH_WAIT_SECONDS)

    def streams(self) -> int:
        return sum(not (each.finished or each.closed_early) for each in self.nebula.requests)

    def _answer(self, messages: Sequence[ChatMessage]) -> str:
        return self._text

    def _question(self, number: int) -> str:
        return "How does a hash table work, and when is it slow?"

    async def _say(self, event: AskKind, number: int) -> None:
        question = self._question(number)
        match event:
            case AskKind.SLACK:
                await self._slack.say(self._ann, self._rooms[number], f"@nebula {question}")
            case AskKind.SLACK_DIRECT:
                person, direct = self._direct[number]
                await self._slack.say(person, direct, question)
            case AskKind.DISCORD:
                text = f"@{self._discord.bot_user.name} {question}"
                await self._discord.say(self._bob, self._channels[number], text)
            case AskKind.DISCORD_SLASH:
                await self._discord.slash(self._bob, self._channels[number], "ask", {"prompt": question})


def _serve(pipe: "Connection[Any, Any]", kind: type[BenchScene], channels: int) -> None:
    # A bot that ends in the middle of an answer leaves a request that fails, which is expected.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

    async def main() -> None:
        async with (
            SlackServer(limits=kind.slack_limits, subscriptions=frozenset(EVENTS)) as slack,
            DiscordServer(limits=kind.discord_limits) as discord,
        ):
            scene = kind(slack, discord, channels)
            async with scene.nebula:
                pipe.send(scene.addresses())
                while True:
                    name, arguments = await asyncio.to_thread(pipe.recv)
                    answer = getattr(scene, name)(*arguments)
                    pipe.send(await answer if inspect.isawaitable(answer) else answer)

    asyncio.run(main())


@asynccontextmanager
async def wire(channels: int) -> AsyncIterator[BenchWire]:
    """Start the servers, with this many channels on each platform and no rate limits."""
    async with process(BenchScene, channels) as (pipe, addresses):
        yield BenchWire(pipe, addresses)


@asynccontextmanager
async def process(kind: type[BenchScene], channels: int) -> AsyncIterator[tuple["Connection[Any, Any]", Addresses]]:
    """Start a process with the servers and a scene of this class; yields the pipe to it and the servers' addresses."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, kind, channels), daemon=True)
    process.start()
    theirs.close()  # so that the end of the servers also ends a wait for their answer
    try:
        yield ours, await asyncio.to_thread(ours.recv)
    finally:
        process.terminate()
        process.join()
        ours.close()
