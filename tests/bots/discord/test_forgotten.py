"""What was forgotten in a thread of Discord is not read again, though people still see it, at the wire."""

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import DiscordChannel
from core.inbound.undoing import TAKEN_BACK
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, room, running

PRIVILEGED = Intent.MESSAGE_CONTENT


async def dialogue(here: DiscordRoom) -> DiscordChannel:
    """A thread with two questions and what a person said between; the second is about a secret."""
    first = await here.say("bob", GENERAL, "the beginning")
    thread = here.discord.add_thread(here.place(GENERAL), "Deploy", message=first)
    await here.answered("ann", thread, "@nebula what is red?", "A colour.")
    await here.say("bob", thread, "I like red")
    await here.answered("ann", thread, "@nebula my secret is blue", "Noted: blue.")
    return thread


async def undo(here: DiscordRoom, thread: DiscordChannel) -> None:
    """Undo the newest question, and wait until its answer is gone from the screen."""
    await here.used("ann", thread, "undo")
    await here.until(lambda: not any("blue" in text for text in here.said(thread)))


def read(here: DiscordRoom) -> str:
    """All that the model was sent last."""
    return "\n".join(each.content for each in here.nebula.requests[-1].messages)


async def test_what_was_undone(here: DiscordRoom) -> None:
    """The question stays on screen; what people said to each other is read again."""
    thread = await dialogue(here)
    await undo(here, thread)
    await here.answered("ann", thread, "@nebula and then?", "Then.")
    assert "blue" not in read(here)
    assert "bob (person): I like red" in read(here)


async def test_what_was_undone_before_a_restart(redis_client: Redis) -> None:
    """Another process knows it too."""
    async with room(redis_client, privileged=PRIVILEGED) as here:
        thread = await dialogue(here)
        await undo(here, thread)
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            await here.answered("ann", thread, "@nebula and then?", "Then.")
            assert "blue" not in read(here)


async def test_what_was_undone_and_could_only_be_struck(here: DiscordRoom) -> None:
    """The sentence that took the answer's place is not quoted either."""
    thread = await dialogue(here)
    here.discord.faults.error("DELETE /channels/{channel}/messages/{message}", 403, None, code=50013)
    await undo(here, thread)
    await here.answered("ann", thread, "@nebula and then?", "Then.")
    assert "blue" not in read(here)
    assert TAKEN_BACK not in read(here)


async def test_what_lost_its_answer(here: DiscordRoom) -> None:
    """Somebody deleted the answer, so that the bot forgets it."""
    thread = await dialogue(here)
    await here.discord.delete(here.shown(thread)[-1])
    await here.bot.runner.idle()
    await here.answered("ann", thread, "@nebula and then?", "Then.")
    assert "blue" not in read(here)


@pytest.mark.parametrize(("command", "who"), [("forget", "ann"), ("reset", "max")])
async def test_a_dialogue_that_was_forgotten(here: DiscordRoom, command: str, who: str) -> None:
    """Question and answer stay on screen; what people said to each other is read again, also after an undo before."""
    thread = await dialogue(here)
    await here.answered("ann", thread, "@nebula I am colourblind", "I see.")
    await here.used("ann", thread, "undo")
    await here.used(who, thread, command)
    await here.answered("ann", thread, "@nebula and then?", "Then.")
    assert not [word for word in ("blue", "red?", "A colour") if word in read(here)]
    assert "bob (person): I like red" in read(here)


async def test_a_question_that_failed_is_read_by_the_next(here: DiscordRoom) -> None:
    """It was answered with a sentence alone, and nobody wanted it forgotten."""
    thread = await dialogue(here)
    here.nebula.answer_next("")
    await here.say("ann", thread, "@nebula what is green?")
    await here.until(lambda: len(here.shown(thread)) == 3)
    await here.bot.runner.idle()
    await here.answered("ann", thread, "@nebula and then?", "Then.")
    assert "what is green?" in read(here)


async def test_an_answer_that_somebody_replies_to_is_read(here: DiscordRoom) -> None:
    """It was forgotten, but it is on screen, and the question refers to it."""
    thread = await dialogue(here)
    await here.used("max", thread, "reset")
    here.nebula.answer_next("It is.")
    await here.say("ann", thread, "@nebula is this right?", reply_to=here.shown(thread)[0])
    await here.until(lambda: any("It is." in text for text in here.said(thread)))
    assert "Nebula (us, the question refers to this): A colour." in read(here)
    assert "blue" not in read(here)
