"""What a question refers to: the message it replies to, forwarded cards, and messages that a proxy posts again."""

from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import DiscordMessage
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, running


async def asked(here: DiscordRoom, text: str, other: DiscordMessage, **options: Any) -> str:
    """Ann replies to a message; return what the model was asked."""
    here.nebula.answer_next("Sure.")
    before = len(here.nebula.requests)
    await here.say("ann", GENERAL, text, reply_to=other, **options)
    await here.until(lambda: len(here.nebula.requests) > before)
    await here.bot.runner.idle()
    return here.asked()


class TestReplies:
    """A reply to somebody's message that mentions the bot."""

    async def test_the_message_is_quoted(self, here: DiscordRoom) -> None:
        """With the name of its author, and names in place of ids."""
        other = await here.say("bob", GENERAL, "@nebula is for @max\nand #random")
        await here.until(lambda: here.said(GENERAL))
        text = await asked(here, "@nebula what does this mean?", other, ping=False)
        assert "bob (person, the question refers to this): @Nebula is for @max ⏎ and #random\n</quotation>" in text
        assert text.endswith("\n\nann: what does this mean?")
        assert "Read 1 message that the question refers to." in here.said(GENERAL)[-1]

    async def test_a_long_one_is_cut(self, here: DiscordRoom) -> None:
        """It may be as long as Discord allows."""
        other = await here.say("bob", GENERAL, "@nebula " + "x" * 1900)
        await here.until(lambda: here.said(GENERAL))
        assert len(await asked(here, "@nebula and?", other, ping=False)) < 2200

    async def test_what_discord_withholds_is_said(self, here: DiscordRoom) -> None:
        """The model learns that there is something it does not see, and whose it is."""
        other = await here.say("bob", GENERAL, "hidden words")
        text = await asked(here, "@nebula what does this mean?", other, ping=False)
        assert "In reply to a message by bob that I can't read" in text
        assert text.endswith("what does this mean?")

    async def test_a_command_stays_a_command(self, here: DiscordRoom) -> None:
        """The quotation does not hide it."""
        other = await here.say("bob", GENERAL, "hidden words")
        await here.say("ann", GENERAL, "@nebula !settings", reply_to=other, ping=False)
        await here.until(lambda: any("temperature" in text for text in here.said(GENERAL)))

    async def test_the_bots_own_message_is_in_the_history(self, here: DiscordRoom) -> None:
        """It is not quoted once more."""
        await here.answered("ann", GENERAL, "@nebula one", "First.")
        assert (await asked(here, "and two?", here.shown(GENERAL)[0])).endswith("ann: and two?")

    async def test_without_a_ping_the_text_is_withheld(self, here: DiscordRoom) -> None:
        """The person learns what to do, once; the model is not asked. Also under an answer to /ask."""
        await here.answered("ann", GENERAL, "@nebula one", "First.")
        await here.say("ann", GENERAL, "and two?", reply_to=here.shown(GENERAL)[0], ping=False)
        await here.until(lambda: any("Turn the @ of the reply on" in text for text in here.said(GENERAL)))
        here.nebula.answer_next("Second.")
        used = await here.slash("bob", GENERAL, "ask", prompt="hello")
        await here.until(lambda: used.original and used.original.content.endswith("Second."))
        assert used.original
        await here.say("bob", GENERAL, "and then?", reply_to=used.original, ping=False)
        await here.until(lambda: sum("Turn the @ of the reply on" in text for text in here.said(GENERAL)) == 2)
        assert len(here.nebula.requests) == 2


async def test_a_forwarded_card_is_read(here: DiscordRoom) -> None:
    """Its words are in fields of their own; a preview of a link is no card."""
    card: dict[str, Any] = {
        "type": "rich",
        "title": "Release",
        "description": "Version ZEBRA-7",
        "author": {"name": "CI"},
    }
    card |= {"fields": [{"name": "State", "value": "green"}], "footer": {"text": "built today"}}
    snapshot: dict[str, Any] = {"content": "", "embeds": [card], "attachments": [], "type": 0, "mentions": []}
    snapshot |= {"timestamp": "2026-11-22T10:00:00+00:00", "edited_timestamp": None, "flags": 0, "components": []}
    payload: dict[str, Any] = {
        "id": "1400000000000000001",
        "channel_id": here.discord.open_dm(here.people["ann"]).id,
        "type": 0,
        "content": "",
        "author": {"id": here.people["ann"].id, "username": "ann", "discriminator": "0", "avatar": None},
        "message_snapshots": [{"message": snapshot}],
    }
    here.nebula.answer_next("Read.")
    here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: payload, guild="", direct_intent=Intent.NONE)
    await here.until(lambda: here.said("@ann") == ["Read."])
    assert here.asked().endswith("CI\nRelease\nVersion ZEBRA-7\nState: green\nbuilt today")


class TestProxies:
    """A program that deletes somebody's message and posts it again by a webhook."""

    @pytest.mark.parametrize("deleted_first", [False, True])
    async def test_the_question_is_answered_once(
        self, here: DiscordRoom, redis_client: Redis, deleted_first: bool
    ) -> None:
        """In whichever order both happen, and also by two processes."""
        async with running(here, redis_client, config_for(here.discord, here.nebula)):
            held = here.nebula.hold(2)
            for _ in range(2):  # a question that is deleted first is asked twice
                here.nebula.answer_next("An answer of some words.")
            question = await here.say("ann", GENERAL, "L: @nebula hello there")
            await here.until(lambda: here.shown(GENERAL))
            if deleted_first:
                await here.discord.delete(question)
                await here.until(lambda: not here.shown(GENERAL))
            await here.discord.webhook_says("Luna", here.place(GENERAL), f"<@{here.me.id}> hello there")
            if not deleted_first:
                await here.discord.delete(question)
            held.release()
            await here.until(lambda: here.said(GENERAL) == ["An answer of some words."])
            await here.say("ann", GENERAL, "@nebula next")  # it waits until her first question has ended
            await here.until(lambda: len(here.nebula.requests) == (3 if deleted_first else 2))
            await here.until(lambda: len(here.said(GENERAL)) == 2)
            assert here.said(GENERAL)[0] == "An answer of some words."

    async def test_a_deletion_without_a_repost_takes_the_question_away(self, here: DiscordRoom) -> None:
        """Another webhook's words do not keep it."""
        await here.answered("ann", GENERAL, "@nebula hello there", "Hi.")
        await here.discord.webhook_says("News", here.place(GENERAL), f"<@{here.me.id}> something else")
        [question] = [one for one in here.discord.messages(here.place(GENERAL)) if one.author.name == "ann"]
        await here.discord.delete(question)
        await here.until(lambda: not here.said(GENERAL))
