"""Questions and progress that no process here can read: they end in a sentence, and hold up nobody for long."""

import json

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Conversation, Lane, Place, Rights
from core.domain.page import Action, Page
from core.domain.progress import Progress
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.settings.encryption import Encryption
from core.store.entries import CANT_READ
from core.store.mailbox import Retention
from core.store.turns import Claimed, Turns
from tests.core.commands.test_history import key
from tests.core.core_harness import ANN, HERE, ROOM, Rooms, eventually, process

INBOX, TURNS, LEASES = f"nb:{{0}}:q:{ROOM.name}", f"nb:{{0}}:t:{ROOM.name}", "nb:{0}:lanes"
JUNK = (
    b"newer,q900|{'another': shape}",
    b'newer,q900|{"id":["newer"],"place":7}',
    b"newer,q900|\x01lost.abcdefghijklmnopqrstuvwxyz",
    b"newer,q900|\x01lost+.abcdefghijklmnopqrstuvwxyz",
    b"newer,q900|\xff\xfe",
    b"newer,q900|",
)
NAMELESS = (b"", b"|", b"no bar at all", b"\xff\xfe|\xff", b",,,|{}", b'{"id":"x"}')


async def put(redis: "Redis", *entries: bytes) -> None:
    """Somebody else's entries wait, and nobody holds the conversation."""
    await redis.rpush(INBOX, *entries)
    await redis.zadd(LEASES, {ROOM.name: 1})


def told(rooms: Rooms) -> list[str]:
    """The sentences about questions that can't be read, in all rooms."""
    return [page.foot for room in rooms.rooms.values() for page in room.messages.values() if CANT_READ in page.foot]


@pytest.mark.parametrize("entry", [*JUNK, *NAMELESS])
async def test_it_ends_in_a_sentence_and_the_next_is_answered(
    redis_client: Redis, server: NebulaServer, entry: bytes
) -> None:
    """Whatever it looks like, once no process could read it for long enough."""
    await put(redis_client, entry)
    async with process(redis_client, server, unreadable_seconds=0) as bot:
        await eventually(lambda: bool(told(bot.rooms)))
        await bot.runner.settled(HERE)
        assert len(told(bot.rooms)) == 1
        assert await bot.answer("hi")
        assert await redis_client.llen(INBOX) == 0


async def test_many_of_them_end_in_one_sentence(redis_client: Redis, server: NebulaServer) -> None:
    """Nobody waits again for the second one, and what can be read between them is answered."""
    await put(redis_client, *JUNK[:2], *NAMELESS[:3])
    async with process(redis_client, server, unreadable_seconds=0) as bot:
        question = bot.question("hi")
        await bot.inbox.accept(question)
        await bot.settled(question)
        assert told(bot.rooms)
        assert await redis_client.llen(INBOX) == 0


async def test_a_process_that_can_read_it_goes_first(redis_client: Redis, server: NebulaServer) -> None:
    """During a deploy or a change of keys, the others leave it alone."""
    right = key("a")
    turns = Turns(redis_client, encryption=Encryption([right]))
    question = Question(TurnId("test/kept"), ROOM, ANN, "secret?", message="kept")
    await turns.accept(Lane(HERE), question, "r")
    await redis_client.zadd(LEASES, {ROOM.name: 1})
    async with process(redis_client, server) as blind:
        await blind.answer("hello", Place("test", "W1", "C2"))
        assert await redis_client.llen(INBOX) == 1
        async with process(redis_client, server, rooms=blind.rooms, encryption_keys=right) as seeing:
            await seeing.settled(question)
        assert not told(blind.rooms)


@pytest.mark.parametrize("command", ["stop", "reset"])
async def test_stop_and_reset_clear_the_line(redis_client: Redis, server: NebulaServer, command: str) -> None:
    """They do not wait until other processes had their time, and anybody may give them."""
    await put(redis_client, JUNK[1])
    async with process(redis_client, server) as bot:
        await bot.answer("hello", Place("test", "W1", "C2"))
        waiting = bot.question("behind it")
        await bot.inbox.accept(waiting)
        assert not told(bot.rooms)
        said = await bot.command(command, rights=Rights.NONE if command == "stop" else Rights.CHANNEL)
        assert "not writing" not in said
        await bot.settled(waiting)
        assert told(bot.rooms)


async def test_the_stop_button_clears_the_line(redis_client: Redis, server: NebulaServer) -> None:
    """The reply on screen ends in the sentence, in the same message."""
    async with process(redis_client, server) as bot:
        message = (await bot.rooms.rooms["q900"].post(Page("half an ans"))).id
        await bot.amend("newer", progress=json.dumps({"messages": [message], "characters": 11}))
        await put(redis_client, JUNK[1])
        await bot.answer("hello", Place("test", "W1", "C2"))
        assert await bot.press(Action.STOP, message) is None
        await eventually(lambda: bool(told(bot.rooms)))
        assert CANT_READ in bot.rooms.rooms["q900"].messages[message].foot


@pytest.mark.parametrize(
    ("progress", "kept"),
    [
        (b'{"messages":["M"],"characters":3,"newer":{"a":1}}', True),
        (b'{"messages":["M"],"characters":{"shown":3}}', True),
        (b'{"messages":["M"]}', True),
        (b'{"messages":{"M":1},"characters":3}', False),
        (b'{"pages":[["M",3]]}', False),
        (b"\xff junk", False),
        (b"[1]", False),
    ],
)
async def test_progress_of_another_version(
    redis_client: Redis, server: NebulaServer, progress: bytes, kept: bool
) -> None:
    """The question is answered all the same; in the same messages, if at least these can be read."""
    async with process(redis_client, server) as bot:
        turns = Turns(redis_client)
        question = bot.question("hi")
        message = (await bot.rooms.rooms[question.message].post(Page(""))).id
        await turns.accept(Lane(HERE), question, "r")
        stored = progress.replace(b'"M"', json.dumps(message).encode()).replace(b'"', b'\\"')
        turn = b'{"attempts":1,"fence":"0","lease":1,"progress":"%s"}' % stored
        await redis_client.hset(TURNS, question.id, turn)
        await redis_client.zadd(LEASES, {ROOM.name: 1})
        await eventually(lambda: bool(bot.rooms.rooms[question.message].text))
        await bot.runner.settled(HERE)
        assert (bot.rooms.rooms[question.message].messages[message].text != "") == kept


async def test_conversations_that_cannot_be_read_hide_no_others(redis_client: Redis, server: NebulaServer) -> None:
    """However many there are, and however long they have waited."""
    for number in range(150):
        await redis_client.rpush(f"nb:{{0}}:q:test/W1/D{number}", JUNK[0])
    await redis_client.zadd(LEASES, {f"test/W1/D{number}": 1 for number in range(150)})
    question = Question(TurnId("test/left"), Place("test", "W1", "C7"), ANN, "still here?", message="left")
    await Turns(redis_client).accept(Lane(Conversation("test/W1/C7")), question, "r")
    await redis_client.zadd(LEASES, {"test/W1/C7": 2})
    async with process(redis_client, server) as bot:
        await bot.settled(question)


async def test_damaged_keys_hide_no_others(redis_client: Redis, server: NebulaServer) -> None:
    """A conversation whose step fails, or whose name is none, is passed over."""
    await redis_client.set("nb:{0}:q:test/W1/D1", "no list")
    await redis_client.zadd(LEASES, {b"test/W1/D1": 1, b"test/\xff": 1, b"test/": 1, b"test/a": 1})
    for name in (b"test/\xff", b"test/", b"test/a"):
        await redis_client.rpush(b"nb:{0}:q:" + name, JUNK[0])
    question = Question(TurnId("test/left"), Place("test", "W1", "C7"), ANN, "still here?", message="left")
    await Turns(redis_client).accept(Lane(Conversation("test/W1/C7")), question, "r")
    await redis_client.zadd(LEASES, {"test/W1/C7": 2})
    async with process(redis_client, server, unreadable_seconds=0) as bot:
        await bot.settled(question)


async def test_lease_beyond_its_length_is_none(redis_client: Redis, server: NebulaServer) -> None:
    """The server's clock was set back by an hour while a process that is gone held the conversation."""
    turns = Turns(redis_client, Retention(lease=7))
    question = Question(TurnId("test/held"), ROOM, ANN, "hello?", message="held")
    assert isinstance(await turns.accept(Lane(HERE), question, "r"), Claimed)
    seconds, _ = await redis_client.time()
    await redis_client.zadd(LEASES, {ROOM.name: (seconds + 3600) * 1000})
    assert await turns.lapsed() == (Lane(HERE),)
    async with process(redis_client, server, lease=7) as bot:
        await bot.settled(question)


async def test_lease_that_a_small_step_of_the_clock_prolongs_is_one(redis_client: Redis) -> None:
    """A correction of the clock must not take a turn from its holder."""
    turns = Turns(redis_client, Retention(lease=7))
    turn = await turns.accept(Lane(HERE), Question(TurnId("test/held"), ROOM, ANN, "hello?", message="held"), "r")
    assert isinstance(turn, Claimed)
    await redis_client.zincrby(LEASES, 5000, ROOM.name)
    assert await turns.lapsed() == ()
    assert await turns.claim(Lane(HERE)) is None
    await turns.renew(turn.turn, Progress(("m",)))
