"""Who is listened to without a mention: what a question leaves behind for that, and what ends it."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import DENIED
from core.domain.conversation import Author, Place
from core.inbound.listening import Remark
from core.store.threads import AskedThreads
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ANN, BOB, ROOM, Process, eventually, process

AND = Remark("and in Rust?")


async def opened(bot: Process, author: Author = ANN, **values: Any) -> Place:
    """Ask a question in the channel, and return the thread under it."""
    question = bot.question("why?", author=author, **values)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return replace(ROOM, thread=question.message)


async def heard(bot: Process, place: Place, *people: Author) -> list[bool]:
    return [await bot.dispatcher.followups.is_meant(AND, place, each.id) for each in people]


@pytest.mark.parametrize(
    ("listen", "in_thread", "elsewhere", "in_channel"),
    [
        ("mention", [False, False], False, False),
        ("followups", [True, False], False, False),
        ("thread", [True, True], False, False),
        ("all", [True, True], True, True),
    ],
)
@pytest.mark.parametrize("partitions", [1, 8])
async def test_who_is_heard(
    redis_client: Redis,
    server: NebulaServer,
    listen: str,
    in_thread: list[bool],
    elsewhere: bool,
    in_channel: bool,
    partitions: int,
) -> None:
    """Ann and Bob in the thread that Ann's question opened, and Ann in somebody's thread and in the channel."""
    async with process(redis_client, server, redis_partitions=partitions, reply_listen=listen) as bot:
        thread = await opened(bot)
        assert await heard(bot, thread, ANN, BOB) == in_thread
        assert await heard(bot, replace(ROOM, thread="t9"), ANN) == [elsewhere]
        assert await heard(bot, ROOM, ANN) == [in_channel]
    # A restart, and another memory: the question may then be in another partition.
    async with process(redis_client, server, redis_partitions=partitions, reply_listen=listen) as bot:
        await bot.command("set memory thread")
        assert await heard(bot, thread, ANN, BOB) == in_thread


async def test_whoever_asks_in_the_thread_is_heard_there(redis_client: Redis, server: NebulaServer) -> None:
    """But a question in other people's thread, in private or by command opens none."""
    async with process(redis_client, server) as bot:
        thread = await opened(bot)
        await bot.answer("me too?", thread, BOB)
        assert await heard(bot, thread, ANN, BOB) == [True, True]
        await bot.answer("what do they say?", replace(ROOM, thread="t9"), BOB)
        assert await heard(bot, replace(ROOM, thread="t9"), BOB) == [False]
        assert await heard(bot, await opened(bot, private=True), ANN) == [False]
        command = replace(bot.question("why?"), message="")
        await bot.inbox.accept(command)
        assert [key async for key in redis_client.scan_iter(match="*:o:*")] == [f"nb:{{0}}:o:{ROOM.name}".encode()]


async def test_a_post_is_a_thread_of_its_own(redis_client: Redis, server: NebulaServer) -> None:
    """In Discord's forums a thread has the id of its first message."""
    async with process(redis_client, server) as bot:
        post = replace(ROOM, thread="p1")
        await bot.inbox.accept(replace(bot.question("why?", post), message="p1"))
        assert await heard(bot, post, ANN, BOB) == [True, False]


async def test_what_is_refused_opens_nothing(redis_client: Redis, server: NebulaServer) -> None:
    """Nor is anybody told about a message that did not even mention the bot."""
    async with process(redis_client, server, access_deny=(BOB.id,)) as bot:
        assert await heard(bot, await opened(bot, BOB), BOB) == [False]
        asked = replace(bot.question("why?", author=BOB), overheard=True)

        async def rights() -> Any:
            raise AssertionError

        assert await bot.dispatcher.heard(asked, rights) is None
        assert await bot.dispatcher.heard(replace(asked, text="!settings"), rights) is None
        await bot.runner.idle()
        assert not bot.rooms.rooms[asked.message].whispers
        assert [room.whispers for room in bot.rooms.rooms.values() if room.whispers] == [[DENIED]]


async def test_it_is_known_for_a_week_at_most(redis_client: Redis, server: NebulaServer) -> None:
    """No longer than the conversation; only ids are stored."""
    async with process(redis_client, server) as bot:
        thread = await opened(bot)
        key = f"nb:{{0}}:o:{ROOM.name}"
        assert 0 < await redis_client.pttl(key) <= 7 * 86_400_000
        assert await redis_client.zrange(key, 0, -1) == [f"{thread.thread}".encode(), f"{thread.thread}/U1".encode()]
        await bot.command("set retention 1")
        await opened(bot)
        assert 0 < await redis_client.pttl(key) <= 86_400_000


async def test_a_thread_with_a_shorter_memory_ends_no_other(redis_client: Redis, server: NebulaServer) -> None:
    """What is known of a thread expires by itself, though one set holds those of a whole channel."""
    async with process(redis_client, server) as bot:
        thread = await opened(bot)
        short = await opened(bot)
        await bot.command("set --thread retention 0.01", short)
        await bot.answer("again", short)
        key = f"nb:{{0}}:o:{ROOM.name}"
        ends: list[Any] = [await redis_client.zscore(key, f"{each.thread}/U1") for each in (short, thread)]
        assert ends == sorted(ends)
        assert await redis_client.pttl(key) > 86_400_000


@pytest.mark.parametrize(("whose", "left"), [("me", [False, True]), ("all", [False, False])])
@pytest.mark.parametrize("partitions", [1, 8])
async def test_forget(redis_client: Redis, server: NebulaServer, whose: str, left: list[bool], partitions: int) -> None:
    """It takes out who asked: the person, or everybody."""
    async with process(redis_client, server, redis_partitions=partitions) as bot:
        thread = await opened(bot)
        await bot.answer("me too?", thread, BOB)
        await bot.command(f"forget {whose}")
        assert await heard(bot, thread, ANN, BOB) == left


async def test_mute_in_one_process_is_known_in_all(redis_client: Redis, server: NebulaServer) -> None:
    """A thread or the channel, until somebody mentions the bot there, or unmutes it; also after a look a moment ago."""
    async with process(redis_client, server) as bot, process(redis_client, server, rooms=bot.rooms) as other:
        thread = await opened(bot)
        async with asyncio.timeout(HANG_SECONDS):  # what nobody listens to yet is lost
            while dict(await redis_client.pubsub_numsub("nb:changed"))[b"nb:changed"] < 2:
                await asyncio.sleep(0.005)
        settings = other.dispatcher.followups._settings

        def reached(changes: int) -> bool:
            return settings.changes == changes

        for place, word in ((thread, "unmute"), (ROOM, "unmute"), (thread, ""), (ROOM, "")):
            assert await heard(other, thread, ANN) == [True]
            changes = settings.changes
            assert "Muted" in await bot.command("mute", place)
            await eventually(partial(reached, changes + 1))
            assert await heard(other, thread, ANN) == [False]
            await (bot.command(word, place) if word else bot.answer("and now?", place))
            await eventually(partial(reached, changes + 2))
        assert await heard(other, thread, ANN) == [True]


async def test_a_follow_up_does_not_end_a_mute_elsewhere(redis_client: Redis, server: NebulaServer) -> None:
    """A mention in a thread leaves the channel muted; `unmute` there says so, and `settings` shows it."""
    async with process(redis_client, server) as bot:
        thread = await opened(bot)
        await bot.command("mute")
        await bot.answer("why?", thread)
        assert await heard(bot, thread, ANN) == [False]
        assert "still muted" in await bot.command("unmute", thread)
        assert "muted in this channel" in await bot.command("settings", thread)
        assert "again" in await bot.command("unmute")
        assert "not muted" in await bot.command("unmute")
        assert await heard(bot, thread, ANN) == [True]
        assert "everything you write is for me" in await bot.command("mute", replace(ROOM, direct=True))


async def test_silence_costs_nothing(redis_client: Redis, server: NebulaServer) -> None:
    """Messages in a channel, and in a thread of other people, cost one read in a while."""
    async with process(redis_client, server) as bot:
        for place in (ROOM, replace(ROOM, thread="t9")):
            assert await heard(bot, place, ANN, BOB) == [False, False]
        before = (await redis_client.info("commandstats"))["cmdstat_hgetall"]["calls"]
        for place in (ROOM, replace(ROOM, thread="t9")):
            assert await heard(bot, place, ANN, BOB) == [False, False]
            assert not bot.dispatcher.followups.may_be_meant(AND, place)
        assert (await redis_client.info("commandstats"))["cmdstat_hgetall"]["calls"] == before
        await bot.command("set listen all")
        # Another store wrote that setting: this process learns of it by the signal.
        assert await heard(bot, ROOM, BOB) == [True]


async def test_nothing_is_forgotten_twice(redis_client: Redis, server: NebulaServer) -> None:
    """Where nobody asked, there is nothing to forget."""
    async with process(redis_client, server) as bot:
        await AskedThreads(bot.turns.mailboxes).forget(ROOM.name, ANN.id)
        await AskedThreads(bot.turns.mailboxes).forget(ROOM.name)
