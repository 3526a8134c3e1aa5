"""The adapter: a line that comes in is a question, and each frame of a reply is a line that goes out, as JSON."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from itertools import count

from core.domain.conversation import Address, Attachment, Author, Place, Rights
from core.domain.errors import Forbidden, Rejected
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.page import Page
from core.domain.ports import Connection, Posted, QuestionStatus
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.surroundings import Reach, Surroundings
from core.domain.turn_id import TurnId
from core.inbound.dispatcher import Dispatcher
from tests.bots.campfire.config import CampfireConfig

NAME = "campfire"


class Campfire:
    """Implements `bots.adapter.Adapter`."""

    name = NAME
    defaults = PlatformDefaults(Memory.CHANNEL, Placement.CHANNEL)

    def __init__(self, config: CampfireConfig) -> None:
        self._place = Place(NAME, "-", config.campfire_room)
        self._length = config.campfire_length
        self.ready = asyncio.Event()

    def open(self, address: Address) -> "CampfireSurface":
        return CampfireSurface(address.message, self._length)

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        return Surroundings()

    async def channel_name(self, place: Place) -> str:
        return ""

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        raise Forbidden("there are no files")

    def connection(self) -> Connection:
        return Connection(self.ready.is_set())

    async def run(self, dispatcher: Dispatcher) -> None:
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        self.ready.set()
        async for line in lines:
            id, text = f"{NAME}/{time.time_ns()}", line.decode()
            question = Question(TurnId(id), self._place, Author("1", "Ann"), text, message=id, at=time.time())
            if response := await dispatcher.heard(question, _no_rights):
                _write(response.text)
        await self.work(dispatcher)

    async def work(self, dispatcher: Dispatcher) -> None:
        await asyncio.get_running_loop().create_future()


class CampfireSurface:
    """Writes every frame; the last one is the reply."""

    by_status = False
    own_name = ""
    append_only = False

    def __init__(self, prefix: str, length: int) -> None:
        self._ids = (f"{prefix}/{number}" for number in count())
        self._length = length

    def fits(self, page: Page) -> bool:
        return len(page.text) <= self._length

    def rate_limit(self, message: str | None, page: Page, wait: Callable[[RateLimit], float]) -> RateLimit:
        return RateLimit(NAME, 1000, 1.0)

    async def post(self, page: Page) -> Posted:
        _write(page.text)
        return Posted(next(self._ids))

    async def edit(self, message: str, page: Page) -> Posted:
        _write(page.text)
        return Posted(message)

    async def delete(self, message: str) -> None:
        pass

    async def attach(self, name: str, content: bytes, description: str = "") -> str:
        raise Rejected("there are no files here")

    async def status(self, status: QuestionStatus) -> None:
        pass

    async def send_ephemeral(self, sentence: str) -> None:
        _write(sentence)


async def _no_rights() -> Rights:
    return Rights.NONE


def _write(text: str) -> None:
    print(json.dumps(text), flush=True)
