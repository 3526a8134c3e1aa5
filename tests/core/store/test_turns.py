"""Turns with a real Redis: one test for each guarantee of each step."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from core.domain.conversation import Author, Conversation, Exchange, Lane, Place, digest
from core.domain.errors import QuestionDeleted, Stale
from core.domain.progress import Progress
from core.domain.question import Question, Regenerate
from core.domain.turn_id import TurnId
from core.store.mailbox import Retention
from core.store.records import ConversationLookups
from core.store.turns import Acceptance, Claimed, Duplicate, Full, Queued, Silent, Turn, Turns
from tests.bounds import HANG_SECONDS

PLACE = Place("slack", "T1", "C1")
ANN = Author("U1", "Ann")
HERE = Conversation(PLACE.name)


def question(number: int, text: str = "why?") -> Question:
    return Question(id=TurnId(f"slack/T1/C1/{number}"), place=PLACE, author=ANN, text=text, message=str(number))


def said(turn: Turn, answer: str = "because") -> Exchange:
    asked = turn.question
    return Exchange(asked.id, ANN, asked.text, answer, (asked.message, "r" + asked.message), 1.0)


async def claimed(turns: Turns, number: int) -> Turn:
    acceptance = await turns.accept(Lane(HERE), question(number), f"request {number}")
    assert isinstance(acceptance, Claimed)
    return acceptance.turn


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_first_question_is_claimed_at_once(redis_client: Redis) -> None:
    """In a free conversation, accepting is claiming: one round trip from event to turn."""
    turn = await claimed(Turns(redis_client), 1)
    assert turn.question == question(1)
    assert (turn.attempt, turn.history, turn.progress) == (1, (), Progress())


async def test_redelivery_is_a_duplicate(redis_client: Redis) -> None:
    """The same question under another request is a second delivery; one answer is enough."""
    turns = Turns(redis_client)
    await claimed(turns, 1)
    assert await turns.accept(Lane(HERE), question(1), "another delivery") == Duplicate()


async def test_redelivery_after_the_answer_is_a_duplicate(redis_client: Redis) -> None:
    """An event is remembered for longer than its turn."""
    turns = Turns(redis_client)
    await turns.commit(turn := await claimed(turns, 1), said(turn))
    assert await turns.accept(Lane(HERE), question(1), "another delivery") == Duplicate()


async def test_retry_of_a_lost_answer_gets_it_again(redis_client: Redis) -> None:
    """If the answer to `accept` is lost on the wire, repeating the request returns the same claim."""
    turns = Turns(redis_client)
    first = await claimed(turns, 1)
    again = await turns.accept(Lane(HERE), question(1), "request 1")
    assert again == Claimed(first)


async def test_second_question_waits_for_the_first(redis_client: Redis) -> None:
    """Turns of one conversation run one after another, in order of arrival."""
    turns = Turns(redis_client)
    first = await claimed(turns, 1)
    assert await turns.accept(Lane(HERE), question(2), "request 2") == Queued(ahead=1)
    assert await turns.accept(Lane(HERE), question(3), "request 3") == Queued(ahead=2)
    second = await turns.commit(first, said(first))
    assert second
    assert second.question == question(2)
    third = await turns.commit(second, said(second))
    assert third
    assert third.question == question(3)
    assert await turns.commit(third, said(third)) is None


async def test_other_conversations_run_at_the_same_time(redis_client: Redis) -> None:
    """A busy conversation does not delay another one."""
    turns = Turns(redis_client)
    await claimed(turns, 1)
    elsewhere = replace(question(2), place=Place("slack", "T1", "C2"))
    assert isinstance(await turns.accept(Lane(Conversation(elsewhere.place.name)), elsewhere, "request 2"), Claimed)


async def test_full_inbox_refuses(redis_client: Redis) -> None:
    """Past the limit nothing is stored, so that the same question can be accepted later."""
    turns = Turns(redis_client, Retention(inbox=1))
    first = await claimed(turns, 1)
    assert await turns.accept(Lane(HERE), question(2), "request 2") == Full(waiting=1)
    await turns.commit(first, None)
    assert isinstance(await turns.accept(Lane(HERE), question(2), "later"), Claimed)


async def test_history_contains_the_committed_exchanges(redis_client: Redis) -> None:
    """The next turn sees the earlier exchanges, oldest first; a turn without an answer adds none."""
    turns = Turns(redis_client)
    for number in (1, 2):
        await turns.commit(turn := await claimed(turns, number), said(turn, f"answer {number}"))
    await turns.commit(await claimed(turns, 3), None)
    turn = await claimed(turns, 4)
    assert [exchange.answer for exchange in turn.history] == ["answer 1", "answer 2"]
    assert turn.history[0].messages == ("1", "r1")


async def test_history_is_bounded_by_count(redis_client: Redis) -> None:
    """Only the newest exchanges are kept."""
    turns = Turns(redis_client, Retention(exchanges=3))
    for number in range(6):
        await turns.commit(turn := await claimed(turns, number), said(turn, f"answer {number}"))
    turn = await claimed(turns, 9)
    assert [exchange.answer for exchange in turn.history] == ["answer 3", "answer 4", "answer 5"]


async def test_window_is_bounded_by_bytes(redis_client: Redis) -> None:
    """A turn never loads more history than a model can read, however much is stored."""
    turns = Turns(redis_client, Retention(window_bytes=25_000))
    for number in range(40):
        await turns.commit(turn := await claimed(turns, number), said(turn, f"{number} " + "x" * 1000))
    turn = await claimed(turns, 99)
    assert 15 < len(turn.history) < 25
    assert turn.history[-1].answer.startswith("39 ")


async def test_window_longer_than_a_batch_is_whole(redis_client: Redis) -> None:
    """The history is read in batches from its end; no exchange is skipped or read twice between batches."""
    turns = Turns(redis_client, Retention(exchanges=50))
    for number in range(70):
        await turns.commit(turn := await claimed(turns, number), said(turn, str(number)))
    turn = await claimed(turns, 99)
    assert [int(exchange.answer) for exchange in turn.history] == list(range(20, 70))


async def test_stale_holder_can_not_commit(redis_client: Redis) -> None:
    """A process that lost its lease writes nothing; only its successor's commit counts."""
    turns = Turns(redis_client, Retention(lease=0.02))
    lost = await claimed(turns, 1)
    await eventually(lambda: _lapsed(turns))
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert taken.fence > lost.fence
    with pytest.raises(Stale):
        await turns.commit(lost, said(lost, "of the dead"))
    with pytest.raises(Stale):
        await turns.renew(lost)
    await turns.commit(taken, said(taken, "of the living"))
    turn = await claimed(turns, 2)
    assert [exchange.answer for exchange in turn.history] == ["of the living"]


async def test_takeover_knows_the_messages_of_the_reply(redis_client: Redis) -> None:
    """A process that takes over continues in the messages already posted, and counts the attempt."""
    turns = Turns(redis_client, Retention(lease=0.02))
    lost = await claimed(turns, 1)
    await turns.renew(lost, Progress(("m1", "m2")))
    await eventually(lambda: _lapsed(turns))
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert (taken.progress.messages, taken.attempt) == (("m1", "m2"), 2)


async def test_renewed_lease_is_not_taken(redis_client: Redis) -> None:
    """A conversation with a live lease can't be claimed."""
    turns = Turns(redis_client, Retention(lease=3600))
    await turns.renew(await claimed(turns, 1))
    assert await turns.claim(Lane(HERE)) is None
    assert await turns.lapsed() == ()


async def test_released_turn_is_free_at_once(redis_client: Redis) -> None:
    """A turn handed back at shutdown is free before its lease expires, and is not a failed attempt."""
    turns = Turns(redis_client)
    await turns.release(await claimed(turns, 1))
    assert await turns.lapsed() == (Lane(HERE),)
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert taken.attempt == 1


async def test_commit_may_be_repeated(redis_client: Redis) -> None:
    """If the answer to `commit` is lost on the wire, repeating it stores nothing twice and skips no question."""
    turns = Turns(redis_client)
    first = await claimed(turns, 1)
    await turns.accept(Lane(HERE), question(2), "request 2")
    second = await turns.commit(first, said(first))
    assert await turns.commit(first, said(first)) == second
    assert second
    await turns.commit(second, None)
    assert await turns.commit(second, None) is None
    turn = await claimed(turns, 3)
    assert len(turn.history) == 1


async def test_reset_forgets_the_past_and_the_running_turn(redis_client: Redis) -> None:
    """After a reset neither the earlier exchanges nor an answer begun before it are remembered."""
    turns = Turns(redis_client)
    await turns.commit(turn := await claimed(turns, 1), said(turn))
    running = await claimed(turns, 2)
    assert await ConversationLookups(turns.mailboxes).reset(HERE) == 1
    await turns.commit(running, said(running))
    turn = await claimed(turns, 3)
    assert turn.history == ()
    await turns.commit(turn, said(turn, "afresh"))
    assert [exchange.answer for exchange in (await claimed(turns, 4)).history] == ["afresh"]


async def test_event_happens_once(redis_client: Redis) -> None:
    """An event that is not a question is also recognised by its id."""
    turns = Turns(redis_client)
    assert await turns.once(TurnId("slack/T1/C1/7"))
    assert not await turns.once(TurnId("slack/T1/C1/7"))


async def test_partitions_keep_each_step_in_one_slot(redis_client: Redis) -> None:
    """With several partitions each conversation's keys share one hash tag, and expired leases of all are found."""
    turns = Turns(redis_client, partitions=8)
    names = [f"slack/T1/C{number}" for number in range(20)]
    for number, name in enumerate(names):
        acceptance = await turns.accept(Lane(Conversation(name)), question(number), f"request {number}")
        assert isinstance(acceptance, Claimed)
        await turns.release(acceptance.turn)
    assert {str(each) for each in await turns.lapsed()} == set(names)
    tags: dict[str, set[bytes]] = {}
    async for key in redis_client.scan_iter("nb:*:[cqth]:*"):
        _, tag, _, name = key.split(b":", 3)
        tags.setdefault(name.decode(), set()).add(tag)
    assert all(len(each) == 1 for each in tags.values())
    assert len({tag for each in tags.values() for tag in each}) > 1


async def test_no_key_is_left_without_a_ttl(redis_client: Redis) -> None:
    """Everything that turns write to Redis expires."""
    turns = Turns(redis_client)
    await turns.commit(turn := await claimed(turns, 1), said(turn))
    await turns.accept(Lane(HERE), question(2), "request 2")
    await turns.accept(Lane(HERE), question(3), "request 3")
    await ConversationLookups(turns.mailboxes).reset(Conversation("slack/T1/C9"))
    await turns.once(TurnId("event"))
    async for key in redis_client.scan_iter():
        assert await redis_client.pttl(key) > 0, key


async def _lapsed(turns: Turns) -> bool:
    return bool(await turns.lapsed())


async def test_released_turn_keeps_its_progress(redis_client: Redis) -> None:
    """The process that continues knows the messages and their progress."""
    turns = Turns(redis_client)
    await turns.release(await claimed(turns, 1), Progress(("m1",), 70))
    taken = await turns.claim(Lane(HERE))
    assert taken
    assert taken.progress == Progress(("m1",), 70)


async def test_a_question_deleted_before_the_commit_leaves_nothing(redis_client: Redis) -> None:
    """The holder has not heard of it yet: nothing is stored, and it learns that the reply must go."""
    turns = Turns(redis_client)
    records = ConversationLookups(turns.mailboxes)
    turn = await claimed(turns, 1)
    assert (await records.delete(HERE, turn.question.message)).running
    exchange = Exchange(turn.question.id, ANN, "why?", "because", ("1", "m1"), 1.0)
    for _ in range(2):
        with pytest.raises(QuestionDeleted):
            await turns.commit(turn, exchange, ("m1",))
    assert await turns.commit(turn, None) is None
    assert await records.history(HERE) == ()
    assert await records.ended(HERE, "m1") is None


async def test_a_question_inherits_nothing_of_a_lost_one(redis_client: Redis) -> None:
    """The server lost the inbox alone, as by eviction: the next answer must not overwrite the messages of the reply."""
    turns = Turns(redis_client, Retention(lease=0.01))
    lost = await claimed(turns, 1)
    await turns.renew(lost, Progress(("m1",)))
    await redis_client.delete(turns.mailboxes.key("q", HERE))
    await turns.accept(Lane(HERE), question(2), "request 2", claim=False)
    async with asyncio.timeout(HANG_SECONDS):
        while not (turn := await turns.claim(Lane(HERE))):
            await asyncio.sleep(0.01)
    assert (turn.question, turn.progress, turn.attempt) == (question(2), Progress(), 1)


async def test_bots_may_ask_a_few_times_in_a_row(redis_client: Redis) -> None:
    """In one place: a further question is not stored, however often it is delivered, until a person asks there. What a
    person asks in private or by a button changes nothing."""
    turns = Turns(redis_client)

    async def asked(number: int, *, program: bool = True, **changes: Any) -> Acceptance:
        asks = replace(question(number), author=Author("B1" if program else "U1", "x", program=program), **changes)
        lane = Lane(Conversation(asks.place.name), f"lane {number}")
        return await turns.accept(lane, asks, f"request {number}", parallel=99, claim=False)

    for number in range(3):
        assert isinstance(await asked(number), Queued)
        assert isinstance(await asked(number), Queued)  # a retry
    assert await asked(3) == Silent(first=True)
    assert await asked(3) == Silent(first=True)
    assert await asked(4) == Silent(first=False)
    assert isinstance(await asked(5, place=replace(question(0).place, thread="9.9")), Queued)
    assert isinstance(await asked(6, program=False, private=True), Queued)
    assert isinstance(await asked(7, kind=Regenerate(TurnId("0"), ())), Queued)
    assert await asked(8) == Silent(first=False)
    assert isinstance(await asked(9, program=False), Queued)
    assert await asked(3) == Silent(first=True)
    assert await turns.known(HERE, question(3).id)
    assert isinstance(await asked(10), Queued)
    keys = [each async for each in redis_client.scan_iter("nb:{0}:k:*")]
    assert len(keys) == 2
    assert all([await redis_client.pttl(each) > 0 for each in keys])


async def test_what_is_forgotten_is_known_by_digests_and_bounded(redis_client: Redis) -> None:
    """As many exchanges as a history has, however often people undo, reset or delete; no id of a message is stored. A
    step that is repeated adds nothing."""
    turns = Turns(redis_client, Retention(exchanges=3))
    records = ConversationLookups(turns.mailboxes)
    for number in range(1, 7):
        turn = await claimed(turns, number)
        await turns.commit(turn, said(turn), ())
        if number % 3 == 0:
            await records.reset(HERE)
        elif number % 3 == 1:
            assert await records.undo(HERE, said(turn))
            await records.delete(HERE, f"r{number}")
    turn = await claimed(turns, 7)
    assert turn.forgotten == {digest(each) for number in (4, 5, 6) for each in (str(number), f"r{number}")}
    stored: Any = await redis_client.hget(turns.mailboxes.key("c", HERE), "forgotten")
    assert b"r4" not in stored


async def test_an_answer_that_ends_after_a_reset_is_known_as_forgotten(redis_client: Redis) -> None:
    """It is on screen, but in no history."""
    turns = Turns(redis_client)
    turn = await claimed(turns, 1)
    await ConversationLookups(turns.mailboxes).reset(HERE)
    await turns.commit(turn, said(turn), ())
    assert (await claimed(turns, 2)).forgotten == {digest("1"), digest("r1")}


async def test_it_is_known_no_longer_than_the_history_is_kept(redis_client: Redis) -> None:
    """What a shorter retention drops from the history leaves this too."""
    turns = Turns(redis_client)
    records = ConversationLookups(turns.mailboxes)
    for number, written in ((1, 1_000.0), (2, time.time())):
        turn = await claimed(turns, number)
        await turns.commit(turn, replace(said(turn), written=written), ())
        await records.undo(HERE, said(turn))
    await records.retain(HERE.scope, 86_400)
    assert (await claimed(turns, 3)).forgotten == {digest("2"), digest("r2")}
