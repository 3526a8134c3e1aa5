"""Records of other versions, written by hand: unknown fields are ignored, and missing ones have a default.

NEWER is what a later version may store, and OLDER the least that an earlier one stored. During a rolling upgrade each
process reads both.
"""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Lane
from core.domain.options import Memory, Placement, PlatformDefaults
from core.domain.page import Page
from core.domain.progress import Progress
from core.settings.config import Config
from core.settings.parameters import Layer
from core.store.entries import progress_entry
from core.store.records import ConversationLookups
from core.store.settings import SettingsStore
from core.store.turns import Turns
from tests.core.core_harness import HERE, ROOM, process

KEY = f"nb:{{0}}:%s:{ROOM.name}"
PLACE = {"platform": "test", "workspace": "W1", "channel": "C1"}
ANN = {"id": "U1", "name": "Ann"}
NEWER = {"newer": {"deep": [1, None]}, "schema": 9}
OLDER_QUESTION = {"id": "test/1", "place": PLACE, "author": ANN, "text": "what?"}
NEWER_QUESTION = {
    **OLDER_QUESTION,
    **NEWER,
    "place": PLACE | NEWER,
    "author": ANN | NEWER,
    "message": "q1",
    "attachments": [{"name": "a", "kind": "b", "url": "c", "size": 1} | NEWER],
}
OLDER_EXCHANGE = {"turn": "test/0", "question": "earlier?", "answer": "before"}
NEWER_EXCHANGE = {
    **OLDER_EXCHANGE,
    **NEWER,
    "author": ANN | NEWER,
    "messages": ["q0", "m0"],
    "at": 1.5,
    "others": [],
    "thread": "",
}


def entry(words: str, record: object) -> bytes:
    return words.encode() + b"|" + json.dumps(record).encode()


@pytest.mark.parametrize("question", [OLDER_QUESTION, NEWER_QUESTION])
@pytest.mark.parametrize("exchange", [OLDER_EXCHANGE, NEWER_EXCHANGE])
async def test_a_question_that_another_version_queued_is_answered(
    redis_client: Redis, server: NebulaServer, question: dict[str, object], exchange: dict[str, object]
) -> None:
    """With the history, the settings and the answered questions that this version left."""
    await redis_client.rpush(KEY % "i", entry(f"test/1,{question.get('message', '')}", question))
    await redis_client.rpush(KEY % "h", entry(f"test/0,q0,m0,@{time.time():.0f}", exchange))
    await redis_client.hset(f"nb:s:{ROOM.name}", "prompt", json.dumps({"value": "Rhyme.", **NEWER}))
    await redis_client.hset(f"nb:s:{ROOM.name}", "newer", json.dumps({"value": "x", "by": "Ann", "at": 1}))
    await redis_client.hset(KEY % "c", mapping={"newer": "field", "keep": 10**10})
    await redis_client.zadd("nb:{0}:leases", {ROOM.name: 1})
    async with process(redis_client, server) as bot:
        await bot.runner.settled(HERE)
        await bot.answer("after it")
        said = [each.content for each in server.requests[-1].messages]
        assert "Rhyme." in said[0]
        assert any("earlier?" in each for each in said)
        assert any("what?" in each for each in said)


async def test_a_line_from_before_there_were_lanes_is_taken_over_in_order(
    redis_client: Redis, server: NebulaServer
) -> None:
    """Once its process is gone: the running question goes on in its message, and the next one follows."""
    turns = Turns(redis_client)
    async with process(redis_client, server) as bot:
        message = (await bot.rooms.rooms["q1"].post(Page("half an ans"))).id
        progress = json.dumps({"messages": [message], "characters": 11})
        waiting = [OLDER_QUESTION | {"id": f"test/{number}", "message": f"q{number}"} for number in (1, 2)]
        await redis_client.hset(KEY % "c", mapping={"fence": 5, "attempts": 1, "progress": progress})
        await redis_client.rpush(KEY % "i", *(entry(f"{each['id']},{each['message']}", each) for each in waiting))
        soon = int((await redis_client.time())[0]) * 1000 + 5000
        await redis_client.zadd("nb:{0}:leases", {ROOM.name: soon})
        assert await turns.claim(Lane(HERE)) is None  # its process is alive
        await redis_client.zadd("nb:{0}:leases", {ROOM.name: 1})
        await bot.runner.settled(HERE)
        assert list(bot.rooms.rooms["q1"].messages) == [message]
        assert bot.rooms.rooms["q1"].messages[message].text != "half an ans"
        assert len(bot.rooms.rooms["q2"].messages) == 1
        history = await ConversationLookups(turns.mailboxes).history(HERE)
        assert [each.turn for each in history] == ["test/1", "test/2"]
    assert await redis_client.exists(KEY % "i", "nb:{0}:leases") == 0


async def test_exchanges_of_a_thread_from_before_their_thread_was_stored(
    redis_client: Redis, server: NebulaServer
) -> None:
    """The one that the thread hangs on is a turn of it, and the model is told of those which may be from anywhere."""
    later = OLDER_EXCHANGE | {"turn": "test/1", "question": "later?", "answer": "after", "messages": ["q1", "m1"]}
    for name, exchange in (("test/0,q0,m0", NEWER_EXCHANGE), ("test/1,q1,m1", later)):
        await redis_client.rpush(KEY % "h", entry(f"{name},@{time.time():.0f}", exchange))
    async with process(redis_client, server) as bot:
        await bot.answer("and now?", replace(ROOM, thread="q0"))
        rules, *turns = (each.content for each in server.requests[-1].messages)
        assert turns == ["Ann: earlier?", "before", "Ann: and now?"]
        assert "later?" in rules
    stored: Any = await redis_client.lindex(KEY % "h", -1)
    assert json.loads(stored.partition(b"|")[2])["thread"] == "q0"


@pytest.mark.parametrize("question", [OLDER_QUESTION, NEWER_QUESTION])
async def test_an_answered_question_of_another_version(redis_client: Redis, question: dict[str, object]) -> None:
    """Its answer can be regenerated."""
    answered = {"mention": question, "messages": ["m1"], **NEWER}
    await redis_client.rpush(KEY % "e", entry("test/1,q1,m1", answered), entry("test/2,q2,m2", {"odd": 1}))
    found = await ConversationLookups(Turns(redis_client).mailboxes).ended(HERE, "m1")
    assert found
    assert (found.question.text, found.question.author) == ("what?", Author("U1", "Ann"))


async def test_settings_of_another_version(redis_client: Redis) -> None:
    """A value counts even if nothing else of it is known; what can't be read is as if it were not set."""
    scope, nothing = f"nb:s:{ROOM.name}", dict[str, Any]()
    await redis_client.hset(scope, mapping={b"model": b'{"value":"m"}', b"top_p": b"7", b"\xff": b'{"value":"x"}'})
    defaults = {"test": PlatformDefaults(Memory.CHANNEL, Placement.CHANNEL)}
    settings = await SettingsStore(redis_client, Config(**nothing).defaults, defaults).of(ROOM)
    assert (settings.model, settings.top_p, settings.origin("model").layer) == ("m", None, Layer.CHANNEL)


async def test_what_this_version_stores_has_the_names_of_the_first(redis_client: Redis, server: NebulaServer) -> None:
    """The other direction: a process of an earlier version finds every field that it needs."""
    async with process(redis_client, server) as bot:
        await bot.answer("what?")
        await bot.command("set temperature 1")
    stored: list[Any] = [await redis_client.lindex(KEY % kind, 0) for kind in "he"]
    fields, answered = (json.loads(each.partition(b"|")[2]) for each in stored)
    assert fields.keys() >= {"turn", "author", "question", "answer", "messages", "at"}
    assert answered.keys() == {"mention", "messages"}
    assert answered["mention"].keys() >= {"id", "place", "author", "text", "message", "at"}
    setting = json.loads(await redis_client.hget(f"nb:s:{ROOM.name}", "temperature") or b"")
    assert setting.keys() == {"value", "by", "at"}
    assert json.loads(progress_entry(Progress(("m1",), 3))) == {"messages": ["m1"], "characters": 3}
