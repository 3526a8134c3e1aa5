"""`nebula-bot run`: serves platforms until the process is stopped."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from bots import health
from bots.adapter import Adapter
from bots.alive import alive
from bots.compose import Bot, assemble, chat_model, storage
from core.domain.ports import ChatModel
from core.nebula.wrappers.breaking import Breakers
from core.settings.config import Config
from core.store.redis.client import ping

log = logging.getLogger(__name__)


async def run(config: Config, platforms: Sequence[Adapter], *, listen: bool = True) -> None:
    """Serve these platforms until SIGTERM or SIGINT; running replies then get DRAIN_SECONDS.

    Without `listen` the process receives no events, and only runs turns that other processes leave behind. Raises
    WrongConfig and StoreError.
    """
    breakers = Breakers()
    async with stopping() as stop, storage(config) as store, chat_model(config, store.redis, breakers) as model:
        log.info("%s", store.where)
        for warning in store.warnings:
            log.warning("%s", warning)
        checked = checks(store.redis, breakers, platforms if listen else (), config.health_silence_seconds)
        # The health server comes first, so that it answers probes from the start to the end of the last reply.
        async with (
            health.health(config.health_port, config.health_host, [health.running(stop), *checked]),
            serving(config, store.redis, model, platforms, listen=listen),
            alive(config.data_dir),
        ):
            names = " and ".join(platform.name.title() for platform in platforms)
            log.info("starting %s", names if listen else f"a worker for {names}")
            await model.catalog()  # now, so that no question has to wait for it
            await stop.wait()
            log.info("stopping: running replies get %g s to finish", config.drain_seconds)


def checks(redis: "Redis", breakers: Breakers, platforms: Sequence[Adapter], silence: float) -> list[health.Checker]:
    """The checks that must pass before this process can answer questions. `silence`: see `health.platform`."""
    return [
        health.redis(lambda: ping(redis)),
        health.breaker(breakers.unavailable),
        *(health.platform(platform, silence) for platform in platforms),
    ]


@asynccontextmanager
async def serving(
    config: Config, redis: "Redis", model: ChatModel, platforms: Sequence[Adapter], *, listen: bool = True
) -> AsyncIterator[Bot]:
    """Run the bot on these platforms. With `listen` it receives their events."""
    bot = assemble(config, redis, model, platforms)
    async with asyncio.TaskGroup() as group:
        async with bot.runner.open():
            tasks = [group.create_task(each.run(bot.dispatcher) if listen else each.work()) for each in platforms]
            yield bot
        # Every reply has ended or been handed back: only now may the connections that show them close.
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set. A second signal ends the process at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def request_stop() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
