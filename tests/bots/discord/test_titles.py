"""Titles of the threads that replies open in Discord, at the wire."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis.asyncio import Redis

from bots.sandbox.discord.limits import DISCORD_LIMITS
from bots.sandbox.discord.world.values import DiscordChannel
from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running

RENAME = "PATCH /channels/{channel}"


@pytest_asyncio.fixture
async def here(redis_client: Redis) -> AsyncIterator[DiscordRoom]:
    """A room in which each reply opens a thread."""
    async with room(redis_client, limits=DISCORD_LIMITS, changes={"reply_titles": "on"}) as stage:
        await stage.used("max", GENERAL, "set", parameter="replies", value="thread")
        yield stage


def renames(here: DiscordRoom) -> int:
    """How often the bot tried to rename a thread."""
    return sum(call.route == RENAME and "name" in call.body for call in here.discord.calls)


def title_requests(here: DiscordRoom) -> int:
    """How often the model was asked for a title: without a stream."""
    return sum(not each.stream for each in here.nebula.requests)


async def opened(here: DiscordRoom, text: str, answer: str) -> DiscordChannel:
    """Ask in the channel, and wait for the thread with the answer."""
    here.nebula.answer_next(answer)
    asked = await here.say("ann", GENERAL, f"@nebula {text}")

    def threads() -> list[DiscordChannel]:
        found = here.discord.threads(here.place(GENERAL))
        return [each for each in found if each.id == asked.id and answer in "".join(here.said(each))]

    return (await here.until(threads))[0]


async def test_a_thread_gets_a_title(here: DiscordRoom) -> None:
    """The first words of its question, and after the answer what the model calls it; once."""
    hold = here.nebula.hold(after=1)
    here.nebula.answer_next("Like this.")
    here.nebula.answer_next("**Regex for dates**")
    asked = await here.say("ann", GENERAL, "@nebula How do I write a regex for dates?")
    [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
    assert thread.name == "How do I write a regex for dates?"
    hold.release()
    await here.until(lambda: here.discord.channel(asked.id).name == "Regex for dates")
    here.nebula.answer_next("And so.")
    await here.say("ann", thread, "@nebula and for times?")
    await here.until(lambda: "And so." in here.said(thread))
    await here.bot.runner.idle()
    assert title_requests(here) == 1
    assert renames(here) == 1


async def test_what_a_person_named_stays(here: DiscordRoom) -> None:
    """Whoever renames a thread knows why."""
    hold = here.nebula.hold(after=1)
    here.nebula.answer_next("Yes.")
    here.nebula.answer_next("A title")
    asked = await here.say("ann", GENERAL, "@nebula hello")
    [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
    here.discord.rename(thread, "Mine")
    hold.release()
    await here.nebula.until(lambda: title_requests(here) == 1)
    await here.until(lambda: any(call.path.endswith(f"/channels/{asked.id}") for call in here.discord.calls))
    await here.bot.runner.idle()
    assert here.discord.channel(asked.id).name == "Mine"
    assert not renames(here)


async def test_an_answer_that_is_not_remembered_gives_no_title(here: DiscordRoom) -> None:
    """Somebody had all of it forgotten while it was written: its question is told to nobody any more."""
    hold = here.nebula.hold(after=1)
    asked = await here.say("ann", GENERAL, "@nebula hello")
    [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
    await here.used("max", GENERAL, "reset")
    await here.used("max", thread, "reset")
    hold.release()
    await here.bot.runner.idle()
    await here.say("ann", GENERAL, "@nebula and now?")
    await here.nebula.until(lambda: title_requests(here) == 1)
    assert here.discord.channel(asked.id).name == "hello"
    assert "and now?" in str([each for each in here.nebula.requests if not each.stream])


async def test_threads_of_people_keep_their_names(here: DiscordRoom) -> None:
    """Nor is the model asked for a title in a channel, a direct message or in private."""
    root = await here.say("bob", GENERAL, "the deploy failed")
    thread = here.discord.add_thread(here.place(GENERAL), "Deploy", message=root)
    await here.say("ann", thread, "@nebula why?")
    await here.until(lambda: here.said(thread))
    await here.say("ann", "@ann", "why?")
    await here.until(lambda: here.said("@ann"))
    await here.slash("ann", GENERAL, "ask", prompt="why?", private=True)
    await here.nebula.until(lambda: sum(each.finished for each in here.nebula.requests) == 3)
    await here.bot.runner.idle()
    here.nebula.answer_next("Yes.")
    here.nebula.answer_next("A title")
    await here.say("ann", GENERAL, "@nebula hello")  # a thread that gets one comes after those that must not
    await here.until(lambda: any(each.name == "A title" for each in here.discord.threads(here.place(GENERAL))))
    assert title_requests(here) == 1
    assert here.discord.channel(thread.id).name == "Deploy"


async def test_a_refused_rename_is_tried_once(here: DiscordRoom) -> None:
    """By AutoMod, or by Discord's limit after renames of others; the reply stays."""
    here.discord.faults.error(RENAME, 400, 200001)
    here.nebula.answer_next("First.")
    here.nebula.answer_next("A title")
    asked = await here.say("ann", GENERAL, "@nebula one")
    await here.until(lambda: renames(here) == 1)
    thread = here.discord.channel(asked.id)
    assert thread.name == "one"
    assert here.said(thread) == ["First."]


async def test_two_processes_ask_for_one_title(redis_client: Redis) -> None:
    """Both hear of the question."""
    async with discord_server() as server, NebulaServer() as model:
        here = DiscordRoom(server, model)
        config = config_for(server, model, reply_titles="on")
        async with running(here, redis_client, config):
            first = here.bot
            async with running(here, redis_client, config):
                await here.used("max", GENERAL, "set", parameter="replies", value="thread")
                here.nebula.answer_next("Yes.")
                here.nebula.answer_next("A title")
                asked = await here.say("ann", GENERAL, "@nebula hello")
                await here.until(lambda: here.discord.threads(here.place(GENERAL)))
                await here.until(lambda: here.discord.channel(asked.id).name == "A title")
                await here.bot.runner.idle()
                await first.runner.idle()
                assert title_requests(here) == 1
                assert renames(here) == 1


async def test_a_server_without_threads(redis_client: Redis) -> None:
    """Where replies go into the channel there is nothing to name, and if the operator wants no titles."""
    async with room(redis_client, changes={"reply_titles": "on"}) as here:
        await here.answered("ann", GENERAL, "@nebula hello", "Hello.")
        assert not title_requests(here)
    async with room(redis_client) as here:
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        await opened(here, "hello", "Hello.")
        await here.bot.runner.idle()
        assert not title_requests(here)


async def test_discord_has_no_place_for_suggestions(redis_client: Redis) -> None:
    """Its commands and its help leave them out, and who gives one nevertheless is told so."""
    async with room(redis_client) as here:
        assert "suggest" not in await here.used("max", GENERAL, "help")
        await here.say("ada", GENERAL, "@nebula !suggest list")
        await here.until(lambda: "has no place to show suggestions" in "".join(here.said(GENERAL)))
        assert all(each["name"] != "suggest" for each in here.discord.commands.registered)
