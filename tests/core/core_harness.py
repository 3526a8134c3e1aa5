"""The whole core with a real Redis and an emulated Nebula API; surfaces in memory replace a platform."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from redis.asyncio import Redis

from bots.compose import account_limits, assemble, wrapped
from bots.sandbox.nebula.server import NebulaServer
from core.commands.responses import Response
from core.domain.conversation import Address, Attachment, Author, Conversation, Lane, Place, Rights
from core.domain.errors import Gone, TooLong
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.page import Action
from core.domain.ports import Surface
from core.domain.question import Question
from core.domain.surroundings import NOTHING_SAID, Reach, Surroundings
from core.domain.turn_id import TurnId
from core.files.reader import FileLimits
from core.inbound.buttons import ButtonPress
from core.inbound.dispatcher import Dispatcher
from core.nebula.client import Nebula
from core.nebula.wrappers.breaking import Breakers
from core.settings.config import Config
from core.store.mailbox import Retention
from core.store.redis.spaces import Spaces
from core.store.settings import SettingsStore
from core.store.turns import Turns
from core.summaries.writer import BACKOFF_SECONDS
from core.turns.assistant import Assistant
from core.turns.inbox import Inbox
from core.turns.runner import TurnRunner
from tests.bounds import HANG_SECONDS
from tests.core.room import MemorySurface

ROOM = Place("test", "W1", "C1")
HERE = Conversation(ROOM.name)
NUMBERS = count()  # numbers of questions, so that no id is used twice
ANN, BOB = Author("U1", "Ann"), Author("U2", "Bob")
LANE = Lane(HERE, ANN.id)  # of Ann's questions, as replies go into the channel


class _Named(dict[str, MemorySurface]):
    """Creates a surface on first access."""

    def __missing__(self, name: str) -> MemorySurface:
        room = self[name] = MemorySurface(name=name)
        return room


@dataclass
class Rooms:
    """A platform with surfaces in memory, one for each question."""

    name: str = "test"
    defaults: PlatformDefaults = PlatformDefaults(Memory.CHANNEL, Placement.CHANNEL)  # noqa: RUF009 - frozen
    rooms: dict[str, MemorySurface] = field(default_factory=lambda: _Named())
    said: Surroundings = NOTHING_SAID
    channel: str = "general"
    trouble: Exception | None = None  # instead of what was said
    reaches: list[Reach] = field(default_factory=list)
    files: dict[str, bytes | Exception] = field(default_factory=dict)  # by the platform's ids
    fetched: list[str] = field(default_factory=list)

    def open(self, address: Address) -> Surface:
        return self.rooms[address.message]

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        self.reaches.append(reach)
        if self.trouble:
            raise self.trouble
        return self.said

    async def channel_name(self, place: Place) -> str:
        if self.trouble:
            raise self.trouble
        return self.channel

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        self.fetched.append(attachment.file)
        content = self.files.get(attachment.file, Gone(attachment.file))
        if isinstance(content, Exception):
            raise content
        if len(content) > most:
            raise TooLong(attachment.file)
        return content


@dataclass
class Process:
    """One process of the bot."""

    dispatcher: Dispatcher
    inbox: Inbox
    runner: TurnRunner
    assistant: Assistant
    turns: Turns
    settings: SettingsStore
    rooms: Rooms

    def question(self, text: str, place: Place = ROOM, author: Author = ANN, **values: Any) -> Question:
        number = next(NUMBERS)
        return Question(
            TurnId(f"test/{place.name}/{number}"), place, author, text, message=f"q{number}", at=float(number), **values
        )

    async def say(
        self, text: str, place: Place = ROOM, author: Author = ANN, rights: Rights = Rights.CHANNEL
    ) -> Response | None:
        """Do what an adapter does with a message."""

        async def of() -> Rights:
            return rights

        return await self.dispatcher.heard(self.question(text, place, author), of)

    async def answer(self, text: str, place: Place = ROOM, author: Author = ANN) -> str:
        """Ask, and return the finished reply."""
        question = self.question(text, place, author)
        await self.inbox.accept(question)
        await self.runner.idle()
        return self.shown(question)

    async def settled(self, question: Question) -> None:
        """Wait until this question has its answer, from any process."""
        async with asyncio.timeout(HANG_SECONDS):
            while not self.shown(question) or await self.turns.waiting(Conversation(question.place.name)):
                await asyncio.sleep(0.01)

    async def press(self, action: Action, message: str, author: Author = ANN, place: Place = ROOM) -> Response | None:
        """Press a button under this message in the channel's conversation."""

        async def rights() -> Rights:
            return Rights.NONE

        return await self.dispatcher.pressed(
            action, ButtonPress(Conversation(place.name), message, place, author), rights
        )

    async def command(self, text: str, place: Place = ROOM, rights: Rights = Rights.CHANNEL) -> str:
        response = await self.say(f"!{text}", place, rights=rights)
        assert response
        return response.text

    async def amend(self, turn: str, **state: Any) -> None:
        """Change what Redis stores of a running turn in the channel (see common.lua)."""
        redis, key = self.turns.mailboxes.redis, self.turns.mailboxes.key("t", HERE)
        stored: Any = await redis.hget(key, turn) or '{"attempts":0,"fence":"0","lease":1}'
        await redis.hset(key, turn, json.dumps(json.loads(stored) | state))

    def shown(self, question: Question) -> str:
        return "\n".join(
            "\n".join(filter(None, (page.head, page.text, page.foot)))
            for page in self.rooms.rooms[question.message].messages.values()
        )


@asynccontextmanager
async def process(
    redis: "Redis",
    server: NebulaServer,
    *,
    rooms: Rooms | None = None,
    drain: float = HANG_SECONDS,
    handover: float = 0,
    lease: float = 20,
    reading: float = HANG_SECONDS,
    bot_id: str = "",
    backoff: tuple[float, ...] = BACKOFF_SECONDS,
    **environment: Any,
) -> AsyncIterator[Process]:
    """Run a process of the bot; several may share Redis and rooms.

    `drain`: seconds that running replies get at shutdown. `handover`: seconds to watch afterwards whether another
    process takes over those handed back. `reading`: seconds that a question waits for what was said around it.
    `bot_id`: which of several bots it is. `backoff`: how long nobody tries again to write a summary, after failures.
    """
    config = Config(nebula_context_tokens=8192, **{"files_seconds": HANG_SECONDS, **environment})
    rooms = rooms or Rooms()
    async with AsyncExitStack() as stack:
        account = account_limits(config, redis)
        nebula = await stack.enter_async_context(
            Nebula(
                api_key="ak_test",
                base_url=server.base_url,
                platform_url=server.platform_url,
                first_token=HANG_SECONDS,
                between_tokens=HANG_SECONDS,
                catalog_patience=HANG_SECONDS,
                backoff=0.01,
                before_retry=account.reserve_retry,
            )
        )
        values = config.model_copy(update={"lease_seconds": lease, "drain_seconds": drain})
        spaces = Spaces()
        if bot_id:
            await spaces.settle(redis, rooms.name, f"{rooms.name}/W1", bot_id)
        model = wrapped(config, nebula, account, Breakers())
        bot = assemble(
            values,
            redis,
            model,
            [rooms],
            handover=handover,
            reading=reading,
            spaces=spaces,
            backoff=backoff,
            file_limits=FileLimits(seconds=HANG_SECONDS),
        )
        await stack.enter_async_context(bot.runner.open())
        turns = Turns(redis, Retention(lease=lease), encryption=config.encryption, spaces=spaces)
        settings = SettingsStore(redis, config.defaults, {rooms.name: rooms.defaults}, spaces)
        yield Process(bot.dispatcher, bot.inbox, bot.runner, bot.assistant, turns, settings, rooms)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition that raises no event."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
