"""Calls to the queue that arrive late, twice or out of order. Each of them once had a wrong effect."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Conversation
from core.domain.errors import Stale
from core.domain.progress import Progress
from core.store.records import ConversationLookups
from core.store.turns import Claimed, Queued, Turn, Turns
from tests.core.store.queue_model import question, said

HERE = Conversation(question("C1", 0).place.name)


async def begun(turns: Turns, count: int) -> Turn:
    """Accept this many questions; returns the turn of the first."""
    first = await turns.accept(HERE, question("C1", 0), "request 0")
    for number in range(1, count):
        await turns.accept(HERE, question("C1", number), f"request {number}")
    assert isinstance(first, Claimed)
    return first.turn


async def test_retried_accept_gets_no_turn_of_another_process(redis_client: Redis) -> None:
    """The process that claims a conversation is its only holder, even if the first claim is repeated."""
    turns = Turns(redis_client)
    await turns.release(await begun(turns, 1))
    assert await turns.claim(HERE)
    assert await turns.accept(HERE, question("C1", 0), "request 0") == Queued(0)


async def test_retried_accept_returns_the_place_in_the_queue(redis_client: Redis) -> None:
    """Later questions are not ahead; no question is ahead of one that was answered."""
    turns = Turns(redis_client)
    turn = await begun(turns, 3)
    assert await turns.accept(HERE, question("C1", 1), "request 1") == Queued(1)
    for _ in range(3):
        following = await turns.commit(turn, None)
        turn = following or turn
    assert await turns.accept(HERE, question("C1", 1), "request 1") == Queued(0)


async def test_turn_cancelled_at_its_commit_leaves_no_progress(redis_client: Redis) -> None:
    """A release follows a commit whose answer was lost: the next reply must not continue in the old messages."""
    turns = Turns(redis_client)
    turn = await begun(turns, 2)
    await turns.commit(turn, said(turn))
    await turns.release(turn, Progress(("r0",), 70))
    following = await turns.claim(HERE)
    assert following
    assert (following.question, following.attempt) == (question("C1", 1), 1)
    assert following.progress == Progress()


async def test_late_commit_does_not_end_a_later_turn(redis_client: Redis) -> None:
    """One process runs all turns of a conversation under one fence, so the fence alone does not distinguish them."""
    turns = Turns(redis_client)
    first = await begun(turns, 3)
    second = await turns.commit(first, said(first))
    assert second
    await turns.commit(second, said(second))
    with pytest.raises(Stale):
        await turns.commit(first, said(first))
    assert [each for each, _ in await turns.line(HERE)] == [question("C1", 2)]


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
    again = await turns.claim(HERE)
    assert again
    assert again.progress == Progress()


async def test_question_accepted_again_is_answered_once(redis_client: Redis) -> None:
    """After its first delivery is forgotten a question may come again, for example by an edit: its turn must end."""
    turns = Turns(redis_client)
    turn = await begun(turns, 1)
    await turns.commit(turn, said(turn))
    await redis_client.delete(f"nb:{turns.mailboxes.tag(HERE.name)}:d:{turn.question.id}")
    anew = await turns.accept(HERE, turn.question, "an edit, an hour later")
    assert isinstance(anew, Claimed)
    await turns.renew(anew.turn, Progress(("r0",), 5))
    assert await turns.commit(anew.turn, said(anew.turn)) is None
    assert await turns.line(HERE) == ()


async def test_deleted_merged_question_is_not_stored(redis_client: Redis) -> None:
    """A question deleted while it is being answered together with another is not in the history."""
    turns = Turns(redis_client)
    turn = replace(await begun(turns, 2), also=(question("C1", 1),))
    records = ConversationLookups(turns.mailboxes)
    await records.delete(HERE, question("C1", 1).message)
    await turns.commit(turn, said(turn), ("r0",))
    assert await records.history(HERE) == ()
    assert await records.ended(HERE, "r0") is None
