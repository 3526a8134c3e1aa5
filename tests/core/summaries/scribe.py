"""A model with a window of 4,000 tokens that writes summaries: each word that begins with `fact-` is in them."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bots.sandbox.nebula.faults import Received
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatMessage
from core.domain.conversation import Conversation, Place, Summary
from core.summaries.stored import StoredSummaries
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ANN, HERE, ROOM, Process, process

MODEL = "tiny/tiny-4k"
CATALOG = ((MODEL, "tiny", "Text", 4_000, None),)
WRITING = "You write the memory of a chat."
FACT = re.compile(r"fact-\w+")
FILLER = "and some more words of no importance, as people write them " * 6


def scribe(messages: Sequence[ChatMessage]) -> str:
    """A summary of the facts in a record; to any other question, all facts that the model knows."""
    facts = dict.fromkeys(FACT.findall("\n".join(each.content for each in messages)))
    if writes(messages):
        return "\n".join(f"- It was said that {fact}." for fact in facts)
    return f"I know {len(facts)} facts. {FILLER}"


def writes(messages: Sequence[ChatMessage]) -> bool:
    """Whether this is a request for a summary."""
    return messages[0].content.startswith(WRITING)


def summaries(server: NebulaServer) -> list[Received]:
    """The requests for summaries."""
    return [each for each in server.requests if writes(each.messages)]


def asked(server: NebulaServer) -> list[Received]:
    """The requests of turns."""
    return [each for each in server.requests if not writes(each.messages)]


def seen(received: Received) -> set[str]:
    """The facts in a request."""
    return set(FACT.findall("\n".join(each.content for each in received.messages)))


@asynccontextmanager
async def small(redis: "Redis", server: NebulaServer, **options: Any) -> AsyncIterator[Process]:
    """A process whose model has the small window."""
    async with process(redis, server, NEBULA_MODEL=MODEL, **options) as bot:
        yield bot


async def stored(bot: Process, dialogue: str = "", conversation: Conversation = HERE) -> Summary:
    """What is stored of a summary."""
    return await StoredSummaries(bot.turns.mailboxes).of(conversation, dialogue)


async def summarised(bot: Process, dialogue: str = "", conversation: Conversation = HERE) -> Summary:
    """The summary as soon as there is one."""
    async with asyncio.timeout(HANG_SECONDS):
        while not (found := await stored(bot, dialogue, conversation)).text:
            await asyncio.sleep(0.005)
    return found


async def talk(bot: Process, first: int, last: int, place: Place = ROOM) -> None:
    """Ann tells a fact in each of these questions."""
    for number in range(first, last + 1):
        await bot.answer(f"Note fact-{number}: it matters.", place, ANN)


def known(server: NebulaServer) -> set[str]:
    """The facts that the newest request of a turn tells in its rules."""
    return set(FACT.findall(asked(server)[-1].messages[0].content))


async def plain(redis: "Redis") -> list[bytes]:
    """Everything that Redis holds, as it is stored."""
    found: list[Any] = []
    for key in await redis.keys("*"):
        match await redis.type(key):
            case b"hash":
                found += [each for pair in (await redis.hgetall(key)).items() for each in pair]
            case b"list":
                found += await redis.lrange(key, 0, -1)
            case b"zset":
                found += await redis.zrange(key, 0, -1)
            case b"string":
                found.append(await redis.get(key))
    return [key if isinstance(key, bytes) else str(key).encode() for key in found]
