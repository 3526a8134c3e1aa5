"""`nebula-bot run`: serves platforms until the process is stopped."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat

from redis.asyncio import Redis

from bots import health
from bots.adapter import Adapter, Examination, SharesLimits, SignsIn
from bots.alive import alive
from bots.compose import Bot, Storage, assemble, model_and_client, setup_of, storage
from bots.doctor import settings
from bots.doctor.look import FirstLook
from bots.doctor.start import report
from core.domain.errors import StoreError
from core.domain.ports import Model
from core.domain.retry import retried
from core.finding import Finding, bad, well
from core.nebula.wrappers.breaking import Breakers
from core.settings.config import Config
from core.store.redis import setup
from core.store.redis.client import ping
from core.store.redis.examine import NAME as REDIS
from core.store.redis.replicas import Replicas
from core.store.redis.spaces import FIRST, Spaces
from core.version import running

log = logging.getLogger(__name__)

# Until the next attempt to find out which part of Redis is this bot's.
SETTLE_RETRY_SECONDS = 1.0


async def run(
    config: Config, platforms: Sequence[Adapter], *, listen: bool = True, known: Sequence[Finding] = ()
) -> None:
    """Serve these platforms until SIGTERM, SIGINT or SIGHUP; running replies then get DRAIN_SECONDS.

    Without `listen` the process receives no events, and only runs turns that other processes leave behind. `known`:
    what reading the configuration has shown, for the report. Raises WrongConfig and StoreError.
    """
    breakers, look = Breakers(), FirstLook()
    async with (
        stopping() as stop,
        storage(config) as store,
        model_and_client(config, store.redis, breakers) as (model, client),
    ):
        checked = checks(store.redis, breakers, platforms if listen else (), config.health_silence_seconds, look)
        # What answers probes and shows that this process lives does so from the start to the end of the last reply, and
        # no question is taken before all of this has succeeded.
        async with (
            health.health(config.health_port, config.health_host, [health.running(stop), *checked]),
            alive(config.data_dir),
            asyncio.TaskGroup() as around,
            serving(config, store.redis, model, platforms, listen=listen),
        ):
            names = " and ".join(platform.name.title() for platform in platforms)
            log.info("starting %s", names if listen else f"a worker for {names}")
            present = around.create_task(_present(store.redis, "run" if listen else "worker"))
            about = Examination(open=not config.access_allow)
            memory = [_memory(store), *(bad(REDIS, warning) for warning in store.warnings)]
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(look.run(client.check, config.nebula_model)),
                    group.create_task(
                        report([*known, *memory], look, platforms, about, [*settings.addresses(config)], listen=listen)
                    ),
                    group.create_task(model.catalog()),  # now, so that no question has to wait for it
                ]
                await stop.wait()
                for task in beside:
                    task.cancel()
            present.cancel()  # it says goodbye beside the last replies
            log.info("stopping: running replies get %g s to finish", config.drain_seconds)


def _memory(store: Storage) -> Finding:
    return well(REDIS, f"{store.info.name} {store.info.version}, {store.where}, {store.info.keeps}")


async def _present(redis: "Redis", role: str) -> None:
    """Tell others that this process is there; to know its own version, it reads all sources."""
    await Replicas(redis).keep(await asyncio.to_thread(running), role)


def checks(
    redis: "Redis", breakers: Breakers, platforms: Sequence[Adapter], silence: float, look: FirstLook
) -> list[health.Checker]:
    """The checks that must pass before this process can answer questions. `silence`: see `health.platform`."""
    return [
        health.redis(lambda: ping(redis)),
        health.nebula(breakers.unavailable, lambda: "" if breakers.answered else look.refusal),
        *(health.platform(platform, silence) for platform in platforms),
    ]


@asynccontextmanager
async def serving(
    config: Config, redis: "Redis", model: Model, platforms: Sequence[Adapter], *, listen: bool = True
) -> AsyncIterator[Bot]:
    """Run the bot on these platforms. With `listen` it receives their events."""
    spaces = Spaces(each.name for each in platforms if isinstance(each, SignsIn))
    bot = assemble(config, redis, model, platforms, spaces=spaces)
    for each in platforms:
        if isinstance(each, SharesLimits):
            each.share(bot.limiter)

    async def serve(platform: Adapter) -> None:
        if isinstance(platform, SignsIn):
            scope, own_id = await platform.sign_in()
            settle = partial(spaces.settle, redis, platform.name, scope, own_id)
            await retried(settle, repeat(SETTLE_RETRY_SECONDS), on=StoreError)
            if (prefix := spaces.prefix(scope)) != FIRST:
                log.warning("%s: another bot used this Redis first; this one's keys begin with %s", scope, prefix)
            tasks.append(group.create_task(spaces.keep(redis, platform.name, scope, own_id)))
        await (platform.run(bot.dispatcher) if listen else platform.work(bot.dispatcher))

    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        async with bot.runner.open():
            tasks += [group.create_task(serve(each)) for each in platforms]
            tasks.append(group.create_task(bot.records.tidy()))
            tasks.append(group.create_task(setup.keep(redis, setup_of(config))))
            yield bot
        # Every reply has ended or been handed back: only now may the connections that show them close.
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM, SIGINT and SIGHUP set. After it, SIGTERM or SIGINT ends the process at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def request_stop() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    heard: dict[signal.Signals, Callable[[], None]] = {signal.SIGTERM: request_stop, signal.SIGINT: request_stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has it ignored
        heard[signal.SIGHUP] = stop.set  # the end of a terminal may send it twice
    for number, heed in heard.items():
        loop.add_signal_handler(number, heed)
    try:
        yield stop
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
