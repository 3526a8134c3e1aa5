"""Summaries in Redis: what is stored of them, who wins, and what takes them away."""

import time
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from core.domain.conversation import NO_SUMMARY, Author, Conversation, Exchange, Lane, Place, Summary
from core.domain.question import Question, Regenerate
from core.domain.turn_id import TurnId
from core.settings.encryption import Encryption
from core.store.entries import digests
from core.store.mailbox import Retention
from core.store.records import ConversationLookups
from core.store.turns import Claimed, Turn, Turns
from core.summaries.stored import News, StoredSummaries

ANN, BOB = Author("U1", "Ann"), Author("U2", "Bob")
PLACE = Place("slack", "T1", "C1")
HERE = Conversation(PLACE.name)
KEY = "nb:{0}:s:slack/T1/C1"


class Memory:
    """A conversation with exchanges, and the summary of its channel."""

    def __init__(self, redis: "Redis", encryption: Encryption | None = None, **limits: Any) -> None:
        self.turns = Turns(redis, Retention(**limits), encryption=encryption or Encryption())
        self.records = ConversationLookups(self.turns.mailboxes)
        self.stored = StoredSummaries(self.turns.mailboxes)

    async def claimed(self, number: int, author: Author = ANN, **values: Any) -> Turn:
        turn = TurnId(f"slack/T1/C1/{number}")
        question = replace(Question(turn, PLACE, author, f"q{number}", f"m{number}", at=float(number)), **values)
        found = await self.turns.accept(Lane(HERE), question, str(question.id))
        assert isinstance(found, Claimed)
        return found.turn

    async def exchange(self, number: int, author: Author = ANN) -> Exchange:
        """Answer a question, and return its exchange."""
        turn = await self.claimed(number, author)
        said = Exchange(turn.question.id, author, f"q{number}", "a", (f"m{number}", f"r{number}"), float(number))
        await self.turns.commit(turn, said, (f"r{number}",))
        return said

    async def summarise(self, *exchanges: Exchange, thread: str = "", text: str = "told") -> bool:
        """Store a summary that also tells of these."""
        material = await self.stored.material(HERE, thread)
        return await self.stored.write(
            HERE, thread, material.entry, told(material.old, *exchanges, text=text), exchanges
        )

    async def text(self, thread: str = "") -> str:
        return (await self.stored.of(HERE, thread)).text


def told(old: Summary, *exchanges: Exchange, text: str = "told", since: int = 0) -> Summary:
    return Summary(
        text,
        old.count + len(exchanges),
        old.covered.union(*map(digests, exchanges)),
        old.people | {each.author.id for each in exchanges},
        since or round(time.time()),
    )


@pytest.fixture
async def memory(redis_client: Redis) -> Memory:
    return Memory(redis_client)


async def test_a_summary_comes_back_as_it_was(memory: Memory) -> None:
    """With all that it tells of; other dialogues have none."""
    first, second = await memory.exchange(1), await memory.exchange(2, BOB)
    assert await memory.summarise(first, second)
    found = await memory.stored.of(HERE, "")
    assert found == told(NO_SUMMARY, first, second, since=found.since)
    assert found.covers(first)
    assert await memory.stored.of(HERE, "T7") == NO_SUMMARY


async def test_it_is_kept_as_long_as_the_history(memory: Memory, redis_client: Redis) -> None:
    """Its key expires with that of the history."""
    await memory.summarise(await memory.exchange(1))
    history, summaries = [await redis_client.pttl(f"nb:{{0}}:{kind}:slack/T1/C1") for kind in "hs"]
    assert 0 < summaries <= history + 1000


async def test_of_two_writers_the_first_wins(memory: Memory) -> None:
    """The second made its summary of one that is no longer there."""
    first, second = await memory.exchange(1), await memory.exchange(2)
    material = await memory.stored.material(HERE, "")
    assert await memory.stored.write(HERE, "", material.entry, told(material.old, first, text="one"), (first,))
    assert not await memory.stored.write(HERE, "", material.entry, told(material.old, second, text="two"), (second,))
    assert await memory.text() == "one"


async def test_a_repeated_call_changes_nothing(memory: Memory, redis_client: Redis) -> None:
    """After a lost answer the same entry is stored already: that is no defeat."""
    first = await memory.exchange(1)
    entry = memory.turns.mailboxes.entries.summary(HERE, "", told(NO_SUMMARY, first))
    for _ in range(2):
        assert await memory.turns.mailboxes.summarise(HERE, thread="", old=b"", entry=entry, told=[first.turn])


@pytest.mark.parametrize("way", ["deleted", "answer deleted", "forgotten", "reset", "regenerated"])
@pytest.mark.parametrize("when", ["before it is written", "afterwards"])
async def test_what_is_forgotten_leaves_the_summary(memory: Memory, way: str, when: str) -> None:
    """However it is forgotten, and whether the summary is stored or still being written."""
    first, second = await memory.exchange(1), await memory.exchange(2, BOB)
    material = await memory.stored.material(HERE, "")
    new = told(material.old, first, second)
    if when == "afterwards":
        assert await memory.stored.write(HERE, "", material.entry, new, (first, second))
    if way == "deleted":
        await memory.records.delete(HERE, "m1")
    elif way == "answer deleted":
        await memory.records.delete(HERE, "r1")
    elif way == "forgotten":
        await memory.records.forget(HERE, ANN.id)
    elif way == "reset":
        await memory.records.reset(HERE)
    else:
        turn = await memory.claimed(1, id=TurnId("again"), kind=Regenerate(first.turn, ("r1",)))
        await memory.turns.commit(turn, replace(first, turn=turn.question.id, answer="b"), ("r1",))
    if when != "afterwards":
        assert not await memory.stored.write(HERE, "", material.entry, new, (first, second))
    assert await memory.stored.of(HERE, "") == NO_SUMMARY


async def test_what_is_not_in_it_leaves_it_alone(memory: Memory) -> None:
    """Deletions of other messages, and what others forget."""
    first = await memory.exchange(1)
    await memory.exchange(2, BOB)
    await memory.summarise(first)
    await memory.records.delete(HERE, "m2")
    await memory.records.delete(HERE, "m77")
    await memory.records.forget(HERE, BOB.id)
    assert await memory.text() == "told"


@pytest.mark.parametrize("way", ["deleted", "forgotten"])
async def test_what_left_the_history_is_still_known_to_be_in_it(redis_client: Redis, way: str) -> None:
    """The history holds a number of exchanges; a summary tells of older ones, and goes with each of them too."""
    memory = Memory(redis_client, exchanges=2)
    first = await memory.exchange(1, BOB)
    await memory.summarise(first)
    for number in (2, 3):
        await memory.exchange(number)
    assert await memory.text() == "told"
    assert first not in await memory.records.history(HERE)
    if way == "deleted":
        await memory.records.delete(HERE, "m1")
    else:
        await memory.records.forget(HERE, BOB.id)
    assert await memory.text() == ""


async def test_other_dialogues_keep_theirs(memory: Memory) -> None:
    """What is forgotten takes only the summaries with it that tell of it."""
    first, second = await memory.exchange(1), await memory.exchange(2)
    await memory.summarise(first)
    await memory.summarise(second, thread="T7", text="of a thread")
    await memory.records.delete(HERE, "m1")
    assert (await memory.text(), await memory.text("T7")) == ("", "of a thread")


@pytest.mark.parametrize("step", ["read", "commit", "retain"])
async def test_it_goes_with_its_oldest_exchange(memory: Memory, redis_client: Redis, step: str) -> None:
    """Once that is older than things are kept, nobody reads the summary, and the next step takes it away."""
    first, second = await memory.exchange(1), await memory.exchange(2)
    new = told(NO_SUMMARY, first, since=round(time.time()) - 40 * 86_400)
    assert await memory.stored.write(HERE, "", b"", new, (first,))
    assert await memory.summarise(second, thread="T7", text="newer")
    if step == "read":
        assert await memory.text() == ""
    elif step == "commit":
        await memory.exchange(3)
    else:
        await memory.records.retain(PLACE.name, 3600)
    assert await redis_client.hkeys(KEY) == [b"T7"]
    assert await memory.text("T7") == "newer"


async def test_it_is_encrypted_and_bound_to_its_dialogue(redis_client: Redis) -> None:
    """Nothing of it is in Redis in plain text; under another thread's name nobody can read it."""
    memory = Memory(redis_client, Encryption(["k1:MDEyMzQ1Njc4OWFiY2RlZg=="]))
    await memory.summarise(await memory.exchange(1), text="a secret")
    [stored] = await redis_client.hvals(KEY)
    assert b"secret" not in stored
    assert await memory.text() == "a secret"
    await redis_client.hset(KEY, "T7", stored)
    assert await memory.text("T7") == ""


async def test_one_that_cannot_be_read_is_none_and_is_replaced(memory: Memory, redis_client: Redis) -> None:
    """Another version, or another key, wrote it."""
    await redis_client.hset(KEY, "", b"^,@0|{not json")
    assert await memory.text() == ""
    assert await memory.summarise(await memory.exchange(1))
    assert await memory.text() == "told"


async def test_one_writes_at_a_time(redis_client: Redis) -> None:
    """Of all processes, until it ends or is silent for a while; other dialogues do not wait."""
    one, other = Memory(redis_client).stored, Memory(redis_client).stored
    assert await one.begin(HERE, "", 60)
    assert not await other.begin(HERE, "", 60)
    assert await other.begin(HERE, "T7", 60)
    await one.go_on(HERE, "", 0)
    assert await other.begin(HERE, "", 60)


async def test_what_people_know_is_stored_once(memory: Memory) -> None:
    """That the oldest questions are summarised, or that they are not: each until the other becomes true."""
    first = await memory.exchange(1)
    await memory.stored.known(HERE, "", News.LEFT_OUT)
    assert (await memory.stored.of(HERE, "")).known
    assert await memory.summarise(first)
    assert not (await memory.stored.of(HERE, "")).known
    await memory.stored.known(HERE, "", News.LEFT_OUT)  # read before the summary was written
    assert await memory.text() == "told"
    await memory.stored.known(HERE, "", News.SUMMARISED)
    found = await memory.stored.of(HERE, "")
    assert (found.known, found.text, found.count) == (True, "told", 1)
    await memory.stored.known(HERE, "", News.DROPPED)
    assert await memory.stored.of(HERE, "") == Summary(known=True)


async def test_that_people_have_read_it_is_not_overwritten(memory: Memory) -> None:
    """A summary that was begun before they read it would tell them once more."""
    first, second = await memory.exchange(1), await memory.exchange(2)
    assert await memory.summarise(first)
    material = await memory.stored.material(HERE, "")
    await memory.stored.known(HERE, "", News.SUMMARISED)
    assert not await memory.stored.write(HERE, "", material.entry, told(material.old, second, text="late"), (second,))
    assert (await memory.stored.of(HERE, "")).known
