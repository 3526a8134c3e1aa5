"""Calls to the queue that arrive late, twice or out of turn, each of which once had an effect that it must not have."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.domain.errors import Stale
from core.domain.progress import Progress
from core.store.records import ConversationLookups
from core.store.turns import Claimed, Queued, Turn, Turns
from tests.core.store.queue_model import question, said

HERE = question("C1", 0).place.name


async def begun(turns: Turns, count: int) -> Turn:
    """So many questions are accepted; the turn of the first."""
    first = await turns.accept(HERE, question("C1", 0), "request 0")
    for number in range(1, count):
        await turns.accept(HERE, question("C1", number), f"request {number}")
    assert isinstance(first, Claimed)
    return first.turn


async def test_retried_accept_gets_no_turn_that_another_took(redis_client: Redis) -> None:
    """Whoever claims a conversation is its only holder, though the first claim is asked for again."""
    turns = Turns(redis_client)
    await turns.release(await begun(turns, 1))
    assert await turns.claim(HERE)
    assert await turns.accept(HERE, question("C1", 0), "request 0") == Queued(0)


async def test_retried_accept_tells_the_place_in_the_line(redis_client: Redis) -> None:
    """Others that came since are not ahead; nobody is ahead of one that was answered."""
    turns = Turns(redis_client)
    turn = await begun(turns, 3)
    assert await turns.accept(HERE, question("C1", 1), "request 1") == Queued(1)
    for _ in range(3):
        following = await turns.commit(turn, None)
        turn = following or turn
    assert await turns.accept(HERE, question("C1", 1), "request 1") == Queued(0)


async def test_turn_cancelled_at_its_commit_leaves_no_progress_to_the_next(redis_client: Redis) -> None:
    """A commit whose answer was lost is followed by a release: the next reply must not go on in the old messages."""
    turns = Turns(redis_client)
    turn = await begun(turns, 2)
    await turns.commit(turn, said(turn))
    await turns.release(turn, Progress(("r0",), 70))
    following = await turns.claim(HERE)
    assert following
    assert (following.mention, following.attempt) == (question("C1", 1), 1)
    assert following.progress == Progress()


async def test_late_commit_does_not_end_a_later_turn(redis_client: Redis) -> None:
    """One process runs all turns of a conversation under one fence: the fence alone does not tell them apart."""
    turns = Turns(redis_client)
    first = await begun(turns, 3)
    second = await turns.commit(first, said(first))
    assert second
    await turns.commit(second, said(second))
    with pytest.raises(Stale):
        await turns.commit(first, said(first))
    assert [mention for mention, _ in await turns.line(HERE)] == [question("C1", 2)]


async def test_late_renewal_does_not_touch_a_later_turn(redis_client: Redis) -> None:
    """What one reply showed is not the progress of the one after the next."""
    turns = Turns(redis_client)
    first = await begun(turns, 3)
    second = await turns.commit(first, said(first))
    assert second
    third = await turns.commit(second, said(second))
    assert third
    await turns.renew(first, Progress(("r0",), 70))
    await turns.release(third)
    again = await turns.claim(HERE)
    assert again
    assert again.progress == Progress()


async def test_question_accepted_anew_is_answered_once(redis_client: Redis) -> None:
    """When its first delivery is forgotten a question may come again, as by an edit: its turn must end."""
    turns = Turns(redis_client)
    turn = await begun(turns, 1)
    await turns.commit(turn, said(turn))
    await redis_client.delete(f"nb:{turns.mailboxes.tag(HERE)}:d:{turn.mention.id}")
    anew = await turns.accept(HERE, turn.mention, "an edit, an hour later")
    assert isinstance(anew, Claimed)
    await turns.renew(anew.turn, Progress(("r0",), 5))
    assert await turns.commit(anew.turn, said(anew.turn)) is None
    assert await turns.line(HERE) == ()


async def test_merged_question_that_was_deleted_is_not_remembered(redis_client: Redis) -> None:
    """Deleted while it was being answered together with another, it is in no history."""
    turns = Turns(redis_client)
    turn = replace(await begun(turns, 2), also=(question("C1", 1),))
    records = ConversationLookups(turns.mailboxes)
    await records.delete(HERE, question("C1", 1).message)
    await turns.commit(turn, said(turn), ("r0",))
    assert await records.history(HERE) == ()
    assert await records.ended(HERE, "r0") is None
