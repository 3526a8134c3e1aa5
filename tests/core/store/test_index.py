"""The conversations of a channel: found without a look at every key, also those from before there were indexes."""

import asyncio

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Author, Conversation, Lane, Place
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.store.mailbox import Retention
from core.store.records import AT_ONCE, ConversationLookups
from core.store.redis.erasure import RECENT, WANTED, Erasure
from core.store.turns import Turns
from tests.bounds import HANG_SECONDS

ANN = Author("U1", "Ann")


async def asked(turns: Turns, *names: str) -> None:
    for name in names:
        platform, workspace, channel = name.split("/")[:3]
        place = Place(platform, workspace, channel)
        await turns.accept(Lane(Conversation.named(name)), Question(TurnId(f"{name}/1"), place, ANN, "hi"), "r")


async def calls(redis: "Redis", command: str) -> int:
    """How often the server was asked this."""
    return int((await redis.info("commandstats")).get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def rewrites(redis: "Redis") -> int:
    """How many rewrites have begun, once the last one has ended."""
    async with asyncio.timeout(HANG_SECONDS):
        while (await redis.info("persistence"))["aof_rewrite_in_progress"]:
            await asyncio.sleep(0.01)
    return await calls(redis, "bgrewriteaof")


@pytest.mark.parametrize("partitions", [1, 7])
async def test_conversations_are_found_by_scope(redis_client: Redis, partitions: int) -> None:
    """Of a thread, a channel or a workspace, and of no other."""
    turns = Turns(redis_client, partitions=partitions)
    here = ["slack/T1/C1", "slack/T1/C1/7.1", "slack/T1/C1/private/U1", "slack/T1/C2", "slack/T1/C1x"]
    await asked(turns, *here, "slack/T2/C1")
    records = ConversationLookups(turns.mailboxes)
    for scope, names in (("slack/T1/C1", here[:3]), ("slack/T1/C1/7.1", here[1:2]), ("slack/T1", here)):
        assert [each.name for each in await records.conversations(scope)] == sorted(names)


async def test_no_command_looks_at_every_key(redis_client: Redis) -> None:
    """However many people give one: only a process that starts does."""
    turns = Turns(redis_client)
    await asked(turns, "slack/T1/C1")
    records = ConversationLookups(turns.mailboxes)
    await records.index()
    before = await calls(redis_client, "scan")
    for _ in range(20):
        assert await ConversationLookups(turns.mailboxes).conversations("slack/T1/C1")
    assert await calls(redis_client, "scan") == before


async def test_conversations_of_an_earlier_version_are_found(redis_client: Redis) -> None:
    """By the first command after the upgrade; those of older processes that still ran then, by the next start."""
    turns = Turns(redis_client, partitions=3)
    await asked(turns, "slack/T1/C1", "slack/T1/C1/7.1")

    async def forget_indexes() -> None:
        await redis_client.delete(*[key async for key in redis_client.scan_iter("nb:*:n:*")])

    await forget_indexes()
    records = ConversationLookups(turns.mailboxes)
    assert len(await records.conversations("slack/T1/C1")) == 2
    await forget_indexes()
    await ConversationLookups(turns.mailboxes).index()
    assert len(await records.conversations("slack/T1/C1")) == 2


async def test_what_has_expired_leaves_the_index(redis_client: Redis) -> None:
    """The index does not grow with everything that ever was, and does not outlive the last conversation."""
    turns = Turns(redis_client, Retention(keep=0.05))
    for number in range(20):
        await asked(turns, f"slack/T1/C1/{number}.1")
        await asyncio.sleep(0.01)
    records = ConversationLookups(turns.mailboxes)
    assert await redis_client.zcard("nb:{0}:n:slack/T1/C1") < 20
    async with asyncio.timeout(HANG_SECONDS):
        while await records.conversations("slack/T1/C1") or await redis_client.keys("nb:*:n:*"):
            await asyncio.sleep(0.01)


async def test_the_log_is_rewritten_once_in_a_while(redis_client: Redis) -> None:
    """Many requests over several processes cost one rewrite; the last one is not lost."""
    before = await rewrites(redis_client)
    for _ in range(10):
        await Erasure(redis_client).request()
    assert await rewrites(redis_client) == before + 1
    assert await redis_client.exists(WANTED)
    await redis_client.delete(RECENT)  # as time does
    await Erasure(redis_client).look()
    assert await rewrites(redis_client) == before + 2
    await redis_client.delete(RECENT)
    await Erasure(redis_client).look()
    assert await rewrites(redis_client) == before + 2


async def test_commands_leave_connections_to_questions(redis_client: Redis) -> None:
    """However many commands there are at once, most of the pool is free."""
    records = ConversationLookups(Turns(redis_client).mailboxes)
    pool = redis_client.connection_pool
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(pool._in_use_connections))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(records.history(Conversation(f"slack/T1/C{number}")) for number in range(300)))
    watching.cancel()
    assert 0 < most <= AT_ONCE
