"""`nebula-bot run`: every platform that has tokens, until the process is told to stop."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from bots import health
from bots.alive import alive
from bots.compose import Bot, assemble, chat_model, storage
from core.domain.ports import ChatModel
from core.nebula.resilient import ResilientModel
from core.settings.config import Config
from core.store.redis.client import ping

if TYPE_CHECKING:
    from bots.discord.app import Discord
    from bots.slack.app import Slack

log = logging.getLogger(__name__)


async def run(config: Config, *, listen: bool = True) -> None:
    """Serve until SIGTERM or SIGINT; running replies then get DRAIN_SECONDS. Raises WrongConfig and StoreError.

    Without `listen` no platform is heard: only turns that other processes leave are run.
    """
    platforms = configured(config)
    async with stopping() as stop, storage(config) as store, chat_model(config, store.redis) as model:
        log.info("%s", store.where)
        for warning in store.warnings:
            log.warning("%s", warning)
        checked = checks(config, store.redis, model, platforms if listen else ())
        # Outermost, so that probes are answered from the start to the end of the last reply.
        async with (
            health.health(config, [health.running(stop), *checked]),
            serving(config, store.redis, model, platforms, listen=listen),
            alive(config.data_dir),
        ):
            names = " and ".join(platform.name.title() for platform in platforms)
            log.info("starting %s", names if listen else f"a worker for {names}")
            await model.catalog()  # so that no question waits for it
            await stop.wait()
            log.info("stopping: running replies get %g s", config.drain_seconds)


def configured(config: Config) -> list["Slack | Discord"]:
    """The platforms that have tokens; the libraries of the others are not even loaded."""
    platforms: list[Slack | Discord] = []
    if config.has_slack:
        from bots.slack import app as slack

        platforms.append(slack.Slack(config))
    if config.has_discord:
        from bots.discord import app as discord

        platforms.append(discord.Discord(config))
    return platforms


def checks(
    config: Config, redis: "Redis", model: ResilientModel, platforms: Sequence["Slack | Discord"]
) -> list[health.Checker]:
    """What must be well before this process can answer questions."""
    silence = config.health_silence_seconds
    return [
        health.redis(lambda: ping(redis)),
        health.breaker(lambda: model.unavailable),
        *(health.platform(platform, silence) for platform in platforms),
    ]


@asynccontextmanager
async def serving(
    config: Config, redis: "Redis", model: ChatModel, platforms: Sequence["Slack | Discord"], *, listen: bool = True
) -> AsyncIterator[Bot]:
    """The bot at work on these platforms; it hears them if it is to `listen`."""
    bot = assemble(config, redis, model, platforms)
    async with asyncio.TaskGroup() as group:
        async with bot.intake.open():
            tasks = [group.create_task(each.run(bot.front) if listen else each.work()) for each in platforms]
            yield bot
        # Only now, with every reply ended or handed back, may the connections they are shown on go.
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
