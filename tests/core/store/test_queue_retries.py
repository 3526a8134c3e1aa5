"""Calls to the queue that arrive late, twice or out of order. Each of them once had a wrong effect."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Conversation, Lane
from core.domain.errors import Stale
from core.domain.progress import Progress
from core.store.records import ConversationLookups
from core.store.turns import Claimed, Queued, Turn, Turns
from tests.core.store.queue_model import question, said

HERE = Conversation(question("C1", 0).place.name)
LINE, BESIDE = Lane(HERE), Lane(HERE, "beside")


async def begun(turns: Turns, count: int) -> Turn:
    """Accept this many questions; returns the turn of the first."""
    first = await turns.accept(LINE, question("C1", 0), "request 0")
    for number in range(1, count):
        await turns.accept(LINE, question("C1", number), f"request {number}")
    assert isinstance(first, Claimed)
    return first.turn


async def test_retried_accept_gets_no_turn_of_another_process(redis_client: Redis) -> None:
    """The process that claims a conversation is its only holder, even if the first claim is repeated."""
    turns = Turns(redis_client)
    await turns.release(await begun(turns, 1))
    assert await turns.claim(LINE)
    assert await turns.accept(LINE, question("C1", 0), "request 0") == Queued(0)


async def test_retried_accept_returns_the_place_in_the_lane(redis_client: Redis) -> None:
    """Later questions are not ahead; no question is ahead of one that was answered."""
    turns = Turns(redis_client)
    turn = await begun(turns, 3)
    assert await turns.accept(LINE, question("C1", 1), "request 1") == Queued(1)
    for _ in range(3):
        following = await turns.commit(turn, None)
        turn = following or turn
    assert await turns.accept(LINE, question("C1", 1), "request 1") == Queued(0)


async def test_turn_cancelled_at_its_commit_leaves_no_progress(redis_client: Redis) -> None:
    """A release follows a commit whose answer was lost: the next reply must not continue in the old messages."""
    turns = Turns(redis_client)
    turn = await begun(turns, 2)
    await turns.commit(turn, said(turn))
    await turns.release(turn, Progress(("r0",), 70))
    following = await turns.claim(LINE)
    assert following
    assert (following.question, following.attempt) == (question("C1", 1), 1)
    assert following.progress == Progress()


async def test_late_commit_does_not_end_a_later_turn(redis_client: Redis) -> None:
    """What its first attempt took has ended: a repetition finds nothing of its own, and touches nothing else."""
    turns = Turns(redis_client)
    first = await begun(turns, 3)
    second = await turns.commit(first, said(first))
    assert second
    third = await turns.commit(second, said(second))
    assert third
    assert await turns.commit(first, said(first)) is None
    assert not await turns.taken(third)
    assert [each for each, _ in await turns.line(LINE)] == [question("C1", 2)]
    assert len(await ConversationLookups(turns.mailboxes).history(HERE)) == 2


async def test_late_renewal_does_not_touch_a_later_turn(redis_client: Redis) -> None:
    """The progress of one reply is not the progress of a later one."""
    turns = Turns(redis_client)
    first = await begun(turns, 3)
    second = await turns.commit(first, said(first))
    assert second
    third = await turns.commit(second, said(second))
    assert third
    await turns.renew(first, Progress(("r0",), 70))
    await turns.release(third)
    again = await turns.claim(LINE)
    assert again
    assert again.progress == Progress()


async def test_question_accepted_again_is_answered_once(redis_client: Redis) -> None:
    """After its first delivery is forgotten a question may come again, for example by an edit: its turn must end."""
    turns = Turns(redis_client)
    turn = await begun(turns, 1)
    await turns.commit(turn, said(turn))
    await redis_client.delete(f"nb:{turns.mailboxes.tag(HERE.name)}:d:{turn.question.id}")
    anew = await turns.accept(LINE, turn.question, "an edit, an hour later")
    assert isinstance(anew, Claimed)
    await turns.renew(anew.turn, Progress(("r0",), 5))
    assert await turns.commit(anew.turn, said(anew.turn)) is None
    assert await turns.line(LINE) == ()


async def test_deleted_merged_question_is_not_stored(redis_client: Redis) -> None:
    """A question deleted while it is being answered together with another is not in the history."""
    turns = Turns(redis_client)
    turn = replace(await begun(turns, 2), also=(question("C1", 1),))
    records = ConversationLookups(turns.mailboxes)
    await records.delete(HERE, question("C1", 1).message)
    await turns.commit(turn, said(turn), ("r0",))
    assert await records.history(HERE) == ()
    assert await records.ended(HERE, "r0") is None


async def test_repeated_commit_gets_the_turn_of_another_lane_again(redis_client: Redis) -> None:
    """It took the lane that waited longest. A repetition after a lost answer returns that turn, as the same attempt."""
    turns = Turns(redis_client)
    first = await begun(turns, 1)
    await turns.accept(BESIDE, question("C1", 1), "request 1")
    await turns.accept(LINE, question("C1", 2), "request 2")
    following = await turns.commit(first, said(first))
    assert following
    assert (following.lane, following.question, following.attempt) == (BESIDE, question("C1", 1), 1)
    assert await turns.commit(first, said(first)) == following
    assert await turns.waiting(HERE) == 2


async def test_repeated_commit_gets_no_turn_that_another_process_has(redis_client: Redis) -> None:
    """The answer was lost, the turn it took was handed back, and another process took it over."""
    turns = Turns(redis_client)
    first = await begun(turns, 1)
    await turns.accept(BESIDE, question("C1", 1), "request 1")
    await turns.commit(first, said(first))
    await turns.release(first)
    taken = await turns.claim(BESIDE)
    assert taken
    assert await turns.commit(first, said(first)) is None
    assert not await turns.taken(taken)


async def test_release_after_a_commit_hands_back_what_it_took(redis_client: Redis) -> None:
    """A turn cancelled while its commit was on its way: the lane that it took is free at once, for anybody."""
    turns = Turns(redis_client)
    first = await begun(turns, 1)
    await turns.accept(BESIDE, question("C1", 1), "request 1")
    await turns.commit(first, said(first))
    for _ in range(2):
        assert not await turns.release(first, Progress(("r0",), 70))
    assert await turns.lapsed() == (BESIDE,)
    taken = await turns.claim(BESIDE)
    assert taken
    assert (taken.attempt, taken.progress) == (1, Progress())


async def test_turn_that_another_process_ended_is_stale(redis_client: Redis) -> None:
    """Whoever lost it learns so from every call, although nobody holds its lane any more."""
    turns = Turns(redis_client)
    lost = await begun(turns, 1)
    await turns.release(lost)
    taken = await turns.claim(LINE)
    assert taken
    await turns.commit(taken, said(taken))
    assert not await turns.release(lost)
    for late in (turns.renew(lost), turns.commit(lost, said(lost))):
        with pytest.raises(Stale):
            await late


async def test_retried_accept_gets_the_turn_that_it_claimed_in_another_lane(redis_client: Redis) -> None:
    """A lane waited longer: its turn is the answer, also after a lost one, and the question itself waits."""
    turns = Turns(redis_client)
    await turns.release(await begun(turns, 1))
    claimed = await turns.accept(BESIDE, question("C1", 1), "request 1")
    assert isinstance(claimed, Claimed)
    assert claimed.turn.question == question("C1", 0)
    assert await turns.accept(BESIDE, question("C1", 1), "request 1") == claimed
    assert await turns.ahead(HERE, question("C1", 1)) == 1
