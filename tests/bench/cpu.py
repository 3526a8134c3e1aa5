"""CPU time per token: the whole program while replies stream on Discord, compared to only reading the streams."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.sandbox.discord.limits import DISCORD_LIMITS
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.slack.server import SlackServer
from tests.bench.chunks import bare, markdown
from tests.bench.program import cpu_seconds, program
from tests.bench.table import Table
from tests.bench.wire import AskKind, BenchScene, BenchWire, process

CPU_REPLIES, CPU_RATE, TOKENS = 20, 60, 600  # replies at once, tokens per second of each, tokens of each
ROUND_TRIP = 0.05  # seconds of a round trip between the bot and Discord
CPU_WAIT_SECONDS = 120.0
TARGET = 0.15  # CPU seconds per 1,000 tokens


class StreamingScene(BenchScene):
    """Discord with its real limits and a round trip."""

    discord_limits = DISCORD_LIMITS

    def __init__(self, slack: SlackServer, discord: DiscordServer, channels: int) -> None:
        super().__init__(slack, discord, channels)
        discord.latency = ROUND_TRIP

    async def discord_connected(self) -> None:
        discord = self._discord
        await discord.until(lambda: bool(discord.gateway.sessions and discord.commands.registered), CPU_WAIT_SECONDS)

    async def shown(self, replies: int, end: str) -> None:
        """Wait until this many replies are complete and no request to the model is open."""
        await self._discord.until(lambda: self._ended(end) >= replies, CPU_WAIT_SECONDS)

    def _ended(self, end: str) -> int:
        return sum(
            any(message.bot and message.content.endswith(end) for message in self._discord.messages(channel))
            for channel in self._channels
        )


async def measure() -> Table:
    """About 35 s."""
    with TemporaryDirectory(prefix="nb-") as name:
        folder = Path(name)
        samples = folder / "samples"
        async with process(StreamingScene, CPU_REPLIES) as (pipe, addresses):
            servers = BenchWire(pipe, addresses)
            settings = {key: value for key, value in addresses.environment().items() if not key.startswith("SLACK")}
            sampled = ("-m", "tests.bench.sampler", str(samples))
            async with program(settings, folder, *sampled) as bot:
                await servers.call("discord_connected")
                await _streamed(servers, 20, "warm")  # connects, imports, fills caches
                _counts(bot, samples)
                before = cpu_seconds(bot)
                await _streamed(servers, TOKENS, "done")
                spent = cpu_seconds(bot) - before
                counts = _counts(bot, samples)
            await servers.answers(markdown(TOKENS), CPU_RATE)
            start = time.thread_time()
            await asyncio.gather(*(bare(addresses.config(folder).core) for _ in range(CPU_REPLIES)))
            least = time.thread_time() - start
    thousands = CPU_REPLIES * TOKENS / 1000
    whole, floor = spent / thousands, least / thousands
    looks = sum(counts.values())
    shares = sorted(counts.items(), key=lambda each: -each[1])
    return Table(
        "CPU time per token",
        f"`nebula-bot run` with {CPU_REPLIES} replies at once in as many channels of a Discord with its real limits, "
        f"{ROUND_TRIP * 1000:.0f} ms away, {CPU_RATE} tokens a second each, {TOKENS} in all, each token a packet; "
        "from the questions to the last end. The floor reads the same streams from bare sockets with json.loads.",
        ("where", "CPU s per 1,000 tokens", "share"),
        (
            ("floor: bare sockets", f"{floor:.3f}", ""),
            (f"the program, {whole / floor:.1f} × the floor", f"{whole:.3f}", "100 %"),
            *((f"  {purpose}", f"{whole * many / looks:.3f}", f"{many / looks:.0%}") for purpose, many in shares),
        ),
        ("Where it goes is sampled: a library's time is counted with the module of ours that called it.",),
    )


async def _streamed(servers: BenchWire, tokens: int, end: str) -> None:
    """Ask in all channels, and wait for the end of the last reply."""
    await servers.answers(f"{markdown(tokens)}{end}", CPU_RATE)
    await servers.ask_many(AskKind.DISCORD, CPU_REPLIES)
    await servers.call("shown", CPU_REPLIES, end)


def _counts(bot: int, samples: Path) -> dict[str, int]:
    """The counts of the bot's sampler since the last call."""
    samples.unlink(missing_ok=True)
    os.kill(bot, signal.SIGUSR1)
    until = time.monotonic() + CPU_WAIT_SECONDS
    while not samples.exists():
        if time.monotonic() > until:
            raise TimeoutError("the bot's process does not tell where its time went")
        time.sleep(0.01)
    return {str(purpose): int(many) for purpose, many in json.loads(samples.read_text()).items()}
