"""Plays one case of `make bench-live`, with the bots in this process and the servers in another one."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.compose import Bot, account_limits, nebula, storage, wrapped
from bots.discord.app import Discord
from bots.run import serving
from bots.slack.app import Slack
from core.domain.chat import Beat, Catalog, ChatRequest, Completion, Delta, ImageRequest, ImageResult
from core.domain.conversation import Address, Author
from core.domain.ports import Model
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.nebula.wrappers.breaking import Breakers
from core.settings.parameters import Stored, resolve
from core.store.settings import SettingsStore
from tests.bench.live_cases import LiveCase
from tests.bench.live_scene import LiveWire, Watched, live_wire
from tests.bench.turns import answered
from tests.bench.wire import BENCH_WAIT_SECONDS, AskKind
from tests.configuration import Configuration

FAST, LENGTH = 400, 2_000  # tokens per second, and tokens, of the answer that is read while the platform is slow


@dataclass(frozen=True, slots=True)
class _Served:
    """A bot and the platform that it serves."""

    bot: Bot
    platform: Slack | Discord


async def play(case: LiveCase) -> Watched:
    """Run the replies of a case until they end or the wait for them runs out."""
    async with _stage(case) as (servers, bots):
        await servers.says(case.tokens, case.pace)
        if case.halved:
            await servers.halve(case.halved)
        if case.together:
            return await _together(servers, bots[0], case)
        await servers.ask_many(case.event, case.replies)
        watched = await servers.watch(case.replies, case.patience)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):  # for the commits; a reply that hangs has been seen as incomplete before
                await asyncio.gather(*(each.bot.runner.idle() for each in bots))
        return watched


async def read_rate(case: LiveCase, delay: float) -> float:
    """Tokens per second that the bot reads from a fast model while the platform answers edits `delay` seconds late."""
    meters: list[_Meter] = []

    def metered(model: Model) -> Model:
        meters.append(_Meter(model))
        return meters[-1]

    async with _stage(case, metered) as (servers, _):
        await servers.says(LENGTH, FAST)
        if delay:
            await servers.slow(delay)
        await servers.ask_many(case.event, 1)
        async with asyncio.timeout(LENGTH / FAST * 3 + BENCH_WAIT_SECONDS):
            await meters[0].over.wait()
    (first, begin), *_, (last, _) = meters[0].read
    return (LENGTH - begin) / (last - first)


@asynccontextmanager
async def _stage(
    case: LiveCase, seen: Callable[[Model], Model] = lambda model: model
) -> AsyncIterator[tuple[LiveWire, Sequence[_Served]]]:
    """New servers and bots for a case, so that all budgets are unused."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="nb-"))
        servers = await stack.enter_async_context(live_wire(case.replies))
        sections = servers.addresses.config(Path(folder))
        config = sections.core
        store = await stack.enter_async_context(storage(config))
        bots = []
        for _ in range(case.replicas):
            account = account_limits(config, store.redis)
            client = seen(await stack.enter_async_context(nebula(config, account.reserve_retry)))
            model = wrapped(config, client, account, Breakers())
            platform = _platform(case, sections)
            bot = await stack.enter_async_context(serving(config, store.redis, model, [platform]))
            await platform.ready.wait()
            bots.append(_Served(bot, platform))
        if case.streaming:
            settings = SettingsStore(store.redis, config.defaults, {})
            scope = f"slack/{await servers.team()}"
            await settings.write(scope, "streaming", Stored(case.streaming, "bench", time.time()))
        await servers.ready(case.event, case.replicas)
        yield servers, bots


def _platform(case: LiveCase, config: Configuration) -> Slack | Discord:
    return Slack(config.slack) if case.event in (AskKind.SLACK, AskKind.SLACK_DIRECT) else Discord(config.discord)


async def _together(servers: LiveWire, served: _Served, case: LiveCase) -> Watched:
    """All replies in one channel at once: the assistant answers on surfaces of the platform, without the intake."""
    config = servers.addresses.config(Path("unused")).core
    asked = [await servers.post_unheard(number) for number in range(case.replies)]
    async with asyncio.TaskGroup() as group:
        running = []
        for number, each in enumerate(asked):
            mention = Question(
                TurnId(f"bench/{number}"), each.place, Author("U", "bob"), each.text, message=each.message
            )
            settings = resolve(each.place, config.defaults, served.platform.defaults, ())
            surface = served.platform.open(Address(each.place, settings.replies, each.message))
            running.append(group.create_task(answered(served.bot.assistant, mention, settings, surface)))
        watched = await servers.watch(case.replies, case.patience)
        for task in running:
            task.cancel()
    return watched


class _Meter:
    """A model that records when how many tokens of its answer had been read."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.read: list[tuple[float, int]] = []
        self.over = asyncio.Event()

    @asynccontextmanager
    async def stream(self, request: ChatRequest, beat: Beat | None = None) -> AsyncIterator[AsyncIterator[Delta]]:
        async with self._model.stream(request, beat) as deltas, aclosing(self._noted(deltas)) as noted:
            yield noted

    async def complete(self, request: ChatRequest) -> Completion:
        return await self._model.complete(request)

    async def imagine(self, request: ImageRequest) -> ImageResult:
        return await self._model.imagine(request)

    async def catalog(self) -> Catalog:
        return await self._model.catalog()

    async def _noted(self, deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta, None]:
        tokens = 0
        async for delta in deltas:
            if delta.text:
                tokens += len(delta.text.split())
                self.read.append((time.monotonic(), tokens))
            yield delta
        self.over.set()
