"""Edited and deleted messages in Discord, at the wire: the bot's answers follow the change."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.state import iso
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage
from bots.sandbox.nebula.faults import NebulaFault
from core.domain.conversation import Conversation
from core.inbound.edits import CHANGED
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, room, running

AGAIN = "Regenerate"
READ = "GET /channels/{channel}/messages/{message}"


async def answered(
    here: DiscordRoom, where: str | DiscordChannel = GENERAL, text: str = "@nebula question"
) -> DiscordMessage:
    """A question of Ann's with its whole answer."""
    here.nebula.answer_next("The answer.")
    question = await here.say("ann", where, text)
    await here.until(lambda: bool(here.shown(where)) and AGAIN in here.buttons(here.shown(where)[-1]))
    await settled(here, where)
    return question


async def settled(here: DiscordRoom, where: str | DiscordChannel = GENERAL) -> None:
    """Wait until every turn in this place has ended, in any process."""
    await here.bot.runner.settled(conversation(here, where))


async def offered(here: DiscordRoom, question: DiscordMessage) -> None:
    """Wait until it is stored that a changed question is offered again: what is on screen may not be yet."""
    while not ((known := await here.bot.records.asked(conversation(here), question.id)) and known[1].offer):
        await asyncio.sleep(0.01)


def conversation(here: DiscordRoom, where: str | DiscordChannel = GENERAL) -> Conversation:
    """What is said in this place."""
    channel = here.place(where)
    parts = filter(None, (channel.guild or "-", channel.parent, channel.id))
    return Conversation("/".join(("discord", *parts)))


async def in_line(here: DiscordRoom) -> DiscordMessage:
    """A question of Ann's that waits behind another one of hers."""
    here.nebula.fault(NebulaFault(stall_after=3))
    await here.say("ann", GENERAL, "@nebula first")
    await here.until(lambda: here.shown(GENERAL))
    question = await here.say("ann", GENERAL, "@nebula second")
    await here.until(lambda: (found := here.discord.message(question)) and found.reactions)
    return question


async def first_is_over(here: DiscordRoom) -> None:
    """Let the first answer end, after everything that happened before in the channel has arrived."""
    third = await here.say("ann", GENERAL, "@nebula third")
    await here.until(lambda: (found := here.discord.message(third)) and found.reactions)
    for answer in ("Two.", "3rd."):
        here.nebula.answer_next(answer)
    await here.press("ann", here.shown(GENERAL)[0], "Stop")


async def partly(here: DiscordRoom, question: DiscordMessage, text: str, **fields: Any) -> None:
    """Send a partial MESSAGE_UPDATE."""
    changed = replace(question, content=text, edited=time.time())
    here.discord._world.put(changed)
    payload = {"id": question.id, "channel_id": question.channel, "edited_timestamp": iso(time.time()), **fields}
    if question.guild:
        payload["guild_id"] = question.guild
    here.discord.gateway.dispatch(
        "MESSAGE_UPDATE", lambda _: payload, guild=question.guild, guild_intent=Intent.GUILD_MESSAGES
    )


class TestEdited:
    """Somebody changes a message."""

    @pytest.mark.parametrize("part", [False, True])
    async def test_a_waiting_question_is_asked_with_its_new_text(self, here: DiscordRoom, part: bool) -> None:
        """Also if the update is partial, so that the bot has to read the message."""
        question = await in_line(here)
        if part:
            await partly(here, question, f"<@{here.me.id}> changed")
        else:
            await here.discord.edit(question, "@nebula changed")
        await first_is_over(here)
        await here.until(lambda: [text[:3] for text in here.said(GENERAL)[1:]] == ["Two", "3rd"])
        asked = [request.messages[-1].content for request in here.nebula.requests]
        assert asked == ["ann: first", "ann: changed", "ann: third"]

    async def test_the_bot_offers_to_ask_a_changed_question_again(self, here: DiscordRoom) -> None:
        """A message with a button offers to ask the changed question; each change is offered once."""
        here.discord.gateway.duplicate = 2
        question = await answered(here)
        await here.discord.edit(question, "@nebula changed")
        await here.until(lambda: here.said(GENERAL) == ["The answer.", f"-# {CHANGED}"])
        await offered(here, question)
        here.nebula.answer_next("Another.")
        await here.press("ann", here.shown(GENERAL)[-1], AGAIN)
        await here.until(lambda: any("Another." in text for text in here.said(GENERAL)))
        assert here.asked().endswith("changed")
        assert len(here.nebula.requests) == 2

    async def test_two_processes_offer_it_once(self, redis_client: Redis) -> None:
        """Both processes receive the change."""
        async with room(redis_client) as here, running(here, redis_client, config_for(here.discord, here.nebula)):
            question = await answered(here)
            await here.discord.edit(question, "@nebula changed")
            await here.until(lambda: f"-# {CHANGED}" in here.said(GENERAL))
            await answered(here, "#random")
            assert here.said(GENERAL) == ["The answer.", f"-# {CHANGED}"]

    @pytest.mark.parametrize("part", [False, True])
    async def test_a_message_that_becomes_a_question_is_answered(self, here: DiscordRoom, part: bool) -> None:
        """It mentions the bot only after the change."""
        question = await here.say("ann", GENERAL, "hello")
        here.nebula.answer_next("The answer.")
        if part:
            await partly(here, replace(question, mentions=(here.me.id,)), f"<@{here.me.id}> hello")
        else:
            await here.discord.edit(question, "@nebula hello")
        await here.until(lambda: here.said(GENERAL) == ["The answer."])
        assert here.shown(GENERAL)[0].reference == question.id

    async def test_updates_without_a_new_text_are_ignored(self, here: DiscordRoom) -> None:
        """Link previews, even of a message that was changed before, pins of old messages, and our own edits."""
        question = await answered(here)
        await here.discord.preview(question, "http://example.org")
        await here.discord.edit(question, "@nebula changed")
        await here.until(lambda: len(here.said(GENERAL)) == 2)
        changed = await here.discord.preview(question, "http://example.org/2")
        old = replace(await answered(here, "#random"), edited=time.time() - 10_000, content="never said")
        here.discord._messages.touch(old)
        await answered(here, "@ann", "hello")
        assert len(here.said(GENERAL)) == 2
        assert len(here.said("#random")) == 1
        assert changed.edited

    async def test_a_change_that_cannot_be_read_is_dropped(self, here: DiscordRoom) -> None:
        """The connection stays up, and the next question is answered."""
        question = await here.say("ann", GENERAL, "hello")
        here.discord.faults.error(READ, 404, code=10008)
        await partly(here, question, f"<@{here.me.id}> hello")
        await here.until(lambda: any(call.route == READ for call in here.discord.calls))
        await answered(here)
        assert here.discord.gateway.identifies == 1
        assert not here.discord.gateway.resumes

    async def test_a_direct_message_that_is_changed(self, here: DiscordRoom) -> None:
        """Also if the update is partial and the channel is unknown."""
        question = await answered(here, "@ann", "question")
        await here.discord.edit(question, "changed")
        await here.until(lambda: f"-# {CHANGED}" in here.said("@ann"))


class TestDeleted:
    """Somebody deletes a message."""

    @pytest.mark.parametrize(
        ("where", "how"),  # Discord has no bulk deletion of direct messages
        [("channel", "one"), ("channel", "many"), ("thread", "one"), ("thread", "many"), ("direct", "one")],
    )
    async def test_deleting_a_question_deletes_its_answer_everywhere(
        self, here: DiscordRoom, where: str, how: str
    ) -> None:
        """This holds in any place; the history keeps nothing of it."""
        place: str | DiscordChannel = GENERAL
        if where == "thread":
            place = here.discord.add_thread(here.place(GENERAL), "Aside")
        elif where == "direct":
            place = "@ann"
        question = await answered(here, place, "@nebula my secret word")
        if how == "many":
            await here.discord.purge([question, await here.say("bob", place, "nothing for the bot")])
        else:
            await here.discord.delete(question)
        await here.until(lambda: not here.shown(place))
        await answered(here, place, "@nebula what did I say?")
        assert all("secret" not in message.content for message in here.nebula.requests[-1].messages)

    async def test_an_answer_in_its_own_thread_is_deleted(self, here: DiscordRoom) -> None:
        """Discord keeps the thread; our messages in it are deleted, and so is what we remember."""
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        before = len(here.shown(GENERAL))
        here.nebula.answer_next("The answer.")
        question = await here.say("ann", GENERAL, "@nebula question")
        [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
        await here.until(lambda: here.shown(thread) and AGAIN in here.buttons(here.shown(thread)[-1]))
        await here.bot.runner.idle()
        await here.discord.delete(question)
        await here.until(lambda: not here.shown(thread))
        assert len(here.shown(GENERAL)) == before

    async def test_a_deleted_answer_is_forgotten(self, here: DiscordRoom) -> None:
        """The next request does not contain it; the bot's own deletions have no effect."""
        await answered(here, text="@nebula my secret word")
        await here.discord.delete(here.shown(GENERAL)[0])
        await answered(here, "#random")  # the deletion has arrived by then
        await answered(here, text="@nebula what did I say?")
        assert all("secret" not in message.content for message in here.nebula.requests[-1].messages)

    async def test_a_deleted_waiting_question_is_not_asked(self, here: DiscordRoom) -> None:
        """It is removed from the queue."""
        question = await in_line(here)
        await here.discord.delete(question)
        await first_is_over(here)
        await here.until(lambda: here.said(GENERAL)[1:] == ["Two."])
        assert [request.messages[-1].content for request in here.nebula.requests] == ["ann: first", "ann: third"]
