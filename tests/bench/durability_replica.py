"""A process that answers numbered questions on surfaces in memory, as a replica with Redis or without storage.

Run by tests.bench.durability. A line on stdin is a question's number, or `rest`; stdin's end is the end. On stdout:
`ready` once; `done NUMBER ASKED TEXT` when a reply is complete, with the moment when this process read the question, on
the monotonic clock; `rest SECONDS`, the CPU time of this process, once nothing runs here any more.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bots.compose import assemble, chat_model, nebula, storage
from bots.platforms import load
from core.domain.conversation import Address, Attachment, Author, Place, Rights
from core.domain.errors import Forbidden
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.ports import NO_STATUS, QuestionStatus, Surface
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.surroundings import Reach, Surroundings
from core.domain.turn_id import TurnId
from core.ratelimit.limiter import RateLimiter
from core.settings.config import Config
from core.settings.parameters import resolve
from core.turns.assistant import Assistant
from core.turns.reading import RoomReader
from core.turns.surfaces import Surfaces
from tests.bench.turns import answered
from tests.core.room import MemorySurface

CONVERSATIONS = 80
QUESTION_TEXT = "How does a hash table work, and when is it slow?"


@dataclass
class _Reply(MemorySurface):
    """A surface that reports when its reply is complete."""

    over: Callable[[str], object] = field(kw_only=True)

    async def status(self, sign: QuestionStatus) -> None:
        await super().status(sign)
        if sign == NO_STATUS:
            self.over(self.text)


class _Rooms:
    """A platform in memory. Each channel has its own budget, which all processes share, as on the real platforms."""

    name = "bench"
    defaults = PlatformDefaults(Memory.CHANNEL, Placement.CHANNEL)

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}

    def question(self, number: int) -> Question:
        self._asked[number] = time.monotonic()
        place = Place(self.name, "W", f"C{number % CONVERSATIONS}")
        return Question(
            TurnId(f"bench/{number}"), place, Author("U", "bob"), QUESTION_TEXT, message=str(number), at=time.time()
        )

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        return Surroundings()

    async def channel_name(self, place: Place) -> str:
        return ""

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        raise Forbidden("there are no files")

    def open(self, address: Address) -> Surface:
        number, pace = int(address.message), RateLimit(f"bench/{address.place.channel}", 1000, 1.0, spread=False)

        def over(text: str) -> None:
            asked = self._asked.pop(number, 0.0)  # 0: another process read it
            _tell(f"done {number} {asked} {text}")

        return _Reply(post_pace=pace, edit_pace=pace, over=over)


@dataclass(frozen=True, slots=True)
class _Path:
    """One way from a question to its reply."""

    ask: Callable[[Question], Coroutine[Any, Any, object]]
    idle: Callable[[], Awaitable[None]]


@asynccontextmanager
async def _durable(config: Config, rooms: _Rooms) -> AsyncIterator[_Path]:
    """The whole core, composed as in the program."""

    async def rights() -> Rights:
        return Rights.NONE

    async with storage(config) as store, chat_model(config, store.redis) as model:
        await model.catalog()
        bot = assemble(config, store.redis, model, [rooms])
        async with bot.runner.open():
            yield _Path(lambda mention: bot.dispatcher.heard(mention, rights), bot.runner.idle)


@asynccontextmanager
async def _bare(config: Config, rooms: _Rooms) -> AsyncIterator[_Path]:
    """The same assistant, client and surfaces, but no queue, lease, history or settings in Redis; only this process
    counts the budgets."""
    running: set[asyncio.Task[object]] = set()

    async def ask(mention: Question) -> None:
        settings = resolve(mention.place, config.defaults, rooms.defaults, ())
        surface = rooms.open(Address(mention.place, settings.replies, mention.message))
        running.add(task := group.create_task(answered(assistant, mention, settings, surface)))
        task.add_done_callback(running.discard)

    async def idle() -> None:
        while running:
            await asyncio.wait(running)

    async with nebula(config) as model, asyncio.TaskGroup() as group:
        await model.catalog()
        assistant = Assistant(
            model,
            RateLimiter(),
            RoomReader(Surfaces({rooms.name: rooms})),
            context=config.nebula_context_tokens,
            pages=config.reply_pages,
        )
        yield _Path(ask, idle)


async def _main(*, durable: bool) -> None:
    config, rooms = load(None).of(Config), _Rooms()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with (
        (_durable if durable else _bare)(config, rooms) as path,
        asyncio.TaskGroup() as group,
    ):
        _tell("ready")
        async for line in lines:
            if line.strip() == b"rest":
                await path.idle()
                _tell(f"rest {time.process_time()}")
            else:
                group.create_task(path.ask(rooms.question(int(line))))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(durable=sys.argv[1] == "durable"))
