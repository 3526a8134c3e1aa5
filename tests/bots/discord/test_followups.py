"""Messages without a mention, at the wire: which the bot answers, with and without the Message Content intent."""

from collections.abc import Awaitable
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import DiscordChannel
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, room, running
from tests.bots.discord.test_backfill import present

PRIVILEGED = Intent.MESSAGE_CONTENT


async def opened(here: DiscordRoom, who: str = "ann") -> DiscordChannel:
    """Ask in the channel, and open a thread on the question."""
    asked = await here.say(who, GENERAL, "@nebula why?")
    await settled(here)
    return here.discord.add_thread(here.place(GENERAL), "Why", message=asked)


async def settled(here: DiscordRoom) -> None:
    """Wait until the bot has handled everything that was said: somebody's command comes after it in each channel."""
    for channel in (here.place(GENERAL), *here.discord.threads(here.place(GENERAL))):
        newcomer = here.discord.add_member(here.guild, f"guest {len(here.people)}")  # nobody gives too many commands
        here.people[newcomer.name] = newcomer
        asked = await here.say(newcomer.name, channel, "@nebula !model show")

        def is_done(channel: DiscordChannel = channel, asked: str = asked.id) -> bool:
            found = here.discord.messages(channel)
            return any("answers here" in one.content and int(one.id) > int(asked) for one in found)

        await here.until(is_done)
    await here.bot.runner.idle()


def seen(here: DiscordRoom) -> int:
    """How many questions the model got."""
    return len(here.nebula.requests)


async def is_answered(here: DiscordRoom, who: str, where: str | DiscordChannel, text: str, **how: Any) -> bool:
    """Write a message, and see whether it becomes a question."""
    return await answers(here, here.say(who, where, text, **how))


async def answers(here: DiscordRoom, message: Awaitable[object]) -> bool:
    """Whether the bot answers this message, once."""
    before = seen(here)
    await message
    await settled(here)
    assert seen(here) - before in (0, 1)
    return seen(here) > before


async def test_whoever_asked_goes_on(here: DiscordRoom) -> None:
    """In the thread on the question; another person does so after asking there too."""
    thread = await opened(here)
    assert await is_answered(here, "ann", thread, "and in Rust?")
    assert not await is_answered(here, "bob", thread, "I like Rust")
    assert await is_answered(here, "bob", thread, "@nebula me too?")
    assert await is_answered(here, "bob", thread, "and in C?")
    assert not await is_answered(here, "ann", GENERAL, "lunch?")


async def test_what_is_never_for_the_bot(here: DiscordRoom) -> None:
    """By somebody who has asked in this thread, and by others."""
    thread = await opened(here)
    others = ("@bob lunch?", "**@bob** lunch?", "👋 @bob lunch?", "@here lunch?", "hi there @bob, lunch?")
    for text in (*others, "!play a song", ".np"):
        assert not await is_answered(here, "ann", thread, text), text
    said = await here.say("bob", thread, "I like Rust")
    assert not await is_answered(here, "ann", thread, "so do I", reply_to=said)
    other = here.discord.add_member(here.guild, "other", bot=True)
    assert not await answers(here, here.discord.bot_says(other, thread, "and in Go?"))
    assert not await answers(here, here.discord.webhook_says("ann", thread, "and in Go?"))
    assert await is_answered(here, "ann", thread, "what does @bob say?")


async def test_threads_that_the_bot_did_not_open(here: DiscordRoom) -> None:
    """Not even after a question in the middle of one."""
    root = await here.say("bob", GENERAL, "the deploy failed")
    thread = here.discord.add_thread(here.place(GENERAL), "Deploy", message=root)
    assert not await is_answered(here, "ann", thread, "why?")
    assert await is_answered(here, "ann", thread, "@nebula why?")
    assert not await is_answered(here, "ann", thread, "I'll restart it")


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("mention", [False, False, False, False]),
        ("followups", [True, False, False, False]),
        ("thread", [True, True, False, False]),
        ("all", [True, True, True, True]),
    ],
)
async def test_listen(here: DiscordRoom, listen: str, expected: list[bool]) -> None:
    """The asker and another person in the thread, anybody in somebody else's thread and in the channel."""
    thread = await opened(here)
    aside = here.discord.add_thread(here.place(GENERAL), "Aside")
    assert "now" in await here.used("max", GENERAL, "set", parameter="listen", value=listen)
    found = [
        await is_answered(here, "ann", thread, "and in Rust?"),
        await is_answered(here, "ada", thread, "and in C?"),
        await is_answered(here, "bob", aside, "why?"),
        await is_answered(here, "ada", GENERAL, "why is it so?"),
    ]
    assert found == expected
    assert not await is_answered(here, "ann", GENERAL, "@bob lunch?")


async def test_mute(here: DiscordRoom) -> None:
    """A thread, until somebody mentions the bot there, or says `unmute`."""
    thread = await opened(here)
    assert "Muted: in this thread" in await here.used("bob", thread, "mute")
    assert not await is_answered(here, "ann", thread, "and in Rust?")
    assert await is_answered(here, "bob", thread, "@nebula and in Rust?")
    assert await is_answered(here, "ann", thread, "and in C?")
    await here.say("ann", thread, "!mute")
    await here.until(lambda: any("Muted" in text for text in here.said(thread)))
    assert not await is_answered(here, "ann", thread, "and in Go?")
    assert "again" in await here.used("bob", thread, "unmute")
    assert await is_answered(here, "ann", thread, "and in Go?")


async def test_a_follow_up_can_be_edited_and_deleted(here: DiscordRoom) -> None:
    """As any question; an edit makes no question of what was none."""
    await here.used("max", GENERAL, "set", parameter="edits", value="rerun")
    thread = await opened(here)
    asked = await here.say("ann", thread, "and in Rust?")
    talk = await here.say("ann", thread, "@bob lunch?")
    await settled(here)
    assert seen(here) == 2
    assert not await answers(here, here.discord.edit(talk, "lunch?"))
    assert not await answers(here, here.discord.edit(asked, "@bob and in Rust?"))
    assert await answers(here, here.discord.edit(asked, "and in C?"))
    shown = len(here.shown(thread))
    await here.discord.delete(asked)
    await here.until(lambda: len(here.shown(thread)) < shown)


async def test_an_edit_that_takes_the_mention_away_asks_nothing(here: DiscordRoom) -> None:
    """As without follow-ups."""
    await here.used("max", GENERAL, "set", parameter="edits", value="rerun")
    thread = await opened(here)
    asked = await here.say("ann", thread, "@nebula and in Rust?")
    await settled(here)
    assert not await answers(here, here.discord.edit(asked, "and in C?"))


async def test_without_the_intent_nothing_is_overheard(redis_client: Redis) -> None:
    """But a reply to the bot is a question, as it always was."""
    async with room(redis_client, changes={"reply_listen": "all"}) as here:
        thread = await opened(here)
        assert not await is_answered(here, "ann", thread, "and in Rust?")
        assert not await is_answered(here, "ann", GENERAL, "and in Rust?")
        answer = here.shown(GENERAL)[0]
        assert await is_answered(here, "bob", GENERAL, "and in C?", reply_to=answer)


async def test_two_processes_a_restart_and_what_was_missed(redis_client: Redis) -> None:
    """Every process gets every message; one answers. What was said meanwhile is found, in order."""
    async with discord_server(privileged=Intent.MESSAGE_CONTENT) as server, NebulaServer() as model:
        here = DiscordRoom(server, model)
        config = config_for(server, model)
        async with running(here, redis_client, config):
            first = here.bot
            async with running(here, redis_client, config):
                asked = await here.say("ann", GENERAL, "@nebula why?")
                await here.until(lambda: seen(here) == 1)
                thread = here.discord.add_thread(here.place(GENERAL), "Why", message=asked)
                await here.say("ann", thread, "and in Rust?")
                await here.until(lambda: seen(here) == 2)
                await settled(here)
                await first.runner.idle()
                assert seen(here) == 2
            await present(redis_client)
        await here.say("ann", thread, "and in C?")
        await here.say("bob", thread, "I like C")
        async with running(here, redis_client, config):
            await here.until(lambda: seen(here) == 3)
            await settled(here)
            assert await is_answered(here, "ann", thread, "and in Go?")
            assert seen(here) == 4
            assert [request.messages[-1].content.splitlines()[-1] for request in here.nebula.requests][2:] == [
                "ann: and in C?",
                "ann: and in Go?",
            ]


async def test_a_waiting_follow_up_that_looks_like_a_command_is_asked(here: DiscordRoom) -> None:
    """Its author mends it while it waits: what it looks like now does not take it away."""
    thread = await opened(here)
    here.nebula.fault(NebulaFault(stall_after=3))
    await here.say("ann", thread, "first?")
    await here.until(lambda: here.shown(thread))
    asked = await here.say("ann", thread, "what is it?")
    await here.until(lambda: (found := here.discord.message(asked)) and found.reactions)
    await here.discord.edit(asked, ".env")
    last = await here.say("ann", thread, "third?")
    await here.until(lambda: (found := here.discord.message(last)) and found.reactions)
    await here.press("ann", here.shown(thread)[0], "Stop")
    await here.until(lambda: seen(here) == 4)
    await here.bot.runner.idle()
    said = [request.messages[-1].content.splitlines()[-1] for request in here.nebula.requests[1:]]
    assert said == ["ann: first?", "ann: .env", "ann: third?"]
