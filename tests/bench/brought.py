"""The time from the event that brings a file to the model's request, beside the same question without one."""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bots.compose import Bot
from bots.sandbox.discord.world.values import DiscordUpload
from bots.sandbox.slack.workspace.values import SlackFile
from tests.bench.files import FILES
from tests.bench.served import served
from tests.bench.table import Table, ms, ratio
from tests.bench.wire import AskKind, BenchScene, BenchWire, process
from tests.configuration import Configuration

TIMES, WARM_UP = 8, 1
BROUGHT = ("an empty text", "a log of 1 MB", "a PDF of 100 pages", "a photo of 12 megapixels")
EVENTS = (AskKind.SLACK, AskKind.DISCORD)
SEES = "Qwen/Qwen2.5-VL-7B-Instruct"


class _Scene(BenchScene):
    """The same scene, in which each question may bring a file."""

    _file: tuple[str, bytes] | None = None

    def brings(self, name: str, content: bytes) -> None:
        """Each later question brings this file; with no name, none."""
        self._file = (name, content) if name else None

    def sent(self) -> int:
        """How much of the files is in the model's newest request: characters of its last message, and pictures."""
        last = self.nebula.requests[-1].messages[-1]
        return len(last.content) + len(last.pictures)

    async def _say(self, event: AskKind, number: int) -> None:
        if self._file is None:
            await super()._say(event, number)
            return
        name, content = self._file
        if event is AskKind.SLACK:
            await self._slack.say(
                self._ann, self._rooms[number], "@nebula what is it?", files=[SlackFile(name, content)]
            )
        else:
            text, file = f"@{self._discord.bot_user.name} what is it?", DiscordUpload(name, content)
            await self._discord.say(self._bob, self._channels[number], text, attachments=[file])


async def measure() -> Table:
    """About 30 s."""
    channels = (TIMES + WARM_UP) * (len(BROUGHT) + 1)
    with TemporaryDirectory(prefix="nb-") as folder:
        async with process(_Scene, channels) as (pipe, addresses):
            servers = BenchWire(pipe, addresses)
            await servers.answers("ok")
            config = addresses.config(Path(folder), nebula_model=SEES)
            rows = await _rows(servers, config)
    return Table(
        "From a file to the model's request",
        f"From the event that brings the file until Nebula has the request's headers, median of {TIMES} questions, "
        "each in a channel of its own; the file is downloaded from the platform on the same machine. The floor is the "
        "same reader in this process, with everything imported and the file at hand; for text, it only decodes it.",
        ("event", "file", "without, ms", "with it, ms", "added, ms", "floor, ms", "added : floor"),
        tuple(rows),
    )


async def _rows(servers: BenchWire, config: Configuration) -> list[tuple[str, ...]]:
    rows = []
    async with served(servers, config) as bot:
        for event in EVENTS:
            await servers.call("brings", "", b"")
            without, least = await _median(servers, bot, event, 0), await servers.call("sent")
            for place, what in enumerate(BROUGHT, 1):
                name, make, bare = FILES[what]
                content = make()
                await servers.call("brings", name, content)
                took = await _median(servers, bot, event, place)
                if await servers.call("sent") == least:
                    raise AssertionError(f"{what} did not reach the model")
                begun = time.perf_counter()
                bare(content)
                floor, added = time.perf_counter() - begun, took - without
                rows.append((event.value, what, *map(ms, (without, took, added, floor)), ratio(added, floor)))
    return rows


async def _median(servers: BenchWire, bot: Bot, event: AskKind, place: int) -> float:
    """The median time of questions in the channels for this `place` in the list."""
    times = []
    for number in range(TIMES + WARM_UP):
        asked = await servers.ask(event, place * (TIMES + WARM_UP) + number)
        await bot.runner.idle()
        times.append(asked.requested - asked.said)
    return statistics.median(times[WARM_UP:])
