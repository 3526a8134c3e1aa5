"""`nebula-bot run`: every platform that has tokens, until the process is told to stop."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis.asyncio import Redis

from bots import health
from bots.compose import Bot, assemble, nebula, steady, storage
from bots.discord.app import Discord
from bots.slack.app import Slack
from core.config import Config, WrongConfig
from core.ports import ChatModel
from core.steady import Steady
from core.store.connect import ping

log = logging.getLogger(__name__)

# The container's health check asks whether the loop was alive within this many seconds.
ALIVE_SECONDS = 30.0


async def run(config: Config, *, listen: bool = True) -> None:
    """Serve until SIGTERM or SIGINT; running replies then get DRAIN_SECONDS. Raises WrongConfig and StoreError.

    Without `listen` no platform is heard: only turns that other processes leave are run.
    """
    platforms: list[Slack | Discord] = []
    if config.has_slack:
        platforms.append(Slack(config))
    if config.has_discord:
        platforms.append(Discord(config))
    async with stopping() as stop, storage(config) as store, nebula(config) as model:
        log.info("%s", store.where)
        for warning in store.warnings:
            log.warning("%s", warning)
        steadied = steady(config, store.redis, model)
        checked = checks(config, store.redis, steadied, platforms if listen else ())
        # Outermost, so that probes are answered from the start to the end of the last reply.
        async with (
            health.health(config, [health.running(stop), *checked]),
            serving(config, store.redis, steadied, platforms, listen=listen),
            alive(config.data_dir),
        ):
            names = " and ".join(platform.name.title() for platform in platforms)
            log.info("starting %s", names if listen else f"a worker for {names}")
            await model.catalog()  # so that no question waits for it
            await stop.wait()
            log.info("stopping: running replies get %g s", config.drain_seconds)


def checks(config: Config, redis: "Redis", model: Steady, platforms: Sequence[Slack | Discord]) -> list[health.Checker]:
    """What must be well before this process can answer questions."""
    silence = config.health_silence_seconds
    return [
        health.redis(lambda: ping(redis)),
        health.breaker(lambda: model.resting),
        *(health.platform(platform, silence) for platform in platforms),
    ]


@asynccontextmanager
async def serving(
    config: Config, redis: "Redis", model: ChatModel, platforms: Sequence[Slack | Discord], *, listen: bool = True
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


@asynccontextmanager
async def alive(data_dir: Path) -> AsyncIterator[None]:
    """Touch a file while the loop is alive, for `nebula-bot health`."""
    path = data_dir / "alive"

    async def beat() -> None:
        while True:
            with suppress(OSError):  # a full disk is no reason to stop answering
                await asyncio.to_thread(path.touch)
            await asyncio.sleep(ALIVE_SECONDS / 3)

    try:
        await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.touch)
    except OSError as error:
        problem = (
            f"DATA_DIR: {data_dir} can't be written ({error.strerror}); name a directory that the bot may write to."
        )
        raise WrongConfig((problem,)) from None
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()


def healthy(config: Config) -> bool:
    """Whether a bot with this DATA_DIR was alive within ALIVE_SECONDS."""
    path = config.data_dir / "alive"
    return path.exists() and time.time() - path.stat().st_mtime < ALIVE_SECONDS
