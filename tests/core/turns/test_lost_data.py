"""Redis loses its data, is full, or accepts no writes, while questions run and wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.server import NebulaServer
from core.access.quotas import UserLimits, UserQuotas
from core.domain.conversation import Place
from core.domain.errors import StoreError
from core.domain.ports import Status
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.records import ConversationLookups
from core.store.turns import Claimed
from core.turns.runner import LOST
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ANN, HERE, ROOM, Process, eventually, process
from tests.redis_server import patient_quotas


@asynccontextmanager
async def one_runs_and_two_wait(
    redis: "Redis", server: NebulaServer
) -> AsyncIterator[tuple[Process, list[Question], Hold]]:
    held = server.hold(after=3)
    server.answer_next("word " * 20 + "end")
    # A process that stood still for a whole lease would claim the first question anew, with the next one it accepts.
    async with process(redis, server, lease=6) as bot:
        questions = [bot.question(text) for text in ("first", "second", "third")]
        for each in questions:
            await bot.inbox.accept(each)
        await bot.rooms.rooms[questions[0].message].until("word")
        yield bot, questions, held


async def test_flushed_questions_are_answered(redis_client: Redis, server: NebulaServer) -> None:
    """The running reply ends well and is remembered; those that wait are answered after it, and show no eyes."""
    async with one_runs_and_two_wait(redis_client, server) as (bot, questions, held):
        await redis_client.flushall()
        async with asyncio.timeout(HANG_SECONDS):
            while await redis_client.llen(f"nb:{{0}}:q:{ROOM.name}") < 3:
                await asyncio.sleep(0.02)
        held.release()
        for each in questions:
            await bot.settled(each)
        assert bot.shown(questions[0]).endswith("end")
        history = await ConversationLookups(bot.turns.mailboxes).history(HERE)
        assert {each.question for each in history} == {"first", "second", "third"}
        assert len(server.requests) == 3
        for each in questions[1:]:
            assert bot.rooms.rooms[each.message].statuses[-1] is Status.NONE


async def test_lost_reply_ends_in_a_sentence(redis_client: Redis, server: NebulaServer) -> None:
    """If a newer question is answered after the loss, nobody goes on with the reply: it does not stay half written."""
    held = server.hold(after=3, times=None)
    server.answer_next("word " * 20 + "end")
    async with process(redis_client, server, lease=1) as bot:
        lost = bot.question("lost")
        await bot.inbox.accept(lost)
        await bot.rooms.rooms[lost.message].until("word")
        async with process(redis_client, server, rooms=bot.rooms) as other:
            while True:  # until it is accepted before the first process queues its own again
                await redis_client.flushall()
                newer = other.question("newer")
                if isinstance(await other.inbox.accept(newer), Claimed):
                    break
            await eventually(lambda: LOST in bot.shown(lost))
            held.release()
            await other.settled(newer)


async def test_read_only_server(redis_client: Redis, server: NebulaServer) -> None:
    """Questions are refused, so that the platform delivers them again; the running reply ends and is remembered."""
    async with one_runs_and_two_wait(redis_client, server) as (bot, questions, held):
        await redis_client.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(StoreError):
                await bot.inbox.accept(again := bot.question("refused"))
            held.release()
            await bot.rooms.rooms[questions[0].message].until("end")
        finally:
            await redis_client.replicaof("NO", "ONE")
        for each in questions:
            await bot.settled(each)
        await bot.inbox.accept(again)
        await bot.settled(again)
        assert len(await ConversationLookups(bot.turns.mailboxes).history(HERE)) == 4


async def test_people_can_forget_when_memory_is_full(redis_client: Redis, server: NebulaServer) -> None:
    """What makes room is never refused for want of room."""
    async with process(redis_client, server) as bot:
        await bot.answer("my name is Ann")
        await redis_client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(StoreError):
                await bot.inbox.accept(bot.question("no room"))
            records = ConversationLookups(bot.turns.mailboxes)
            await records.retain(ROOM.channel_scope, 86_400)
            assert await records.reset(HERE) == 1
        finally:
            await redis_client.config_set("maxmemory", "0")
        assert await bot.answer("hi", Place("test", "W1", "C2"))


async def test_question_that_cannot_be_counted_waits(redis_client: Redis) -> None:
    """The operator's limits hold while Redis can't count; where there are none, nothing is asked of it."""
    limited = UserLimits(person_requests=1)
    question = Question(TurnId("test/1"), ROOM, ANN, "hi")
    await redis_client.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreError):
            await UserQuotas(patient_quotas(redis_client), limited).take(question)
        assert await UserQuotas(patient_quotas(redis_client), UserLimits()).take(question) == ""
    finally:
        await redis_client.replicaof("NO", "ONE")
    quotas = UserQuotas(patient_quotas(redis_client), limited)
    assert await quotas.take(question) == ""
    assert await quotas.take(question) == "", "the same delivery again"
