"""Hard cases of the core: entries of other versions in Redis, late steps, races at shutdown, unexpected input."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Conversation, Exchange, Lane, Place
from core.domain.errors import Forbidden, SlowDown
from core.domain.options import Memory, Placement
from core.domain.ports import QuestionStatus
from core.domain.progress import Progress
from core.domain.question import Question
from core.domain.rates import RateLimit
from core.domain.turn_id import TurnId
from core.prompt.build import build
from core.prompt.tokens import TokenEstimator
from core.ratelimit.limiter import RateLimiter
from core.reply.layout import CUT
from core.settings.parameters import ChannelSettings
from core.store.turns import Claimed, Turns
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ANN, HERE, LANE, ROOM, Process, eventually, process

OTHER_PLATFORM = Place("other", "W1", "C9")


async def left_behind(redis: "Redis") -> Question:
    """A question whose process has ended. The sweep visits leases that ran out earlier first: once this question is
    answered, the sweep has passed all of them."""
    place = Place("test", "W1", "C7")
    question = Question(TurnId("test/left"), place, ANN, "still here?", message="left")
    await Turns(redis).accept(Lane(Conversation(place.name)), question, "r")
    await redis.zadd("nb:{0}:lanes", {place.name: 2})
    return question


async def test_entry_that_does_not_parse_does_not_end_the_process(redis_client: Redis, server: NebulaServer) -> None:
    """An inbox entry of another version must not end the sweep, and the process with it."""
    await redis_client.rpush("nb:{0}:q:test/W1/C1", '{"id":"x","unknown":"secret words"}')
    await redis_client.zadd("nb:{0}:lanes", {"test/W1/C1": 1})
    behind = await left_behind(redis_client)
    async with process(redis_client, server) as bot:
        await bot.settled(behind)
        async with asyncio.timeout(HANG_SECONDS):
            while await bot.turns.waiting(Conversation("test/W1/C1")):  # the sweep takes all lanes at the same time
                await asyncio.sleep(0.01)
        assert await bot.answer("hi", Place("test", "W1", "C2"))


async def test_history_that_does_not_parse_is_skipped(bot: Process, redis_client: Redis) -> None:
    """One unreadable exchange does not silence a channel."""
    await redis_client.rpush("nb:{0}:h:test/W1/C1", b'q|{"turn":"secret words"}')
    assert await bot.answer("hi")


async def test_setting_that_does_not_parse_is_skipped(bot: Process, redis_client: Redis) -> None:
    """One unreadable setting does not silence a channel."""
    await redis_client.hset("nb:s:test/W1/C1", "prompt", b'{"text":"secret words"}')
    assert await bot.answer("hi")


async def test_turn_of_a_platform_not_served_here_is_left_alone(
    redis_client: Redis, server: NebulaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A process takes over only turns that it can answer: the console takes none of Slack's."""
    turns = Turns(redis_client)
    await turns.accept(
        Lane(Conversation(OTHER_PLATFORM.name)),
        Question(TurnId("other/1"), OTHER_PLATFORM, ANN, "hi", message="1"),
        "r",
    )
    await redis_client.zadd("nb:{0}:lanes", {OTHER_PLATFORM.name: 1})
    behind = await left_behind(redis_client)
    async with process(redis_client, server) as bot:
        await bot.settled(behind)
        turn: Any = await redis_client.hget(f"nb:{{0}}:t:{OTHER_PLATFORM.name}", "other/1")
        assert json.loads(turn)["attempts"] == 1


async def test_late_renewal_does_not_hold_an_idle_conversation(redis_client: Redis) -> None:
    """A renewal that is in flight during the commit leaves no lease behind."""
    turns = Turns(redis_client)
    acceptance = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, ANN, "hi"), "r1")
    assert isinstance(acceptance, Claimed)
    await turns.commit(acceptance.turn, None)
    await turns.renew(acceptance.turn)
    assert await redis_client.zscore("nb:{0}:lanes", ROOM.name) is None
    assert isinstance(await turns.accept(Lane(HERE), Question(TurnId("m2"), ROOM, ANN, "hi"), "r2"), Claimed)


async def test_late_progress_is_not_the_next_turns(redis_client: Redis) -> None:
    """Messages of an answered turn do not become those of the next turn."""
    turns = Turns(redis_client)
    first = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, ANN, "hi"), "r1")
    assert isinstance(first, Claimed)
    await turns.accept(Lane(HERE), Question(TurnId("m2"), ROOM, ANN, "hi"), "r2")
    await turns.commit(first.turn, None)
    await turns.renew(first.turn, Progress(("reply of m1",)))
    await redis_client.zadd("nb:{0}:lanes", {ROOM.name: 1})
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert taken.progress == Progress()


async def test_repeated_release_has_no_effect(redis_client: Redis) -> None:
    """A repeated release, or a release after the commit, changes nothing."""
    turns = Turns(redis_client)
    first = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, ANN, "hi"), "r1")
    assert isinstance(first, Claimed)
    await turns.release(first.turn)
    await turns.release(first.turn)
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert taken.attempt == 1


async def test_release_after_the_end_leaves_nothing(redis_client: Redis) -> None:
    """A cancellation right after the commit leaves no lease behind, and every key has a TTL."""
    turns = Turns(redis_client)
    first = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, ANN, "hi"), "r1")
    assert isinstance(first, Claimed)
    await turns.commit(first.turn, None)
    await turns.release(first.turn)
    assert [key for key in await redis_client.keys("*") if await redis_client.ttl(key) < 0] == []


async def test_answer_stopped_by_the_filter_is_explained(bot: Process, server: NebulaServer) -> None:
    """The bot always says something, even when the content filter stops the answer."""
    server.answer_next("", finish="content_filter")
    assert await bot.answer("hi")


async def test_an_endless_answer_is_read_up_to_a_limit(redis_client: Redis, server: NebulaServer) -> None:
    """The model may write for ever: at the limit the request ends, and the answer counts as cut by its length limit."""
    server.fault(NebulaFault(stall_after=500))  # the stream is left before it stalls
    server.answer_next("word " * 1000)
    async with process(redis_client, server, reply_characters=1000) as bot:
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await bot.runner.idle()
        [page] = bot.rooms.rooms[question.message].messages.values()
        assert page.text == ("word " * 200).strip()
        assert page.foot == CUT


async def test_answer_that_nobody_saw_is_not_remembered(bot: Process, server: NebulaServer) -> None:
    """If the bot may not write, it has said nothing."""
    server.fault(NebulaFault(stall_after=10))  # the refusal ends it
    server.answer_next("word " * 100)
    question = bot.question("talk")
    bot.rooms.rooms[question.message].faults.append(Forbidden("no"))
    await bot.inbox.accept(question)
    await bot.runner.idle()
    await bot.answer("next")
    assert len(server.requests[-1].messages) == 2


async def test_prompt_and_answer_fit_the_window_together() -> None:
    """The prompt and max_tokens fit into the context together."""
    settings = ChannelSettings("p", "m", None, None, 6000, Memory.CHANNEL, Placement.CHANNEL)
    history = [Exchange(TurnId(str(i)), ANN, "x" * 700, "y" * 700, (), 0) for i in range(100)]
    estimator = TokenEstimator()
    request = build(
        settings, history, Question(TurnId("1"), ROOM, ANN, "q"), model="m", context=8192, estimator=estimator
    ).request
    used = sum(estimator.count("m", each.content) for each in request.messages)
    assert used + (request.max_tokens or 0) <= 8192


async def test_hold_outlives_the_dropping_of_idle_scopes() -> None:
    """A hold survives when idle scopes are dropped."""
    pacer = RateLimiter()
    with suppress(SlowDown):
        async with await pacer.permit(RateLimit("held", 5, 0.01)):
            raise SlowDown("429", 60)
    for number in range(5000):
        (await pacer.permit(RateLimit(f"s{number}", 5, 0.01))).give_back()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pacer.permit(RateLimit("held", 5, 0.01), final=True)


async def test_notice_that_fails_does_not_end_the_process(redis_client: Redis, server: NebulaServer) -> None:
    """A surface's defect costs a status, not every other reply."""
    async with process(redis_client, server) as bot:
        server.fault(NebulaFault(stall_after=1))
        first, second = bot.question("one"), bot.question("two")
        await bot.inbox.accept(first)

        failed = asyncio.Event()

        async def broken(sign: QuestionStatus) -> None:
            failed.set()
            raise RuntimeError("a defect of an adapter")

        bot.rooms.rooms[second.message].status = broken  # type: ignore[method-assign]
        await bot.inbox.accept(second)
        async with asyncio.timeout(HANG_SECONDS):
            await failed.wait()
        await server.until(lambda: len(server.requests) == 1)  # now there is a request to stop
        bot.assistant.stop(first.id)
        assert await bot.answer("three", Place("test", "W1", "C2"))


async def test_command_without_arguments_takes_none(bot: Process) -> None:
    """`reset` followed by more words gets a sentence and resets nothing."""
    await bot.answer("My name is Ann.")
    assert "Forgotten" not in await bot.command("reset my password, how do I do that?")


async def test_surrogates_in_a_question(bot: Process) -> None:
    """Half a surrogate pair in an event breaks nothing."""
    assert await bot.answer("half \ud83d a character")


async def test_shutdown_begins_no_new_turns(redis_client: Redis, server: NebulaServer) -> None:
    """A question that waits for the running reply is handed back, not begun."""
    held = server.hold(after=3)
    server.answer_next("word " * 20)
    async with process(redis_client, server) as bot:
        for text in ("one", "two"):
            await bot.inbox.accept(bot.question(text))
        await server.until(lambda: len(server.requests) == 1)
        asyncio.get_running_loop().call_soon(held.release)  # once the process has begun to close
    assert len(server.requests) == 1


async def test_waiting_notice_does_not_delay_a_shutdown(redis_client: Redis, server: NebulaServer) -> None:
    """A platform that asks for a pause of half a minute does not keep the process alive."""
    async with asyncio.timeout(HANG_SECONDS), process(redis_client, server, inbox_limit=1, drain=0) as bot:
        server.fault(NebulaFault(stall_after=1))
        await bot.inbox.accept(bot.question("first"))
        refused = bot.question("one too many")
        bot.rooms.rooms[refused.message].faults = [SlowDown("429", 10 * HANG_SECONDS)]
        await bot.inbox.accept(refused)
        await eventually(lambda: not bot.rooms.rooms[refused.message].faults)


async def test_own_turn_is_not_taken_over(redis_client: Redis, server: NebulaServer) -> None:
    """If a lease ran out while Redis was away, its holder renews it; the same process does not sweep it."""
    async with process(redis_client, server) as bot:
        held = server.hold(after=10)
        server.answer_next("word " * 60 + "end")
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await eventually(lambda: len(bot.shown(question)) > 20)  # posted, and its progress stored
        await redis_client.zadd("nb:{0}:lanes", {str(LANE): 1})  # as after an outage longer than the lease
        await bot.settled(await left_behind(redis_client))
        held.release()
        await bot.runner.idle()
        assert bot.shown(question).endswith("end")
    assert len(server.requests) == 2  # one of them for the question left behind
