"""Several bots on one Redis share nothing; processes of one bot that do not agree do not start."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.compose import setup_of
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Conversation, Lane
from core.domain.errors import StoreError
from core.domain.question import Question
from core.ratelimit.limiter import CallRequest
from core.settings.config import Config
from core.store.ratelimits import RedisRateLimit
from core.store.ratings import Rating, Ratings
from core.store.redis import setup, spaces
from core.store.redis.setup import Setup, agree
from core.store.redis.spaces import Spaces
from core.store.turns import Claimed, Turns
from tests.bounds import HANG_SECONDS
from tests.core.commands.test_history import key
from tests.core.core_harness import HERE, ROOM, Process, Rooms, eventually, process


def said(server: NebulaServer) -> str:
    """All that the model was last asked."""
    return "\n".join(each.content for each in server.requests[-1].messages)


async def test_two_bots_in_one_room_know_nothing_of_each_other(redis_client: Redis, server: NebulaServer) -> None:
    """Neither what people told the other one, nor its settings and limits; also after a restart."""
    async with (
        process(redis_client, server, bot_id="A", person_requests=2) as first,
        process(redis_client, server, bot_id="B", person_requests=2) as second,
    ):
        await first.command("prompt set Speak like a pirate.")
        await first.answer("my name is Ann")
        both = second.question("who am I?")
        await second.inbox.accept(both)
        await second.runner.idle()
        assert "pirate" not in said(server)
        assert "my name is" not in said(server)
        await first.inbox.accept(both)  # the same message mentions both
        await first.runner.idle()
        assert first.shown(both)
        assert "used up" not in second.shown(both) + first.shown(both)
        await second.command("reset")
    async with process(redis_client, server, bot_id="B") as second, process(redis_client, server, bot_id="A") as first:
        await first.answer("and now?")
        assert "pirate" in said(server)
        assert "my name is" in said(server)
        await second.answer("and you?")
        assert "pirate" not in said(server)


async def test_no_bot_takes_over_the_turns_of_another(redis_client: Redis, server: NebulaServer) -> None:
    """It has another token, and would edit what is not its own."""
    async with process(redis_client, server, bot_id="A"):
        pass
    theirs = Spaces()
    await theirs.settle(redis_client, "test", "test/W1", "B")
    async with process(redis_client, server, bot_id="A") as first:
        question = first.question("of B")
        turn = await Turns(redis_client, spaces=theirs).accept(Lane(HERE), question, "r")
        assert isinstance(turn, Claimed)
        await redis_client.zadd("nb~B:{0}:lanes", {ROOM.name: 1})
        await left_behind(first)
        assert not first.shown(question)
        assert await redis_client.llen(f"nb~B:{{0}}:q:{ROOM.name}") == 1
    async with process(redis_client, server, bot_id="B") as second:
        await eventually(lambda: bool(second.shown(question)))


async def left_behind(bot: Process) -> None:
    """Wait until the process has looked for turns to take over."""
    question = bot.question("left")
    await bot.turns.accept(Lane(Conversation("test/W1/C7")), question, "r")
    await bot.turns.mailboxes.redis.zadd("nb:{0}:lanes", {"test/W1/C7": 1})
    await eventually(lambda: bool(bot.shown(question)))


async def test_a_bot_knows_only_the_questions_that_it_accepted_itself(
    redis_client: Redis, server: NebulaServer
) -> None:
    """Else it would not look after a downtime for a question that another bot had answered, or find its own again."""
    async with (
        process(redis_client, server, bot_id="A") as first,
        process(redis_client, server, bot_id="B") as second,
    ):
        theirs, ours = first.question("of A"), second.question("of B")
        await first.inbox.accept(theirs)
        await second.inbox.accept(ours)
        for bot, question, known in ((first, theirs, True), (first, ours, False), (second, theirs, False)):
            assert await bot.inbox.knows(question) is known
        assert await second.inbox.knows(ours)


async def test_stop_ends_only_the_answer_of_its_bot(redis_client: Redis, server: NebulaServer) -> None:
    """Both answer the same message, so their turns have the same name."""
    held = server.hold(after=3)
    server.answer_next("word " * 20 + "end")
    server.answer_next("word " * 20 + "end")
    async with (
        process(redis_client, server, rooms=Rooms(), bot_id="A") as first,
        process(redis_client, server, rooms=Rooms(), bot_id="B") as second,
    ):
        question: Question = first.question("both of you")
        for each in (first, second):
            await each.inbox.accept(question)
            await each.rooms.rooms[question.message].until("word")
        await first.command("stop")
        await first.runner.idle()
        held.release()
        await second.runner.idle()
        assert not first.shown(question).endswith("end")
        assert second.shown(question).endswith("end")


async def test_one_bot_with_a_new_token_is_the_same(redis_client: Redis) -> None:
    """The platform's id of the bot stays, whatever the token; the first one keeps the plain names."""
    for bot, prefix in (("A", "nb"), ("B", "nb~B"), ("A", "nb"), ("B", "nb~B")):
        spaces = Spaces(["slack"])
        assert not spaces.is_settled("slack")
        await spaces.settle(redis_client, "slack", "slack/T1", bot)
        assert spaces.is_settled("slack")
        assert spaces.prefix("slack/T1/C1") == prefix


def of(**environment: str | int) -> Setup:
    return setup_of(Config.model_validate(environment))


async def test_processes_that_disagree_are_refused(redis_client: Redis) -> None:
    """The sentence says what to set."""
    secret = key("a")
    await agree(redis_client, of(redis_partitions=4))
    await agree(redis_client, of(redis_partitions=4))
    with pytest.raises(StoreError, match=r"REDIS_PARTITIONS is 8: set it to 4"):
        await agree(redis_client, of(redis_partitions=8))
    with pytest.raises(StoreError, match="add the word plain behind the keys"):
        await agree(redis_client, of(redis_partitions=4, encryption_keys=secret))


async def test_encryption_can_be_switched_on_and_off(redis_client: Redis) -> None:
    """With `plain` a process reads both, and says what is written from now on."""
    secret = key("a")
    await agree(redis_client, of())
    await agree(redis_client, of(encryption_keys=f"{secret},plain"))
    with pytest.raises(StoreError, match="this process has no keys"):
        await agree(redis_client, of())
    await agree(redis_client, of(encryption_keys=secret))
    await agree(redis_client, of(encryption_keys=f"plain,{secret}"))
    with pytest.raises(StoreError, match="accepts only encrypted"):
        await agree(redis_client, of(encryption_keys=secret))
    await agree(redis_client, of())


async def test_a_bot_keeps_its_space_when_the_server_lost_it(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another bot, which starts after the loss, does not get the space in which the first one works."""
    monkeypatch.setattr(spaces, "KEEP_SECONDS", 0.01)
    first, second = Spaces(), Spaces()
    await first.settle(redis_client, "test", "test/W1", "A")
    await redis_client.flushall()
    task = asyncio.create_task(first.keep(redis_client, "test", "test/W1", "A"))
    async with asyncio.timeout(HANG_SECONDS):
        while not await redis_client.exists("nb:owner:{test/W1}"):
            await asyncio.sleep(0.01)
    await second.settle(redis_client, "test", "test/W1", "B")
    task.cancel()
    assert (first.prefix("test/W1"), second.prefix("test/W1")) == ("nb", "nb~B")


async def test_processes_agree_after_the_server_lost_its_data(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those that run, although these noted their setup before the loss."""
    monkeypatch.setattr(setup, "KEEP_SECONDS", 0.01)
    await agree(redis_client, Setup(partitions=2))
    await redis_client.flushall()
    task = asyncio.create_task(setup.keep(redis_client, Setup(partitions=2)))
    async with asyncio.timeout(HANG_SECONDS):
        while await redis_client.hlen(setup.SETUP) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(StoreError, match="in 2 partitions"):
        await agree(redis_client, Setup(partitions=4))


async def test_votes_that_nothing_can_read_hide_no_others(redis_client: Redis) -> None:
    """Junk in a count, in its name, or both."""
    ratings = Ratings(redis_client, 60)
    await ratings.rate("test/W1/C1", "m", "model", "U1", good=True)
    junk: dict[Any, Any] = {b"good \xff": b"1", b"good other": b"many", b"\xff": b"\xff"}
    await redis_client.hset("nb:u:{test/W1/C1}:ratings", mapping=junk)
    assert Rating("model", 1, 0) in await ratings.of("test/W1/C1")


async def test_platforms_limit_each_bot_alone(redis_client: Redis) -> None:
    """What one bot calls or is refused takes nothing from the other; processes of one bot count together."""
    theirs, ours = Spaces(), Spaces()
    await theirs.settle(redis_client, "slack", "slack/T1", "A")
    await ours.settle(redis_client, "slack", "slack/T1", "B")
    first, again, second = (
        RedisRateLimit(redis_client, each, answer_timeout=HANG_SECONDS) for each in (theirs, theirs, ours)
    )
    call = CallRequest(1, 600.0, 1, 600.0, 1)
    assert not (await first.admit("slack/T1/post", call)).wait
    assert (await again.admit("slack/T1/post", call)).wait
    assert not (await second.admit("slack/T1/post", call)).wait
    await first.refused("slack/T1/edit", 600.0, 1)
    assert (await again.admit("slack/T1/edit", call)).wait
    assert not (await second.admit("slack/T1/edit", call)).wait
