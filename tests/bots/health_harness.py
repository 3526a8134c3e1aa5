"""A bot with an open health port, the sandbox's Slack, Discord and Nebula, a real Redis, and probes from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bots import health
from bots.compose import Bot, model_and_client
from bots.discord.app import Discord
from bots.doctor.look import FirstLook
from bots.run import checks, serving
from bots.sandbox.discord import limits as discord_limits
from bots.sandbox.discord.server import DiscordServer
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.methods import limits as slack_limits
from bots.sandbox.slack.server import SlackServer
from bots.slack.app import Slack
from core.nebula.wrappers.breaking import Breakers
from core.nebula.wrappers.circuit_breaker import CircuitBreaker
from core.store.redis.client import connection
from tests.bots.slack.harness import RETRIES
from tests.bounds import HANG_SECONDS
from tests.configuration import configured
from tests.ports import free_port

Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class HealthServers:
    """The three servers, with a person in #general on both platforms, and the port to probe."""

    slack: SlackServer
    discord: DiscordServer
    nebula: NebulaServer
    session: aiohttp.ClientSession
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.ann = self.slack.add_user("ann")
        self.channel = self.slack.add_channel("general", self.ann)
        guild = self.discord.add_guild("Guild")
        self.ada = self.discord.add_member(guild, "ada")
        self.room = self.discord.add_channel(guild, "general")

    @property
    def settings(self) -> dict[str, str]:
        """The environment that points a bot to these servers."""
        return {
            "NEBULA_API_KEY": "key",
            "NEBULA_BASE_URL": self.nebula.base_url,
            "NEBULA_PLATFORM_URL": self.nebula.platform_url,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
        }

    @asynccontextmanager
    async def bot(
        self,
        redis_url: str,
        *,
        platforms: Sequence[type[Slack | Discord]] = (Slack, Discord),
        more: tuple[health.Checker, ...] = (),
        ready: bool = True,
        **changes: Any,
    ) -> AsyncIterator[Bot]:
        """Run the bot with its port open; with `ready`, wait until it reports that it is ready."""
        values = {name.lower(): value for name, value in self.settings.items()}
        sections = configured(**{**values, "health_port": self.port, "drain_seconds": 0, **changes})
        config = sections.core
        served = [Slack(sections.slack) if kind is Slack else Discord(sections.discord) for kind in platforms]
        breakers = Breakers(lambda: CircuitBreaker(pause=HANG_SECONDS))  # an open one is still open at the next probe
        async with connection(redis_url) as redis, model_and_client(config, redis, breakers) as (model, client):
            look = FirstLook()
            wanted = [*more, *checks(redis, breakers, served, config.health_silence_seconds, look)]
            async with (
                health.health(config.health_port, config.health_host, wanted),
                serving(config, redis, model, served) as bot,
            ):
                await look.run(client.check, config.nebula_model)
                if ready:
                    await self.until_ready(200)
                yield bot

    async def get(self, path: str) -> tuple[int, str]:
        """The status and text of a response on the health port."""
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def until_ready(self, status: int, line: str = "") -> list[str]:
        """Probe until /readyz has this status and a line that begins like this; returns its lines."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                found, text = await self.get("/readyz")
                lines = text.splitlines()
                if found == status and any(each.startswith(line) for each in lines):
                    return lines
                await asyncio.sleep(0.02)

    async def series(self) -> dict[Series, float]:
        """The samples that Prometheus would store."""
        status, text = await self.get("/metrics")
        assert status == 200
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 if there is none."""
        return (await self.series()).get((f"nebula_bot_{name}", tuple(sorted(labels.items()))), 0.0)

    async def until_value(self, condition: Callable[[float], bool], name: str, **labels: str) -> None:
        """Scrape until the sample meets the condition."""
        async with asyncio.timeout(HANG_SECONDS):
            while not condition(await self.value(name, **labels)):
                await asyncio.sleep(0.02)

    async def ask_slack(self, text: str = "hello") -> None:
        """Ask a question in #general; the test checks the outcome."""
        await self.slack.say(self.ann, self.channel, f"@nebula {text}")

    async def answered(self, ending: str) -> None:
        """Wait until a reply in Slack shows this text."""
        await self.slack.until(lambda: any(ending in m.shown for m in self.slack.messages(self.channel) if m.bot))


@asynccontextmanager
async def place() -> AsyncIterator[HealthServers]:
    """Start all the servers, without rate limits."""
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            SlackServer(limits=slack_limits.NO_SLACK_LIMITS, retry_delays=RETRIES, ack_growth=1.3)
        )
        discord = await stack.enter_async_context(
            DiscordServer(limits=discord_limits.NO_DISCORD_LIMITS, interaction_deadline=HANG_SECONDS)
        )
        model = await stack.enter_async_context(NebulaServer())
        yield HealthServers(slack, discord, model, await stack.enter_async_context(aiohttp.ClientSession()))
