"""Questions asked while no bot was connected to Discord, at the wire: the bot finds them and answers each once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from bots.discord.inbound import channels, client
from bots.discord.inbound.people import UNCLEAR
from bots.sandbox.discord.world.values import DiscordChannel, Overwrite, Permission
from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import DENIED
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, running
from tests.bounds import HANG_SECONDS

LIST = "GET /channels/{channel}/messages"
RANDOM = "#random"


@pytest_asyncio.fixture
async def here(redis_client: Redis) -> AsyncIterator[DiscordRoom]:
    """A room whose bot does not run now, but was recorded as present."""
    async with discord_server() as discord, NebulaServer() as model:
        stage = DiscordRoom(discord, model)
        async with running(stage, redis_client, config_for(discord, model)):
            await present(redis_client)
        yield stage


async def present(redis: Redis, name: str = "discord") -> None:
    """Wait until a bot has recorded that it is connected."""
    async with asyncio.timeout(HANG_SECONDS):
        while not await redis.exists(f"nb:p:{{{name}}}"):
            await asyncio.sleep(0.01)


def bot(here: DiscordRoom, redis: Redis, **changes: Any) -> Any:
    """Start a bot now."""
    return running(here, redis, config_for(here.discord, here.nebula, **changes))


def lists(here: DiscordRoom) -> list[str]:
    """The channels whose messages were listed."""
    return [call.path.split("/")[-2] for call in here.discord.calls if call.route == LIST]


async def test_missed_questions_are_answered(here: DiscordRoom, redis_client: Redis) -> None:
    """In channels and threads, oldest first; only questions, each once, and no commands."""
    thread = here.discord.add_thread(here.place(GENERAL), "Aside")
    for answer in ("An answer.",) * 3:
        here.nebula.answer_next(answer)
    first = await here.say("ann", GENERAL, "@nebula one")
    await here.say("bob", GENERAL, "nothing for the bot")
    await here.say("bob", GENERAL, "@nebula two")
    await here.say("max", GENERAL, "@nebula !reset")
    await here.say("ann", thread, "@nebula three")
    async with bot(here, redis_client, reply_parallel=1):
        await here.until(lambda: len(here.shown(GENERAL)) == 2 and here.shown(thread))
        await here.bot.runner.idle()
        assert here.shown(GENERAL)[0].reference == first.id
        asked = [request.messages[-1].content for request in here.nebula.requests]
        assert asked.index("ann: one") < asked.index("bob: two")
        assert sorted(asked) == ["ann: one", "ann: three", "bob: two"]
        assert here.place(RANDOM).id not in lists(here)
    async with bot(here, redis_client):
        await here.answered("ann", RANDOM, "@nebula four", "Four.")
    assert len(here.shown(GENERAL)) == 2


async def test_a_new_session_looks_back_and_a_resumed_one_does_not(
    here: DiscordRoom, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord replays missed events only if it kept the session."""
    monkeypatch.setattr(client, "NEW_SESSION_SECONDS", 0.05)
    # As nobody was here before, the first session looks for nothing; then `present` means that its look is over.
    await redis_client.delete("nb:p:{discord}")
    async with bot(here, redis_client):
        await present(redis_client)
        here.discord.gateway.drop()
        here.nebula.answer_next("Replayed.")
        await here.say("ann", GENERAL, "@nebula one")
        await here.until(lambda: here.said(GENERAL) == ["Replayed."])
        assert not lists(here)
        here.discord.gateway.drop(resumable=False, code=4009)
        here.nebula.answer_next("Found.")
        await here.say("ann", GENERAL, "@nebula two")
        await here.until(lambda: here.said(GENERAL) == ["Replayed.", "Found."])
        assert lists(here) == [here.place(GENERAL).id]


async def test_direct_messages_are_found_too(here: DiscordRoom, redis_client: Redis) -> None:
    """The bot finds those of people who have talked with it before: the gateway does not list these channels."""
    async with bot(here, redis_client):
        await here.answered("ann", "@ann", "one", "Heard.")
    here.nebula.answer_next("Found.")
    await here.say("ann", "@ann", "two")
    async with bot(here, redis_client):
        await here.until(lambda: here.said("@ann") == ["Heard.", "Found."])
        await here.bot.runner.idle()
    assert len(here.nebula.requests) == 2


async def test_many_messages_are_searched_in_pages(here: DiscordRoom, redis_client: Redis) -> None:
    """The bot finds a question after two hundred other messages, and waits out Discord's rate limits."""
    for number in range(210):
        await here.say("bob", GENERAL, f"message {number}")
    here.nebula.answer_next("Found.")
    await here.say("ann", GENERAL, "@nebula hello")
    here.discord.faults.rate_limit(LIST, 0.05, before=1)
    async with bot(here, redis_client):
        await here.until(lambda: here.said(GENERAL) == ["Found."])
    assert len(lists(here)) == 4


async def test_unreadable_channels_are_skipped(here: DiscordRoom, redis_client: Redis) -> None:
    """The bot does not even request channels that it may not read; a refusal in one channel does not affect others."""
    hidden = here.discord.add_channel(here.guild, "hidden")
    await here.say("ann", hidden, "@nebula in vain")
    denied = Permission.READ_MESSAGE_HISTORY
    here.discord.overwrite(hidden, Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied))
    here.nebula.answer_next("Found.")
    await here.say("ann", GENERAL, "@nebula hello")
    await here.say("ann", RANDOM, "@nebula hello")  # the newest is first
    here.discord.faults.error(LIST, 403, code=50001)
    async with bot(here, redis_client):
        await here.until(lambda: here.said(GENERAL) == ["Found."])
    assert lists(here) == [here.place(RANDOM).id, here.place(GENERAL).id]
    assert not here.said(RANDOM)


async def test_roles_count_for_missed_questions_too(here: DiscordRoom, redis_client: Redis) -> None:
    """The list of messages does not contain roles, so the bot looks them up."""
    role = here.discord.add_role(here.guild, "guests")
    here.people["eve"] = here.discord.add_member(here.guild, "eve", roles=[role])
    await here.say("eve", GENERAL, "@nebula may I?")
    here.nebula.answer_next("You may.")
    await here.say("ann", GENERAL, "@nebula may I?")
    async with bot(here, redis_client, access_deny=(role.id,)):
        await here.until(lambda: here.said(GENERAL) == ["You may."])
        [refused] = await here.until(lambda: here.said("@eve"))
        assert DENIED in refused
        # The same applies to messages from the gateway.
        await here.say("eve", GENERAL, "@nebula and now?")
        await here.until(lambda: len(here.said("@eve")) == 2)
        assert DENIED in await here.used("eve", GENERAL, "settings")
    assert len(here.nebula.requests) == 1


async def test_unknown_roles_are_not_no_roles(
    here: DiscordRoom, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Discord does not tell the roles, an access list can't be applied: a sentence, once, and no answer."""
    monkeypatch.setattr(channels, "LOOKUP_SECONDS", 0.05)
    monkeypatch.setattr(channels, "FIRST_PAUSE_SECONDS", 0.01)
    role = here.discord.add_role(here.guild, "guests")
    here.people["eve"] = here.discord.add_member(here.guild, "eve", roles=[role])
    await here.say("eve", GENERAL, "@nebula may I?")
    here.discord.faults.error("GET /guilds/{guild}/members/{user}", 500, None)
    for answer in ("First.", "Second."):
        async with bot(here, redis_client, access_deny=(role.id,)):
            await here.until(lambda: any(UNCLEAR in text for text in here.said(GENERAL)))
            await here.answered("ann", RANDOM, "@nebula next", answer)
    assert len(here.said(GENERAL)) == 1
    assert len(here.nebula.requests) == 2


async def test_only_who_asked_something_new_is_looked_up(
    here: DiscordRoom, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What is known costs no call, and nobody is looked up twice; the log counts what is new."""
    for number in range(3):
        here.nebula.answer_next("Found.")
        await here.say("ann", GENERAL, f"@nebula {number}")
    with caplog.at_level("INFO"):
        for new in (3, 0):
            async with bot(here, redis_client):
                await here.until(lambda: len(here.said(GENERAL)) == 3)
                await here.bot.runner.idle()
                await here.until(lambda: "new questions" in caplog.text)
            assert sum(call.route.startswith("GET /guilds/") for call in here.discord.calls) == 1
            assert f"found {new} new questions" in caplog.text
            caplog.clear()


async def test_two_processes_that_look_back_answer_once(here: DiscordRoom, redis_client: Redis) -> None:
    """Both processes find the question."""
    here.nebula.answer_next("Found.")
    await here.say("ann", GENERAL, "@nebula hello")
    async with bot(here, redis_client), bot(here, redis_client):
        await here.until(lambda: here.said(GENERAL) == ["Found."])
        await here.answered("ann", RANDOM, "@nebula next", "Next.")
    assert len(here.nebula.requests) == 2


async def test_looking_back_can_be_switched_off(here: DiscordRoom, redis_client: Redis) -> None:
    """Then nothing is read."""
    await here.say("ann", GENERAL, "@nebula hello")
    async with bot(here, redis_client, missed_minutes=0):
        await here.answered("ann", RANDOM, "@nebula next", "Next.")
    assert not lists(here)


async def test_a_guild_that_arrives_late_is_searched_then(
    here: DiscordRoom, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its channels were unknown when the others were searched, and the others did not wait for it."""
    monkeypatch.setattr(client, "GUILDS_SECONDS", 0.05)
    other = here.discord.add_guild("Elsewhere")
    here.discord.add_member(other, here.people["ann"])
    hall = here.discord.add_channel(other, "hall")
    for where in (GENERAL, hall):
        await here.say("ann", where, "@nebula hello")
    here.discord.gateway.away.add(other.id)
    here.nebula.answer_next("Found.")
    async with bot(here, redis_client):
        await here.until(lambda: here.said(GENERAL) == ["Found."])
        assert lists(here) == [here.place(GENERAL).id]
        here.nebula.answer_next("Found late.")
        here.discord.gateway.guild_create(other)
        await here.until(lambda: here.said(hall) == ["Found late."])
        here.discord.gateway.guild_create(other)  # sent once more
        await here.answered("ann", hall, "@nebula next", "Next.")
    assert lists(here) == [here.place(GENERAL).id, hall.id]


async def test_the_first_start_answers_nothing_old(redis_client: Redis) -> None:
    """A new bot does not search messages from before its first start."""
    async with discord_server() as discord, NebulaServer() as model:
        here = DiscordRoom(discord, model)
        await here.say("ann", GENERAL, "@nebula hello")
        async with bot(here, redis_client):
            await present(redis_client)
            await here.answered("ann", RANDOM, "@nebula next", "Next.")
        assert not lists(here)


async def test_each_shard_searches_its_own_guilds(redis_client: Redis) -> None:
    """A shard that alone was away finds the questions in its guilds."""
    async with discord_server() as discord, NebulaServer() as model:
        here = DiscordRoom(discord, model)
        halls: list[DiscordChannel] = []
        for number in range(2):
            guild = discord.add_guild(f"Guild {number}", shard=(number, 2))
            discord.add_member(guild, here.people["ann"])
            halls.append(discord.add_channel(guild, "hall"))
        async with bot(here, redis_client, discord_shards="0/2"):
            async with bot(here, redis_client, discord_shards="1/2"):
                await present(redis_client, "discord/1")
            for answer in ("Heard.", "Found."):
                here.nebula.answer_next(answer)
            await here.say("ann", halls[0], "@nebula hello")
            await here.until(lambda: here.said(halls[0]) == ["Heard."])
            await here.say("ann", halls[1], "@nebula hello")
            async with bot(here, redis_client, discord_shards="1/2"):
                await here.until(lambda: here.said(halls[1]) == ["Found."])
        assert lists(here) == [halls[1].id]
