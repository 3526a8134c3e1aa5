"""Processes that die, stop or freeze: which one continues, which one shows nothing more, and what people see."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Conversation, Lane, Place
from core.domain.errors import Stale, StoreError
from core.domain.page import Action, Page
from core.domain.progress import Progress
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.edits import CHANGED
from core.reply.layout import PAUSED
from core.store.mailbox import Retention
from core.store.turns import Claimed, Queued, Turn, Turns
from core.turns.lease import Lease
from core.turns.runner import GAVE_UP
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import HERE, LANE, ROOM, Process, Rooms, eventually, process
from tests.redis_server import stored


async def claimed(turns: Turns) -> Turn:
    """A question that this process answers."""
    accepted = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, Author("U1", "Ann"), "hi"), "r1")
    assert isinstance(accepted, Claimed)
    return accepted.turn


async def busy(bot: Process, server: NebulaServer) -> Question:
    """A question whose answer runs until somebody stops it."""
    server.fault(NebulaFault(stall_after=3))
    server.answer_next("word " * 20)
    question = bot.question("talk")
    await bot.inbox.accept(question)
    await bot.rooms.rooms[question.message].until("word")
    return question


async def test_reply_without_a_successor_says_so(
    redis_client: Redis, server: NebulaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a shutdown without a successor the text stays, with a sentence below; the next start continues the same
    message."""
    monkeypatch.setattr("core.turns.lease.PAUSED_TIMEOUT_SECONDS", HANG_SECONDS)
    async with process(redis_client, server, drain=0, handover=0.2) as bot:
        question = await busy(bot, server)
    [page] = bot.rooms.rooms[question.message].messages.values()
    assert page.text.startswith("word")
    assert (page.foot, page.growing, page.actions) == (PAUSED, False, ())
    server.answer_next("whole")
    async with process(redis_client, server, rooms=bot.rooms) as successor:
        await successor.settled(question)
    assert bot.shown(question) == "whole"


async def test_reply_taken_over_is_not_marked(redis_client: Redis, server: NebulaServer) -> None:
    """During a rolling deploy people notice nothing: another process takes over at once."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as other:
        async with process(redis_client, server, rooms=rooms, drain=0, handover=HANG_SECONDS) as bot:
            question = await busy(bot, server)
            server.answer_next("whole")
        await other.settled(question)
    assert bot.shown(question) == "whole"
    assert not any(page.foot == PAUSED for _, page in rooms.rooms[question.message].frames)


@pytest.fixture
def patient_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that shows something waits for Redis as long as a busy machine takes; usually it soon goes on."""
    monkeypatch.setattr("core.turns.lease.CHECKPOINT_TIMEOUT_SECONDS", HANG_SECONDS)


@pytest.mark.usefixtures("patient_checks")
async def test_frozen_process_checks_its_lease_before_it_shows_anything(redis_client: Redis) -> None:
    """After a pause the lease has expired by our own clock: before its next frame the process asks Redis, and never
    sends it."""
    turns = Turns(redis_client, Retention(lease=0.05))
    lease = Lease(turns, await claimed(turns), lambda: None, lambda: False)
    await lease.check()
    async with asyncio.timeout(HANG_SECONDS):
        while not await turns.claim(Lane(HERE)):
            await asyncio.sleep(0.01)
    with pytest.raises(Stale):
        await lease.check()


@pytest.mark.usefixtures("patient_checks")
async def test_process_frozen_after_its_claim_checks_its_lease_too(redis_client: Redis) -> None:
    """The lease begins with the claim, not when the process learns of it."""
    turns = Turns(redis_client, Retention(lease=0.05))
    turn = await claimed(turns)
    async with asyncio.timeout(HANG_SECONDS):
        while not await turns.claim(Lane(HERE)):
            await asyncio.sleep(0.01)
    with pytest.raises(Stale):
        await Lease(turns, turn, lambda: None, lambda: False).check()


async def test_nobody_waits_for_a_redis_that_is_known_to_be_silent(redis_client: Redis) -> None:
    """The reply goes on at once after a new message, and the message is stored as soon as Redis answers, long before
    the next renewal is due."""
    turns = Turns(redis_client, Retention(lease=3600))
    lease = Lease(turns, await claimed(turns), lambda: None, lambda: True)
    await lease.on_post(Progress(("new message",)), Page("word"))
    assert "new message" not in await stored(redis_client)
    async with asyncio.TaskGroup() as group:
        holding = group.create_task(lease.hold())
        async with asyncio.timeout(HANG_SECONDS):
            while "new message" not in await stored(redis_client):
                await asyncio.sleep(0.01)
        holding.cancel()


async def test_a_new_message_that_redis_did_not_take_in_time_is_stored_soon(redis_client: Redis) -> None:
    """Not only when the next renewal is due: until then a successor would post it again."""
    turns = Turns(redis_client, Retention(lease=3600))
    lease = Lease(turns, await claimed(turns), lambda: None, lambda: False)
    async with asyncio.TaskGroup() as group:
        holding = group.create_task(lease.hold())
        await redis_client.client_pause(int(HANG_SECONDS * 1000), all=False)  # writes alone
        await lease.on_post(Progress(("new message",)), Page("word"))
        await redis_client.client_unpause()
        async with asyncio.timeout(HANG_SECONDS):
            while "new message" not in await stored(redis_client):
                await asyncio.sleep(0.01)
        holding.cancel()


async def test_abandoned_question_can_be_asked_again(redis_client: Redis, server: NebulaServer) -> None:
    """The sentence has a button, and the button works."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as bot:
        pass
    question = bot.question("poison")
    await bot.inbox.accept(question)
    for _ in range(3):
        assert await bot.turns.claim(LANE)
        await redis_client.zadd("nb:{0}:lanes", {str(LANE): 0})
    async with process(redis_client, server, rooms=rooms) as successor:
        await successor.settled(question)
        [(message, page)] = rooms.rooms[question.message].messages.items()
        assert (page.foot, page.actions) == (GAVE_UP, (Action.AGAIN,))
        assert await successor.press(Action.AGAIN, message) is None
        await successor.runner.idle()
        assert GAVE_UP not in successor.shown(question)
    assert len(server.requests) == 1


async def test_number_of_attempts_is_a_setting(redis_client: Redis, server: NebulaServer) -> None:
    """With one attempt the first crash is the last."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as bot:
        pass
    question = bot.question("poison")
    await bot.inbox.accept(question)
    assert await bot.turns.claim(LANE)
    await redis_client.zadd("nb:{0}:lanes", {str(LANE): 0})
    async with process(redis_client, server, rooms=rooms, turn_attempts=1) as successor:
        await successor.settled(question)
    assert GAVE_UP in successor.shown(question)


async def test_process_leaves_turns_above_its_limit_to_others(redis_client: Redis, server: NebulaServer) -> None:
    """Above its number of turns a process only accepts questions; another one answers, or it does so itself later."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms, turns_at_once=1) as small:
        question = await busy(small, server)
        other = small.question("hello", Place("test", "W1", "C2"))
        assert isinstance(await small.inbox.accept(other), Queued)
        async with process(redis_client, server, rooms=rooms) as large:
            await large.settled(other)
        third = small.question("hello", Place("test", "W1", "C3"))
        await small.inbox.accept(third)
        await small.turns.stop(HERE, question.id)
        await small.settled(third)


async def test_refused_person_is_told_and_nothing_is_stored(redis_client: Redis, server: NebulaServer) -> None:
    """The person learns it once, however often the question is delivered; commands and buttons are refused too."""
    async with process(redis_client, server, access_deny="U1") as bot:
        question = bot.question("hi")
        for _ in range(2):
            await bot.inbox.accept(question)
        room = bot.rooms.rooms[question.message]
        await eventually(lambda: bool(room.whispers))
        assert room.whispers == ["You can't use this bot here. Ask whoever runs it for access."]
        assert await bot.turns.waiting(HERE) == 0
        assert "can't use this bot" in await bot.command("settings")
    assert not server.requests


async def test_people_of_other_organisations_need_permission(redis_client: Redis, server: NebulaServer) -> None:
    """Off by default: their questions cost money, and the model sees what the channel has said."""
    guest = Author("U9", "Guest", external=True)
    async with process(redis_client, server) as bot:
        await bot.inbox.accept(bot.question("hi", author=guest))
        await bot.runner.idle()
        assert not server.requests
    async with process(redis_client, server, access_external="on") as bot:
        assert await bot.answer("hi", author=guest)


async def test_full_memory_of_redis_loses_nothing(redis_client: Redis, server: NebulaServer) -> None:
    """New questions are refused, because the platform delivers them again; running turns are renewed, stopped and
    committed."""
    turns = Turns(redis_client)
    turn = await claimed(turns)
    await redis_client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreError):
            await turns.accept(Lane(HERE), Question(TurnId("m2"), ROOM, Author("U1", "Ann"), "hi"), "r2")
        await turns.renew(turn, Progress(("reply",)))
        assert await turns.stop(HERE, TurnId("m1"))
        assert (await turns.renew(turn)).stop
        await turns.commit(turn, None)
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert isinstance(
        await turns.accept(Lane(HERE), Question(TurnId("m2"), ROOM, Author("U1", "Ann"), "hi"), "r3"),
        Claimed,
    )


async def test_lapsed_turns_of_other_platforms_do_not_hide_ours(redis_client: Redis) -> None:
    """We find our own turns, however many others wait for a process that serves their platform."""
    turns = Turns(redis_client, Retention(lease=0.001))
    for number in range(150):
        await turns.accept(
            Lane(Conversation(f"other/{number}")),
            Question(TurnId(f"o{number}"), ROOM, Author("U1", "Ann"), "hi"),
            f"r{number}",
        )
    await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, Author("U1", "Ann"), "hi"), "r")

    async def found() -> tuple[Lane, ...]:
        return await turns.lapsed(("test/",))

    async with asyncio.timeout(HANG_SECONDS):
        while await found() != (Lane(HERE),):
            await asyncio.sleep(0.01)


async def test_token_of_a_claim_is_never_given_out_twice(redis_client: Redis) -> None:
    """A server that lost its last writes must not give the holder's own token to another process."""
    turns = Turns(redis_client)
    first = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, Author("U1", "Ann"), "hi"), "r1")
    assert isinstance(first, Claimed)
    await redis_client.hset(f"nb:{{0}}:c:{ROOM.name}", "fence", 0)  # as if the replica had not received the claim
    await redis_client.zadd("nb:{0}:lanes", {ROOM.name: 1})
    second = await turns.claim(Lane(HERE))
    assert second
    assert second.fence > first.turn.fence
    with pytest.raises(Stale):
        await turns.renew(first.turn)


async def test_holder_continues_after_the_server_lost_its_claim(redis_client: Redis) -> None:
    """If nobody claimed since, the holder's renewal puts its token back, and its answer is remembered."""
    turns = Turns(redis_client, Retention(lease=3600))
    first = await turns.accept(Lane(HERE), Question(TurnId("m1"), ROOM, Author("U1", "Ann"), "hi"), "r1")
    assert isinstance(first, Claimed)
    await redis_client.delete(f"nb:{{0}}:c:{ROOM.name}")
    await turns.renew(first.turn)
    assert await turns.claim(Lane(HERE)) is None
    assert await turns.commit(first.turn, None) is None
    assert await turns.waiting(HERE) == 0


async def test_longest_wait_comes_first(redis_client: Redis, server: NebulaServer) -> None:
    """With room for one turn, no channel starves behind busier ones."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms, turns_at_once=1) as bot:
        places = [Place("test", "W1", f"C{number}") for number in range(5)]
        questions = [bot.question("hello", place) for place in places for _ in range(3)]
        last = bot.question("patient", Place("test", "W1", "Z"))
        for question in (*questions[:6], last, *questions[6:]):
            await bot.inbox.accept(question)
        await bot.settled(last)
        assert len(server.requests) <= 12
        for question in questions:
            await bot.settled(question)


async def test_question_received_while_closing_does_not_delay_the_end(
    redis_client: Redis, server: NebulaServer
) -> None:
    """The question is stored for the next process; the closing one does not wait."""
    rooms = Rooms()
    other = Place("test", "W1", "C2")
    async with process(redis_client, server, rooms=rooms) as holder:
        server.fault(NebulaFault(stall_after=3))
        server.answer_next("word " * 20)
        running = holder.question("long", other)
        await holder.inbox.accept(running)
        await rooms.rooms[running.message].until("word")
        async with process(redis_client, server, rooms=rooms) as bot:
            pass
        late = bot.question("late", other)
        async with asyncio.timeout(HANG_SECONDS):
            assert isinstance(await bot.inbox.accept(late), Queued)
        await holder.turns.stop(Conversation(other.name), running.id)
        await holder.settled(late)


async def test_complete_answer_is_not_marked_as_interrupted(redis_client: Redis, server: NebulaServer) -> None:
    """A process that must exit during its commit leaves the answer as it is."""
    async with process(redis_client, server, drain=0) as bot:
        server.answer_next("whole")
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await bot.rooms.rooms[question.message].until("whole")
    assert bot.shown(question) == "whole"


async def test_edit_received_by_two_processes_is_offered_once(redis_client: Redis, server: NebulaServer) -> None:
    """Two gateways report the edit at the same moment."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as one, process(redis_client, server, rooms=rooms) as two:
        question = one.question("teh")
        await one.inbox.accept(question)
        await one.runner.idle()
        edited = replace(question, text="the")
        await asyncio.gather(one.dispatcher.edited(edited, asks=True), two.dispatcher.edited(edited, asks=True))
        room = rooms.rooms[question.message]
        await eventually(lambda: any(page.foot == CHANGED for page in room.messages.values()))
    assert [page.foot for page in room.messages.values()].count(CHANGED) == 1
