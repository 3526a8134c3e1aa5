"""Votes and their reasons: one for each person and answer, kept no longer and read by nobody else than they must be."""

import time
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import DENIED
from core.commands.registry import Invocation, find
from core.domain.conversation import LONGEST_REASON, Author, Place, Reason, Rights
from core.inbound.buttons import FORGOTTEN, NO_REASON, NO_VOTE, ButtonPress
from core.settings.encryption import Encryption
from core.store.ratings import MOST_REASONS, Rating, Ratings
from tests.core.core_harness import ANN, BOB, HERE, ROOM, Process, process
from tests.core.inbound.test_buttons import asked

CHANNEL = ROOM.channel_scope
KEY = f"nb:u:{{{CHANNEL}}}:reasons"


async def answer(bot: Process, server: NebulaServer) -> str:
    """The message of a finished answer."""
    question = await asked(bot, server, "answer")
    return next(iter(bot.rooms.rooms[question.message].messages))


async def explained(bot: Process, message: str, why: str, by: Author = ANN, place: Place = ROOM) -> str:
    """Vote an answer down and say why; returns the sentence that refuses it, "" for none."""
    press = ButtonPress(HERE, message, place, by)
    await bot.dispatcher.rated(press, good=False)
    response = await bot.dispatcher.explained(press, why)
    return response.text if response else ""


async def ratings_for(bot: Process, rights: Rights = Rights.CHANNEL, place: Place = ROOM) -> str:
    """What the slash command shows to somebody with these rights."""

    async def of() -> Rights:
        return rights

    response = await bot.dispatcher.commanded(Invocation(find("ratings"), place, ANN), of)
    assert response
    assert not response.public
    return response.text


async def test_a_reason_replaces_an_earlier_one(bot: Process, server: NebulaServer) -> None:
    """There is one for each person and answer, cut and on one line, and only managers read it."""
    message = await answer(bot, server)
    assert await explained(bot, message, "first") == ""
    assert await explained(bot, message, "a `long`\n<@U1> " + "x" * 3000) == ""
    assert await explained(bot, message, "Bob's", BOB) == ""
    shown = await ratings_for(bot)
    assert "first" not in shown
    assert shown.count("\n- ") == 2
    [mine] = [line for line in shown.splitlines() if "long" in line]
    words = mine.partition(": ")[2]
    assert words.startswith("`a 'long' <@U1> x")
    assert len(words.strip("`")) == LONGEST_REASON
    assert "Bob's" not in await ratings_for(bot, Rights.NONE)


async def test_what_is_no_reason_is_refused(bot: Process, server: NebulaServer) -> None:
    """Nothing but blanks, a reason without a vote, and one for an answer in another place."""
    message = await answer(bot, server)
    assert await explained(bot, message, " \n\u202e") == NO_REASON
    await bot.dispatcher.rated(ButtonPress(HERE, message, ROOM, ANN), good=True)
    for press, sentence in (
        (ButtonPress(HERE, message, ROOM, ANN), NO_VOTE),
        (ButtonPress(HERE, "another", ROOM, ANN), NO_VOTE),
        (ButtonPress(HERE, message, ROOM, BOB), NO_VOTE),
        (ButtonPress(HERE, message, Place("test", "W1", "C2"), ANN), FORGOTTEN),
    ):
        response = await bot.dispatcher.explained(press, "why")
        assert response
        assert response.text == sentence
    vote = await bot.dispatcher.rated(ButtonPress(HERE, message, Place("test", "W1", "C2"), ANN), good=False)
    assert vote
    assert (vote.text, vote.asks_why) == (FORGOTTEN, False)


async def test_only_people_with_access_may_vote(redis_client: Redis, server: NebulaServer) -> None:
    """A person on the list of those denied neither votes nor gives reasons."""
    async with process(redis_client, server, access_deny="U2") as bot:
        message = await answer(bot, server)
        assert await explained(bot, message, "why", BOB) == DENIED
        assert "Nobody" in await ratings_for(bot)


async def test_the_newest_reasons_are_kept(redis_client: Redis) -> None:
    """A channel has ten at most, newest first; a key without a limit of its own is left by nothing."""
    ratings = Ratings(redis_client, 60)
    for number in range(MOST_REASONS + 3):
        await ratings.rate(CHANNEL, f"m{number}", "model", "U1", good=False)
        assert await ratings.explain(CHANNEL, f"m{number}", "U1", Reason(f"r{number}", time.time()))
    assert [each.text for each in await ratings.reasons(CHANNEL)] == [f"r{number}" for number in range(12, 2, -1)]
    assert await redis_client.llen(KEY) == MOST_REASONS
    assert 0 < await redis_client.pttl(KEY) <= 60_000


async def test_reasons_expire(redis_client: Redis) -> None:
    """What is older than votes are kept, or than a place remembers, is neither shown nor kept."""
    ratings = Ratings(redis_client, 100)
    for message, age in (("m1", 200), ("m2", 50), ("m3", 0)):
        await ratings.rate(CHANNEL, message, "model", "U1", good=False)
        assert await ratings.explain(CHANNEL, message, "U1", Reason(message, time.time() - age))
    assert [each.text for each in await ratings.reasons(CHANNEL)] == ["m3", "m2"]
    assert [each.text for each in await ratings.reasons(CHANNEL, 30)] == ["m3"]
    assert await redis_client.llen(KEY) == 1


async def test_a_shorter_retention_forgets_reasons(bot: Process, server: NebulaServer, redis_client: Redis) -> None:
    """Set for the channel, it takes older reasons at once."""
    message = await answer(bot, server)
    await explained(bot, message, "why")
    entries: list[Any] = await redis_client.lrange(KEY, 0, -1)
    [entry] = entries
    words, _, value = entry.partition(b"|")
    old = b"%s@%.0f|%s" % (words.rpartition(b"@")[0], time.time() - 86_400, value)
    await redis_client.lpushx(KEY, old)
    await redis_client.ltrim(KEY, 0, 0)
    await bot.command("set retention 0.5")
    assert not await redis_client.exists(KEY)


async def test_a_thread_with_a_shorter_memory_forgets_no_reasons_of_the_channel(
    bot: Process, server: NebulaServer, redis_client: Redis
) -> None:
    """Reasons are the channel's, wherever somebody reads them."""
    message = await answer(bot, server)
    assert await explained(bot, message, "now", BOB) == ""
    await bot.dispatcher.rated(ButtonPress(HERE, message, ROOM, ANN), good=False)
    ratings = Ratings(redis_client, 30 * 86_400)
    assert await ratings.explain(CHANNEL, message, ANN.id, Reason("an hour ago", time.time() - 3600))
    thread = replace(ROOM, thread="t1")
    await bot.command("set --thread retention 0.01", thread)
    for place in (thread, ROOM):
        assert "an hour ago" in await ratings_for(bot, place=place)


async def test_forget_takes_reasons_too(bot: Process, server: NebulaServer) -> None:
    """One's own; and everybody's, with `all`."""
    message = await answer(bot, server)
    await explained(bot, message, "Ann's")
    await explained(bot, message, "Bob's", BOB)
    await bot.command("forget")
    shown = await ratings_for(bot)
    assert "Ann's" not in shown
    assert "Bob's" in shown
    await bot.command("forget all")
    assert "Bob's" not in await ratings_for(bot)


async def test_reasons_are_encrypted(redis_client: Redis) -> None:
    """With keys, Redis holds no text; what was moved, or what no key reads, is passed over."""
    ratings = Ratings(redis_client, 60, encryption=Encryption(["k1:MDEyMzQ1Njc4OWFiY2RlZg=="]))
    for message in ("m1", "m2"):
        await ratings.rate(CHANNEL, message, "model", "U1", good=False)
        await ratings.explain(CHANNEL, message, "U1", Reason(f"the {message}", time.time()))
    entries: list[Any] = await redis_client.lrange(KEY, 0, -1)
    assert not any(b"the m" in entry for entry in entries)
    await redis_client.lpush(KEY, entries[0].replace(b"m2", b"m3"), b"junk", b"|", b"m,U1,@1e999|{}")
    assert [each.text for each in await ratings.reasons(CHANNEL)] == ["the m2", "the m1"]
    assert await Ratings(redis_client, 60).reasons(CHANNEL) == ()


async def test_a_vote_on_a_new_answer_moves_to_its_model(redis_client: Redis) -> None:
    """The answer may be regenerated by another model; also a vote that an older version counted is taken back once."""
    ratings = Ratings(redis_client, 60)
    await ratings.rate(CHANNEL, "m1", "old", "U1", good=True)
    await ratings.rate(CHANNEL, "m1", "new", "U1", good=True)
    assert await ratings.of(CHANNEL) == (Rating("new", 1, 0),)
    await redis_client.hset(f"nb:u:{{{CHANNEL}}}:votes:m1", "U1", "good")
    await ratings.rate(CHANNEL, "m1", "new", "U1", good=False)
    assert await ratings.of(CHANNEL) == (Rating("new", 0, 1),)
