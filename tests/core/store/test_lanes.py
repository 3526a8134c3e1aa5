"""Lanes with a real Redis: questions of one conversation that are answered beside each other."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Conversation, Lane
from core.domain.errors import Stale
from core.domain.progress import Progress
from core.domain.question import Question
from core.store.mailbox import Retention
from core.store.records import ConversationLookups, State
from core.store.turns import Acceptance, Claimed, Full, Queued, Renewed, Turn, Turns
from tests.core.store.queue_model import question, reply, reworded, said
from tests.core.store.test_turns import eventually

HERE = Conversation(question("C1", 0).place.name)
FIRST, SECOND, THIRD, FOURTH = (question("C1", number) for number in range(4))
A, B, C, D = (Lane(HERE, name) for name in "abcd")
LASTING = Retention(lease=3600)  # a lease ends only where a test says so (`lapse`), however slow the test is


async def accepted(turns: Turns, lane: Lane, asked: Question, parallel: int = 2, *, claim: bool = True) -> Acceptance:
    return await turns.accept(lane, asked, f"request {asked.id}", parallel=parallel, claim=claim)


async def begun(turns: Turns, lane: Lane, asked: Question, parallel: int = 2) -> Turn:
    """Accept a question for which there is room."""
    acceptance = await accepted(turns, lane, asked, parallel)
    assert isinstance(acceptance, Claimed)
    assert acceptance.turn.question == asked
    return acceptance.turn


async def lapse(redis: Redis, lane: Lane) -> None:
    """The lease of a lane expires, as if its holder were dead or paused."""
    await redis.zadd("nb:{0}:lanes", {str(lane): 1}, xx=True)


async def test_two_lanes_are_held_at_once(redis_client: Redis) -> None:
    """A thread does not wait for another thread; each has its own turn, token and progress."""
    turns = Turns(redis_client, LASTING)
    first, second = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    assert (first.lane, second.lane) == (A, B)
    assert first.fence != second.fence
    await turns.renew(first, Progress(("m1",)))
    await turns.renew(second, Progress(("m2",)))
    running = await ConversationLookups(turns.mailboxes).running(HERE)
    assert [(each.question, each.messages) for each in running] == [(FIRST, ("m1",)), (SECOND, ("m2",))]


async def test_questions_of_a_lane_follow_each_other(redis_client: Redis) -> None:
    """Within a lane order is strict, even if another lane could be held."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST)
    assert await accepted(turns, A, SECOND) == Queued(ahead=1)
    assert await turns.claim(A) is None
    assert await turns.lapsed() == ()
    following = await turns.commit(first, said(first))
    assert following
    assert following.question == SECOND


async def test_one_at_a_time_is_strict(redis_client: Redis) -> None:
    """With `parallel` 1, lanes are answered in order of arrival, never two at once, and none can be taken meanwhile."""
    turns = Turns(redis_client, LASTING)
    turn: Turn | None = await begun(turns, A, FIRST, 1)
    for lane, asked in ((B, SECOND), (C, THIRD), (A, FOURTH)):
        assert isinstance(await accepted(turns, lane, asked, 1), Queued)
        assert await turns.claim(lane) is None
    order = []
    while turn:
        assert len(await ConversationLookups(turns.mailboxes).running(HERE)) == 1
        order.append(turn.question)
        turn = await turns.commit(turn, said(turn))
    assert order == [FIRST, SECOND, THIRD, FOURTH]


async def test_commit_takes_the_lane_that_waits_longest(redis_client: Redis) -> None:
    """Not its own next question, which came later than that of another lane."""
    turns = Turns(redis_client, LASTING)
    first, second = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await accepted(turns, C, THIRD)
    await accepted(turns, A, FOURTH)
    following = await turns.commit(first, said(first))
    assert following
    assert (following.lane, following.question, following.attempt) == (C, THIRD, 1)
    following = await turns.commit(second, said(second))
    assert following
    assert (following.lane, following.question) == (A, FOURTH)


async def test_commit_takes_its_own_lane_if_that_waits_longest(redis_client: Redis) -> None:
    """A lane has no advantage and no disadvantage because it ran before."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST, 1)
    await accepted(turns, A, SECOND, 1)
    await accepted(turns, B, THIRD, 1)
    following = await turns.commit(first, said(first))
    assert following
    assert (following.lane, following.question) == (A, SECOND)


async def test_ahead_counts_what_must_end_first(redis_client: Redis) -> None:
    """In a lane those before it; for the first of a lane, one of those that run, and the lanes that wait longer."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST)
    await begun(turns, B, SECOND)
    assert await accepted(turns, C, THIRD) == Queued(ahead=1)
    other = D
    assert await accepted(turns, other, FOURTH) == Queued(ahead=2)
    behind = question("C1", 4)
    assert await accepted(turns, A, behind) == Queued(ahead=1)
    assert [await turns.ahead(HERE, each) for each in (FIRST, SECOND, THIRD, FOURTH, behind)] == [0, 0, 1, 2, 1]
    await turns.commit(first, said(first))
    assert [await turns.ahead(HERE, each) for each in (FIRST, SECOND, THIRD, FOURTH, behind)] == [None, 0, 0, 1, 2]


async def test_nothing_is_ahead_while_there_is_room(redis_client: Redis) -> None:
    """A question that a full process leaves to others waits for nobody's answer, and both lanes are found."""
    turns = Turns(redis_client, LASTING)
    assert await accepted(turns, A, FIRST, claim=False) == Queued(ahead=0)
    assert await accepted(turns, B, SECOND, claim=False) == Queued(ahead=0)
    assert await accepted(turns, C, THIRD, claim=False) == Queued(ahead=1)
    assert await turns.lapsed() == (A, B)


async def test_accept_claims_the_lane_that_waits_longest(redis_client: Redis) -> None:
    """Whoever brings a question takes the older one of another lane first; its own is found by others."""
    turns = Turns(redis_client, LASTING)
    await accepted(turns, A, FIRST, claim=False)
    acceptance = await accepted(turns, B, SECOND)
    assert isinstance(acceptance, Claimed)
    assert (acceptance.turn.lane, acceptance.turn.question) == (A, FIRST)
    assert await turns.lapsed() == (B,)
    taken = await turns.claim(B)
    assert taken
    assert taken.question == SECOND


async def test_lane_of_a_dead_process_is_found_while_others_wait(redis_client: Redis) -> None:
    """Its turn goes on, and so does the lane that waits for room."""
    turns = Turns(redis_client, LASTING)
    dead, alive = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await accepted(turns, C, THIRD)
    await turns.renew(dead, Progress(("m1",), 5))
    await lapse(redis_client, A)
    assert await turns.lapsed() == (A,)
    taken = await turns.claim(A)
    assert taken
    assert (taken.question, taken.attempt, taken.progress) == (FIRST, 2, Progress(("m1",), 5))
    following = await turns.commit(alive, said(alive))
    assert following
    assert following.question == THIRD
    for late in (turns.renew(dead), turns.commit(dead, said(dead))):
        with pytest.raises(Stale):
            await late


async def test_lapsed_lane_is_left_to_its_holder_or_to_takeover(redis_client: Redis) -> None:
    """A commit and a new question pass it over: after an outage all leases have lapsed, and the holders live. Who takes
    it over has a newer token, so that the one that lost it can't write."""
    turns = Turns(redis_client, LASTING)
    holder, lost = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await accepted(turns, C, THIRD)
    await lapse(redis_client, B)
    following = await turns.commit(holder, said(holder))
    assert following
    assert following.lane == C
    assert isinstance(await accepted(turns, D, FOURTH), Queued)
    assert await turns.renew(lost) == Renewed()
    await lapse(redis_client, B)
    taken = await turns.claim(B)
    assert taken
    assert (taken.lane, taken.question, taken.attempt) == (B, SECOND, 2)
    assert taken.fence > lost.fence
    assert await turns.taken(lost)
    assert not await turns.release(lost)
    with pytest.raises(Stale):
        await turns.renew(lost)
    assert not await turns.taken(taken)


async def test_slow_holder_keeps_its_lane(redis_client: Redis) -> None:
    """A lease that lapsed is prolonged, if nobody took the turn; the other lane's lease is another's."""
    turns = Turns(redis_client, LASTING)
    slow, other = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await lapse(redis_client, A)
    await turns.renew(other)
    assert await turns.lapsed() == (A,)
    await turns.renew(slow)
    assert await turns.lapsed() == ()


async def test_released_lane_is_found_before_those_that_wait(redis_client: Redis) -> None:
    """It came first, so its question goes on first; the others keep their order."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST, 1)
    await accepted(turns, B, SECOND, 1)
    assert await turns.release(first, Progress(("m1",), 3))
    assert await turns.lapsed() == (A,)
    assert await turns.claim(B) is None
    taken = await turns.claim(A)
    assert taken
    assert (taken.attempt, taken.progress) == (1, Progress(("m1",), 3))
    following = await turns.commit(taken, said(taken))
    assert following
    assert following.question == SECOND


async def test_lowering_parallel_never_takes_what_runs(redis_client: Redis) -> None:
    """Those that run keep their lanes; one ends for each that is too many before another begins."""
    turns = Turns(redis_client, LASTING)
    running = [await begun(turns, *each, 3) for each in ((A, FIRST), (B, SECOND), (C, THIRD))]
    other = D
    assert isinstance(await accepted(turns, other, FOURTH, 1), Queued)
    for turn in running:
        await turns.renew(turn)
    assert await turns.commit(running[0], said(running[0])) is None
    assert await turns.commit(running[1], said(running[1])) is None
    assert await turns.lapsed() == ()
    following = await turns.commit(running[2], said(running[2]))
    assert following
    assert following.question == FOURTH


async def test_raising_parallel_begins_those_that_wait(redis_client: Redis) -> None:
    """The process that brings the next question takes the lane that waits longest; the others are found."""
    turns = Turns(redis_client, LASTING)
    await begun(turns, A, FIRST, 1)
    await accepted(turns, B, SECOND, 1)
    await accepted(turns, C, THIRD, 1)
    acceptance = await accepted(turns, A, FOURTH, 3)
    assert isinstance(acceptance, Claimed)
    assert acceptance.turn.question == SECOND
    assert await turns.lapsed() == (C,)


async def test_lapsed_lane_gives_way_to_one_that_waits_longer(redis_client: Redis) -> None:
    """After `parallel` was lowered, a lane waits that came before the one whose holder dies: it is found instead, and
    the other one after it."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST)
    await accepted(turns, A, SECOND)
    await begun(turns, B, THIRD)
    await accepted(turns, C, FOURTH, 1)
    assert await turns.commit(first, said(first)) is None
    await lapse(redis_client, B)
    assert await turns.lapsed() == (B,)
    assert await turns.claim(B) is None
    assert await turns.lapsed() == (A,)
    turn, order = await turns.claim(A), []
    while turn:
        order.append(turn.question)
        turn = await turns.commit(turn, said(turn)) or await turns.claim(B)
    assert order == [SECOND, THIRD, FOURTH]


async def test_forgetting_one_person_keeps_the_running_answers_to_others(redis_client: Redis) -> None:
    """Only of the lanes in which the person asks, as a waiting question may be answered with the running one."""
    turns = Turns(redis_client, LASTING)
    records = ConversationLookups(turns.mailboxes)
    mine, others = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    assert FIRST.author != SECOND.author
    await records.forget(HERE, FIRST.author.id)
    await turns.commit(mine, said(mine), ("m1",))
    await turns.commit(others, said(others), ("m2",))
    assert [each.turn for each in await records.history(HERE)] == [SECOND.id]
    assert await records.ended(HERE, "m1") is None
    assert await records.ended(HERE, "m2")


async def test_full_lane_does_not_block_another_lane(redis_client: Redis) -> None:
    """A person who asks too much does not keep others from asking."""
    turns = Turns(redis_client, Retention(inbox=1))
    await begun(turns, A, FIRST)
    assert await accepted(turns, A, SECOND) == Full(waiting=1)
    assert isinstance(await accepted(turns, B, SECOND), Claimed)


async def test_conversation_is_full_with_as_many_lanes_as_run(redis_client: Redis) -> None:
    """However many lanes there are, the line stays short. What was refused may come again later."""
    turns = Turns(redis_client, Retention(inbox=1))
    first = await begun(turns, A, FIRST)
    await begun(turns, B, SECOND)
    assert await accepted(turns, C, THIRD) == Full(waiting=2)
    assert await turns.waiting(HERE) == 2
    await turns.commit(first, None)
    assert isinstance(await accepted(turns, C, THIRD), Claimed)


async def test_history_is_in_order_of_the_questions(redis_client: Redis) -> None:
    """Whoever is answered first: the model reads what people said in the order in which they said it."""
    turns = Turns(redis_client, LASTING)
    first, second = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await turns.commit(second, said(second))
    await turns.commit(first, said(first))
    third = await begun(turns, A, THIRD)
    assert [each.turn for each in third.history] == [FIRST.id, SECOND.id]
    assert await ConversationLookups(turns.mailboxes).history(HERE) == third.history


async def test_line_and_merge_are_of_one_lane(redis_client: Redis) -> None:
    """A turn that answers the questions behind it leaves those of other lanes alone."""
    turns = Turns(redis_client, LASTING)
    first = await begun(turns, A, FIRST, 1)
    await accepted(turns, B, SECOND, 1)
    await accepted(turns, A, THIRD, 1)
    line = await turns.line(A)
    assert [each for each, _ in line] == [FIRST, THIRD]
    merged = replace(first, also=(THIRD,), entries=(line[1][1],))
    following = await turns.commit(merged, said(merged))
    assert following
    assert following.question == SECOND
    assert await turns.commit(following, None) is None


async def test_deleted_question_gives_way_to_the_next_lane(redis_client: Redis) -> None:
    """It was to be taken over by anybody; the lane behind it is found now."""
    turns = Turns(redis_client, LASTING)
    await accepted(turns, A, FIRST, 1, claim=False)
    await accepted(turns, B, SECOND, 1, claim=False)
    assert await turns.lapsed() == (A,)
    deleted = await ConversationLookups(turns.mailboxes).delete(HERE, FIRST.message)
    assert (deleted.running, deleted.waiting) == (False, 1)
    assert B in await turns.lapsed()
    assert await turns.claim(A) is None
    assert await turns.lapsed() == (B,)
    taken = await turns.claim(B)
    assert taken
    assert taken.question == SECOND


async def test_deleted_running_question_ends_only_its_lane(redis_client: Redis) -> None:
    """The other lane's answer goes on and is stored."""
    turns = Turns(redis_client, LASTING)
    records = ConversationLookups(turns.mailboxes)
    first, second = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    assert (await records.delete(HERE, FIRST.message)).running
    assert (await turns.renew(first)).retract
    assert not (await turns.renew(second)).stop
    await turns.commit(first, None)
    await turns.commit(second, said(second), (reply(SECOND),))
    assert [each.turn for each in await records.history(HERE)] == [SECOND.id]


async def test_stop_ends_one_lane(redis_client: Redis) -> None:
    """Only the running turn that was named; a question that waits for room does not run."""
    turns = Turns(redis_client, LASTING)
    first, second = await begun(turns, A, FIRST), await begun(turns, B, SECOND)
    await accepted(turns, C, THIRD)
    assert await turns.stop(HERE, FIRST.id)
    assert not await turns.stop(HERE, THIRD.id)
    assert (await turns.renew(first)).stop
    assert not (await turns.renew(second)).stop


async def test_edited_question_stays_in_its_lane(redis_client: Redis) -> None:
    """A question that waits for room has its new words; one that runs keeps its own."""
    turns = Turns(redis_client, LASTING)
    records = ConversationLookups(turns.mailboxes)
    first = await begun(turns, A, FIRST, 1)
    await accepted(turns, B, SECOND, 1)
    assert await records.edit(HERE, reworded(FIRST)) is State.RUNNING
    assert await records.edit(HERE, reworded(SECOND)) is State.WAITING
    following = await turns.commit(first, said(first))
    assert following
    assert (following.lane, following.question) == (B, reworded(SECOND))


async def test_reset_forgets_the_answers_of_all_lanes(redis_client: Redis) -> None:
    """None of those that are being written is stored; the turns go on to their ends."""
    turns = Turns(redis_client, LASTING)
    records = ConversationLookups(turns.mailboxes)
    running = [await begun(turns, A, FIRST), await begun(turns, B, SECOND)]
    await records.reset(HERE)
    for turn in running:
        await turns.commit(turn, said(turn))
    assert await records.history(HERE) == ()
    assert await turns.waiting(HERE) == 0


async def test_lanes_have_names_of_their_own(redis_client: Redis) -> None:
    """Lanes, private conversations and threads can't be mistaken for each other, in Redis either."""
    turns = Turns(redis_client, LASTING)
    private = Conversation(HERE.scope, "U1")
    lanes = [Lane(HERE), A, Lane(private), Lane(private, "a"), Lane(Conversation(f"{HERE.scope}/a"))]
    assert len({str(lane) for lane in lanes}) == len(lanes)
    for number, lane in enumerate(lanes):
        assert Lane.named(str(lane)) == lane
        await accepted(turns, lane, question("C1", number), claim=False)
    assert set(await turns.lapsed()) == set(lanes)


async def test_lost_lane_is_restored_beside_another(redis_client: Redis) -> None:
    """The server lost everything; then a newer question was claimed in another lane. The older turn goes on: it is
    still the only one of its lane."""
    turns = Turns(redis_client, LASTING)
    lost = await begun(turns, A, FIRST)
    await redis_client.flushall()
    other = await begun(turns, B, SECOND)
    assert (await turns.renew(lost)).lost
    await turns.restore(lost)
    await turns.renew(lost, Progress(("m1",)))
    assert [each for each, _ in await turns.line(A)] == [FIRST]
    assert await turns.commit(other, said(other)) is None
    assert await turns.commit(lost, said(lost)) is None
    records = ConversationLookups(turns.mailboxes)
    assert [each.turn for each in await records.history(HERE)] == [FIRST.id, SECOND.id]


async def test_lost_turn_does_not_go_on_beside_a_newer_one_of_its_lane(redis_client: Redis) -> None:
    """The server lost everything; then a newer question of the same lane was claimed, which is its only turn now."""
    turns = Turns(redis_client, LASTING)
    lost = await begun(turns, A, FIRST)
    await redis_client.flushall()
    newer = await begun(turns, A, SECOND)
    with pytest.raises(Stale):
        await turns.restore(lost)
    assert [each for each, _ in await turns.line(A)] == [SECOND]
    assert not await turns.taken(newer)


async def test_token_is_newer_than_that_of_a_restored_turn(redis_client: Redis) -> None:
    """The newest token of a conversation never gets smaller: a restored turn has an older one."""
    turns = Turns(redis_client, LASTING)
    lost = await begun(turns, A, FIRST)
    await redis_client.flushall()
    other = await begun(turns, B, SECOND)
    await turns.restore(lost)
    assert await redis_client.hget(turns.mailboxes.key("c", HERE), "fence") == str(other.fence).encode()


async def test_paused_holder_does_not_restore_what_ended_long_ago(redis_client: Redis) -> None:
    """Its successor answered, and how that turn ended is forgotten by now: a process that slept for so long must not
    take it for lost, and answer once more."""
    turns = Turns(redis_client, Retention(dedupe=0.02))
    paused = await begun(turns, A, FIRST)
    await lapse(redis_client, A)
    taken = await turns.claim(A)
    assert taken
    await turns.commit(taken, said(taken))
    ending = turns.mailboxes.question_key(HERE, FIRST.id)

    async def forgotten() -> bool:
        return not await redis_client.exists(ending)

    await eventually(forgotten)
    with pytest.raises(Stale):
        await turns.renew(paused)
    with pytest.raises(Stale):
        await turns.restore(paused)
    assert await turns.waiting(HERE) == 0


async def test_turn_that_a_failover_lost_goes_on_beside_newer_ones(redis_client: Redis) -> None:
    """The server lost its last writes, a claim among them, and another lane was claimed before the holder noticed."""
    turns = Turns(redis_client, LASTING)
    await begun(turns, A, FIRST, 3)
    kept = {key: await redis_client.dump(key) for key in await redis_client.keys("*")}
    lost = await begun(turns, B, SECOND, 3)
    await redis_client.flushall()
    for key, value in kept.items():
        await redis_client.restore(key, 60_000, value)  # type: ignore[arg-type]
    await begun(turns, C, THIRD, 3)
    assert (await turns.renew(lost)).lost
    await turns.restore(lost)
    assert [each for each, _ in await turns.line(B)] == [SECOND]


async def test_sixteen_lanes_of_which_eight_run(redis_client: Redis) -> None:
    """However processes accept, commit and take over at the same time, never more than eight lanes are held, and every
    question is answered once."""
    turns, most = Turns(redis_client, LASTING), 8
    records = ConversationLookups(turns.mailboxes)
    lanes = [Lane(HERE, str(number)) for number in range(16)]
    questions = [question("C1", number) for number in range(48)]
    answered: list[Question] = []

    async def answer(turn: Turn | None) -> None:
        while turn:
            assert len(await records.running(HERE)) <= most
            answered.append(turn.question)
            turn = await turns.commit(turn, said(turn))

    async def ask(number: int, asked: Question) -> None:
        acceptance = await accepted(turns, lanes[number % len(lanes)], asked, most, claim=number % 5 > 0)
        if isinstance(acceptance, Claimed):
            await answer(acceptance.turn)

    await asyncio.gather(*(ask(number, asked) for number, asked in enumerate(questions)))
    while found := await turns.lapsed():
        await asyncio.gather(*[answer(await turns.claim(lane)) for lane in found])
    assert sorted(answered, key=questions.index) == questions
    assert await turns.waiting(HERE) == 0
