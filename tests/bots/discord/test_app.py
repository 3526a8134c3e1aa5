"""The Discord adapter at the wire: an unmodified discord.py and the whole core with the sandbox's Discord."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.adapter import Examination
from bots.discord.components import commands
from bots.discord.inbound import ordering
from bots.discord.permissions import invite_url
from bots.sandbox.discord.interactions import Interaction
from bots.sandbox.discord.limits import NO_DISCORD_LIMITS, DiscordLimits
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.values import DiscordChannel, DiscordMessage, DiscordUpload, Overwrite, Permission
from bots.sandbox.nebula.faults import NebulaFault, Thought
from bots.sandbox.nebula.server import NebulaServer
from core.commands.registry import COMMANDS
from core.domain.errors import StoreError
from core.finding import Verdict
from core.inbound.edits import CHANGED
from core.inbound.menus import ASK, SUMMARISE
from core.settings.environment import WrongConfig
from core.store.redis.client import connection
from core.turns import accepted
from tests.bots.discord.harness import GENERAL, DiscordRoom, config_for, discord_server, long_answer, room, running
from tests.bounds import HANG_SECONDS

POST_ROUTE = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
EDIT_RESPONSE = "PATCH /webhooks/{application}/{token}/messages/*"


def _ends(shown: Interaction, text: str) -> Callable[[], bool]:
    """Whether a command's response ends with a text."""
    return lambda: shown.original is not None and shown.original.content.endswith(text)


class TestQuestions:
    """Which messages are questions, and what the model reads."""

    async def test_a_mention_is_answered_with_a_reply(self, here: DiscordRoom) -> None:
        """The reply to a mention pings nobody, and the model does not read the mention itself."""
        here.nebula.answer_next("Hello **Ann**!")
        question = await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.said(GENERAL) == ["Hello **Ann**!"])
        assert here.asked().endswith("hello")
        assert here.me.id not in here.asked()
        [reply] = here.shown(GENERAL)
        assert reply.reference == question.id
        assert not reply.pings

    async def test_a_mention_of_the_bots_role_is_a_mention(self, redis_client: Redis) -> None:
        """Clients offer the bot's managed role next to the bot; mentioning it asks the bot."""
        async with room(redis_client, role_mention_unlocks=True) as here:
            here.nebula.answer_next("Yes.")
            await here.say("ann", GENERAL, "@nebula are you there?", role=True)
            await here.until(lambda: here.said(GENERAL) == ["Yes."])
            assert here.asked().endswith("are you there?")
            assert "<@" not in here.asked()

    async def test_a_role_mention_with_hidden_text_is_explained(self, here: DiscordRoom) -> None:
        """If the role mention does not reveal the text, the person learns whom to mention; the model is not asked."""
        await here.say("ann", GENERAL, "@nebula are you there?", role=True)
        await here.until(lambda: here.said(GENERAL))
        assert f"mention my role. Pick me (@{here.me.name}, the bot)" in here.said(GENERAL)[0]
        assert not here.nebula.requests

    async def test_a_reply_that_pings_the_bot_is_a_mention(self, here: DiscordRoom) -> None:
        """A reply to one of the bot's messages asks the bot, without its name in the text."""
        await here.answered("ann", GENERAL, "@nebula one?", "First.")
        here.nebula.answer_next("Second.")
        await here.say("bob", GENERAL, "and two?", reply_to=here.shown(GENERAL)[0])
        await here.until(lambda: here.said(GENERAL) == ["First.", "Second."])
        assert here.asked().endswith("and two?")

    async def test_messages_to_nobody_or_others_are_not_answered(self, here: DiscordRoom) -> None:
        """Ignored: @everyone, a mention inside code, plain talk, a silent reply to others, another bot's mention."""
        other = here.discord.add_member(here.guild, "Rival", bot=True)
        plain = await here.say("ann", GENERAL, "nothing for the bot")
        await here.say("ada", GENERAL, "@everyone hello @here")
        await here.say("ann", GENERAL, f"`<@{here.me.id}>` is how it is called")
        await here.say("ann", GENERAL, f"```\n<@{here.me.id}> hi\n```")
        await here.discord.bot_says(other, here.place(GENERAL), f"<@{here.me.id}> ping")
        await here.answered("bob", GENERAL, "@nebula and this?", "This one.")
        await here.say("ann", GENERAL, "nice", reply_to=plain, ping=False)
        await here.answered("bob", GENERAL, "@nebula and that?", "That one.")
        assert here.said(GENERAL) == ["This one.", "That one."]

    async def test_an_edited_question_is_not_answered_again(self, here: DiscordRoom) -> None:
        """Editing a mention does not ask again: it is offered."""
        here.nebula.answer_next("Once.")
        question = await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.said(GENERAL) == ["Once."])
        await here.bot.runner.idle()
        await here.discord.edit(question, "@nebula hello again")
        await here.until(lambda: here.said(GENERAL) == ["Once.", f"-# {CHANGED}"])
        await here.answered("bob", GENERAL, "@nebula next", "Next.")
        assert here.said(GENERAL) == ["Once.", f"-# {CHANGED}", "Next."]

    async def test_a_direct_message_needs_no_mention(self, here: DiscordRoom) -> None:
        """In a direct message everything is a question."""
        assert (await here.answered("ann", "@ann", "hello there", "Hi.")).endswith("hello there")

    async def test_names_replace_ids(self, here: DiscordRoom) -> None:
        """The model reads names where Discord writes ids, in any script."""
        here.discord.add_role(here.guild, "Gärtner")
        asked = await here.answered("ann", GENERAL, "@nebula wer ist @bob in #random bei @Gärtner? 👩‍🌾 שלום", "Er.")
        assert "<" not in asked
        for word in ("bob", "random", "Gärtner", "👩‍🌾 שלום"):
            assert word in asked

    async def test_a_forwarded_message_is_part_of_the_question(self, here: DiscordRoom) -> None:
        """The text of a forwarded message is in a snapshot beside the message's own text, and the model reads both."""
        snapshot = {"content": "the forwarded words", "embeds": [], "attachments": [], "type": 0, "mentions": []}
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
        here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: payload, guild="")
        await here.until(lambda: here.said("@ann") == ["Read."])
        assert here.asked().endswith("the forwarded words")

    async def test_a_message_from_an_unknown_guild_is_answered(self, here: DiscordRoom) -> None:
        """During an outage a message may come before its guild; it is answered even with only the required fields."""
        channel = here.place(GENERAL)
        question = await here.say("ann", GENERAL, "just a message to reply to")
        payload: dict[str, Any] = {
            "id": question.id,
            "channel_id": channel.id,
            "guild_id": "1400000000000000002",
            "type": 0,
            "content": f"<@{here.me.id}> hello",
            "author": {"id": here.people["ann"].id, "username": "ann", "discriminator": "0", "avatar": None},
            "mentions": [{"id": here.me.id, "username": "Nebula", "discriminator": "0", "avatar": None}],
        }
        here.nebula.answer_next("Still here.")
        here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: payload, guild=here.guild.id)
        await here.until(lambda: here.said(GENERAL) == ["Still here."])

    async def test_an_empty_mention_and_an_image_are_answered_without_the_model(self, here: DiscordRoom) -> None:
        """A mention without text gets help on how to ask; an image alone that can not be read is named."""
        await here.say("ann", GENERAL, "@nebula")
        await here.until(lambda: here.said(GENERAL))
        await here.say(
            "ann", GENERAL, "@nebula", attachments=[DiscordUpload("a.png", b"\x89PNG\r\n\x1a\n\x00", "image/png")]
        )
        await here.until(lambda: len(here.said(GENERAL)) == 2)
        assert "write your question" in here.said(GENERAL)[0]
        assert "nothing here that I can read" in here.said(GENERAL)[1]
        assert not here.nebula.requests

    async def test_a_question_that_is_too_long_is_refused_with_its_length(self, redis_client: Redis) -> None:
        """The longest question that Discord allows is refused if the bot's own limit is lower."""
        async with room(redis_client, changes={"question_characters": 5000}) as here:
            await here.slash("ann", GENERAL, "ask", prompt="x" * 6000)
            await here.until(lambda: any("6,000 characters" in text for text in here.said(GENERAL)))
            assert not here.nebula.requests

    async def test_a_hundred_thousand_characters_in_parts_are_accepted(self, here: DiscordRoom) -> None:
        """A text of 100,000 characters is accepted and stored, in as many commands as Discord's limit needs."""
        for part in range(17):
            here.nebula.answer_next(f"Part {part}.")
            shown = await here.slash("ann", "@ann", "ask", prompt=f"{part} " + "word " * 1190)
            await here.until(_ends(shown, f"Part {part}."))
            await here.bot.runner.idle()
        assert (await here.answered("ann", "@ann", "what was it?", "Long.")).endswith("what was it?")

    async def test_two_simultaneous_questions_are_answered_in_order(self, here: DiscordRoom) -> None:
        """One person's second question has a reaction until the first is answered; then the reaction disappears."""
        held = here.nebula.hold(0)
        here.nebula.answer_next("One.")
        here.nebula.answer_next("Two.")
        await here.say("ann", GENERAL, "@nebula first")
        waiting = await here.say("ann", GENERAL, "@nebula second")
        marked = await here.until(lambda: (found := here.discord.message(waiting)) and found.reactions)
        assert ("👀", (here.me.id,)) in [(each.emoji, each.users) for each in marked or ()]
        held.release()
        await here.until(lambda: here.said(GENERAL) == ["One.", "Two."])
        await here.until(lambda: (found := here.discord.message(waiting)) and not found.reactions)
        first, second = here.nebula.requests
        assert first.messages[-1].content.endswith("first")
        assert second.messages[-1].content.endswith("second")

    async def test_every_question_of_a_burst_gets_its_reaction_at_discords_pace(self, redis_client: Redis) -> None:
        """Every waiting question gets its reaction, Discord refuses none, and each is removed again."""
        async with room(redis_client, limits=replace(NO_DISCORD_LIMITS, reaction=DiscordLimits().reaction)) as here:
            here.nebula.fault(NebulaFault(stall_after=3))
            first = await here.say("ann", GENERAL, "@nebula first")
            await here.until(lambda: here.shown(GENERAL))
            waiting = [await here.say("ann", GENERAL, f"@nebula question {number}") for number in range(3)]
            await here.until(lambda: all((found := here.discord.message(one)) and found.reactions for one in waiting))
            await here.press("ann", here.shown(GENERAL)[0], "Stop")
            await here.until(lambda: len(here.said(GENERAL)) == 4)
            await here.until(
                lambda: not any((found := here.discord.message(one)) and found.reactions for one in (first, *waiting))
            )
            calls = [call for call in here.discord.calls if "/reactions/" in call.path]
            assert {call.status for call in calls} == {204}
            put, taken = (sorted(call.path for call in calls if call.method == each) for each in ("PUT", "DELETE"))
            assert len(put) >= 3
            assert put == taken

    async def test_a_waiting_question_shows_its_place(self, here: DiscordRoom, monkeypatch: pytest.MonkeyPatch) -> None:
        """A number beside the eyes shows how many come before it; it changes as the queue moves, and disappears with
        the turn."""
        monkeypatch.setattr(accepted, "POLL_SECONDS", 0.05)
        here.nebula.fault(NebulaFault(stall_after=3), times=3)
        await here.say("ann", GENERAL, "@nebula first")
        await here.until(lambda: here.shown(GENERAL))
        second, third = [await here.say("ann", GENERAL, f"@nebula question {number}") for number in range(2)]

        def reactions_on(message: DiscordMessage) -> set[str]:
            found = here.discord.message(message)
            return {each.emoji for each in found.reactions} if found else set()

        await here.until(lambda: reactions_on(second) == {"👀", "1️⃣"} and reactions_on(third) == {"👀", "2️⃣"})
        await here.press("ann", here.shown(GENERAL)[0], "Stop")
        await here.until(lambda: not reactions_on(second) and reactions_on(third) == {"👀", "1️⃣"})
        await here.until(lambda: len(here.shown(GENERAL)) == 2)
        await here.press("ann", here.shown(GENERAL)[1], "Stop")
        await here.until(lambda: not reactions_on(third))

    async def test_a_redelivered_event_is_answered_once(self, here: DiscordRoom) -> None:
        """The gateway may deliver an event several times; a message and a command are still answered once."""
        here.discord.gateway.duplicate = 3
        await here.answered("ann", GENERAL, "@nebula hello", "Once.")
        here.nebula.answer_next("Command, once.")
        await here.until(_ends(await here.slash("ann", GENERAL, "ask", prompt="hello"), "Command, once."))
        here.discord.gateway.duplicate = 1
        await here.answered("ann", GENERAL, "@nebula again", "Again.")
        assert len(here.nebula.requests) == 3

    async def test_the_bot_types_until_it_answers(self, here: DiscordRoom) -> None:
        """Discord shows the bot as typing from the model's request until there is something to show."""
        held = here.nebula.hold(0)
        here.nebula.answer_next("Done.")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.discord.typing(here.place(GENERAL)))
        held.release()
        await here.until(lambda: here.said(GENERAL) == ["Done."])


class TestReplies:
    """How an answer is shown."""

    async def test_the_models_text_pings_nobody(self, here: DiscordRoom) -> None:
        """Neither the first frame nor an edit lets the model's words ping a person, a role or everybody."""
        ann, role = here.people["ann"].id, here.discord.bot_role(here.guild).id
        here.nebula.pace = 100
        here.nebula.answer_next(f"@everyone @here <@{ann}> <@&{role}> " + "and so on " * 10 + f"<@{ann}> end")
        await here.say("bob", GENERAL, "@nebula ping them")
        await here.until(lambda: any(text.endswith("end") for text in here.said(GENERAL)))
        here.nebula.answer_next(f"@everyone <@{ann}> again")
        await here.slash("bob", GENERAL, "ask", prompt=f"<@{ann}>")
        await here.until(lambda: any(text.endswith("again") for text in here.said(GENERAL)))
        for message in here.shown(GENERAL):
            assert all(not frame.pings for frame in message.frames)

    async def test_a_long_answer_goes_over_several_messages(self, here: DiscordRoom) -> None:
        """No message exceeds the limit, every line of code is there, and each message closes its fence."""
        lines = [f"print('line {number:04}')" for number in range(300)]
        here.nebula.answer_next("Here:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat was it.")
        await here.say("ann", GENERAL, "@nebula a long program")
        await here.until(lambda: here.said(GENERAL) and here.said(GENERAL)[-1].endswith("That was it."))
        await here.bot.runner.idle()
        said = here.said(GENERAL)
        assert len(said) >= 3
        assert all(len(text) <= 2000 and text.count("```") % 2 == 0 for text in said)
        together = "\n".join(said)
        assert all(together.count(line) == 1 for line in lines)
        assert all(message.reference for message in here.shown(GENERAL))

    async def test_thinking_aloud_is_shown_but_not_in_the_answer(self, here: DiscordRoom) -> None:
        """A model's thoughts are not shown; afterwards small print says for how long it thought."""
        held = here.nebula.hold(10)
        here.nebula.answer_next("The answer.", thought="secret thought " * 8, style=Thought.TAGS)
        await here.used("max", GENERAL, "model set", name="deepseek-ai/DeepSeek-R1-Distill-Llama-70B")
        before = len(here.shown(GENERAL))
        await here.say("ann", GENERAL, "@nebula think")
        await here.until(lambda: len(here.shown(GENERAL)) > before)
        held.release()
        await here.until(lambda: any("The answer." in text for text in here.said(GENERAL)))
        await here.bot.runner.idle()
        reply = here.shown(GENERAL)[-1]
        assert "Thinking…" in reply.frames[0].content
        assert reply.content.startswith("-# Thought for")
        assert all("secret" not in frame.content for frame in reply.frames)
        await here.answered("ann", GENERAL, "@nebula and?", "More.")
        assert all("secret" not in message.content for message in here.nebula.requests[-1].messages)

    async def test_a_steady_stream_exceeds_no_rate_limit(self, redis_client: Redis) -> None:
        """An answer that streams for seconds causes no 429, and its end is visible as soon as the model ends."""
        async with room(redis_client, limits=DiscordLimits()) as here:
            here.nebula.pace = 5
            held = here.nebula.hold()
            here.nebula.answer_next(" ".join(f"w{number:03}" for number in range(300)))
            await here.say("ann", GENERAL, "@nebula go on")
            await here.until(lambda: here.shown(GENERAL) and len(here.shown(GENERAL)[0].frames) > 7)
            held.release()
            await here.until(lambda: any(text.endswith("w299") for text in here.said(GENERAL)))
            assert here.nebula.requests[0].finished
            assert not [call for call in here.discord.calls if call.status == 429]

    @pytest.mark.parametrize("fault", ["429", "503", "reset"])
    async def test_the_end_of_an_answer_is_shown_despite_failing_edits(self, here: DiscordRoom, fault: str) -> None:
        """Edits are refused or cut off for a while; the reply still ends complete, in one message."""
        match fault:
            case "429":
                here.discord.faults.rate_limit(EDIT, 0.1, times=2)
            case "503":
                here.discord.faults.error(EDIT, 503, times=2)
            case _:
                here.discord.faults.reset(EDIT, times=2)
        here.nebula.pace = 50
        here.nebula.answer_next("word " * 20 + "end")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: len(here.said(GENERAL)) == 1 and here.said(GENERAL)[0].endswith("end"))

    async def test_a_post_whose_answer_was_lost_is_not_posted_twice(self, here: DiscordRoom) -> None:
        """If the connection breaks after Discord accepted the message, the bot finds it again and updates it."""
        here.discord.faults.reset(POST_ROUTE, times=2)
        here.nebula.pace = 50
        here.nebula.answer_next("word " * 40 + "end")
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: any(text.endswith("end") for text in here.said(GENERAL)))
        assert len(here.said(GENERAL)) == 1

    async def test_a_reply_that_somebody_deletes_ends_its_turn(self, here: DiscordRoom) -> None:
        """Nobody reads the deleted message: it is not posted again, and the next question is answered."""
        here.nebula.pace = 20
        here.nebula.answer_next("a long tale " * 10)
        await here.say("ann", GENERAL, "@nebula a tale")
        await here.until(lambda: here.shown(GENERAL))
        await here.discord.delete(here.shown(GENERAL)[0])
        here.nebula.pace = 0
        await here.nebula.until(lambda: here.nebula.requests[0].closed_early or here.nebula.requests[0].finished)
        await here.bot.runner.idle()
        here.nebula.answer_next("Next.")
        await here.say("bob", GENERAL, "@nebula next")
        await here.until(lambda: here.said(GENERAL) == ["Next."])

    async def test_without_the_right_to_read_history_the_answer_is_no_reply(self, here: DiscordRoom) -> None:
        """Discord refuses the reference, not the answer."""
        rule = Overwrite(here.guild.id, deny=Permission.READ_MESSAGE_HISTORY)
        here.discord.overwrite(here.place(GENERAL), rule, Overwrite(here.me.id, deny=Permission.READ_MESSAGE_HISTORY))
        await here.answered("ann", GENERAL, "@nebula hello", "Plain.")
        assert here.shown(GENERAL)[0].reference == ""

    async def test_a_failure_of_the_model_is_explained(self, here: DiscordRoom) -> None:
        """A failing model leads to a sentence, never to silence."""
        here.nebula.fault(NebulaFault(status=401, body="{}"), times=None)
        await here.say("ann", GENERAL, "@nebula hello")
        await here.until(lambda: here.said(GENERAL))
        assert "API key" in here.said(GENERAL)[0]


class TestThreads:
    """Threads and where replies go."""

    async def test_a_thread_has_its_own_history_and_inherits_the_settings(self, here: DiscordRoom) -> None:
        """A thread has its parent's prompt and not its history; the channel does not know what was said in it."""
        await here.used("max", GENERAL, "prompt set", text="Speak like a pirate.")
        await here.answered("ann", GENERAL, "@nebula channel talk", "Ay.")
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        await here.answered("ann", thread, "@nebula thread talk", "Aye.")
        inside = [message.content for message in here.nebula.requests[-1].messages]
        assert "pirate" in inside[0]
        assert not any("channel talk" in text for text in inside)
        await here.answered("ann", thread, "@nebula more", "Arr.")
        assert any("thread talk" in message.content for message in here.nebula.requests[-1].messages)
        await here.answered("ann", GENERAL, "@nebula back", "Ahoy.")
        outside = [message.content for message in here.nebula.requests[-1].messages]
        assert any("channel talk" in text for text in outside)
        assert not any("thread talk" in text for text in outside)

    async def test_a_thread_unknown_to_the_gateway_has_its_parents_settings(self, redis_client: Redis) -> None:
        """Archived threads are missing from a guild's list; the first message in one is answered as in any thread."""
        threads: list[DiscordChannel] = []

        def archived(stage: DiscordRoom) -> None:
            threads.append(stage.discord.archive(stage.discord.add_thread(stage.place(GENERAL), "Old")))

        async with room(redis_client, before=archived) as here:
            await here.used("max", GENERAL, "prompt set", text="Speak like a pirate.")
            payload: dict[str, Any] = {
                "id": "1400000000000000003",
                "channel_id": threads[0].id,
                "guild_id": here.guild.id,
                "type": 0,
                "content": f"<@{here.me.id}> hello",
                "author": {"id": here.people["ann"].id, "username": "ann", "discriminator": "0", "avatar": None},
                "mentions": [{"id": here.me.id, "username": "Nebula", "discriminator": "0", "avatar": None}],
            }
            here.nebula.answer_next("Arr.")
            here.discord.gateway.dispatch("MESSAGE_CREATE", lambda _: payload, guild=here.guild.id)
            await here.until(lambda: here.said(threads[0]) == ["Arr."])
            assert "pirate" in here.nebula.requests[-1].messages[0].content

    async def test_channels_are_kept_apart(self, here: DiscordRoom) -> None:
        """Another channel has neither the prompt nor the history of this one."""
        await here.used("max", GENERAL, "prompt set", text="Speak like a pirate.")
        await here.answered("ann", GENERAL, "@nebula here", "Ay.")
        await here.answered("ann", "#random", "@nebula there", "Yes.")
        elsewhere = " ".join(message.content for message in here.nebula.requests[-1].messages)
        assert "pirate" not in elsewhere
        assert "here\n" not in elsewhere
        assert len(here.nebula.requests[-1].messages) == 2

    async def test_replies_may_open_a_thread(self, here: DiscordRoom) -> None:
        """With `replies thread` the answer opens a thread named after the question, which remembers it."""
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        here.nebula.answer_next("Inside.")
        await here.say("ann", GENERAL, "@nebula what is a thread? " + "x" * 200)
        [thread] = await here.until(lambda: here.discord.threads(here.place(GENERAL)))
        await here.until(lambda: here.said(thread) == ["Inside."])
        await here.bot.runner.idle()
        assert thread.name.startswith("what is a thread? xxx")
        await here.answered("ann", thread, "@nebula and then?", "Deeper.")
        assert any("what is a thread?" in message.content for message in here.nebula.requests[-1].messages)
        assert not [message for message in here.shown(GENERAL) if "Inside" in message.content]

    async def test_an_existing_thread_is_used(self, here: DiscordRoom) -> None:
        """Somebody else opened a thread under the question first."""
        await here.used("max", GENERAL, "set", parameter="replies", value="thread")
        here.nebula.first_token = 0.1
        here.nebula.answer_next("In yours.")
        question = await here.say("ann", GENERAL, "@nebula hello")
        thread = here.discord.add_thread(here.place(GENERAL), "Mine", message=question)
        await here.until(lambda: here.said(thread) == ["In yours."])

    async def test_without_a_thread_the_reply_is_in_the_channel(self, here: DiscordRoom) -> None:
        """Without permission, or in a place that has no threads, the reply is in the channel."""
        denied = Permission.CREATE_PUBLIC_THREADS
        rules = (Overwrite(here.guild.id, deny=denied), Overwrite(here.me.id, deny=denied))
        here.discord.overwrite(here.place(GENERAL), *rules)
        await here.used("ada", GENERAL, "set", parameter="replies", value="thread")
        await here.answered("ann", GENERAL, "@nebula hello", "Here, then.")
        here.discord.faults.error("POST /channels/*/threads", 400, None, code=50024)
        await here.answered("ann", GENERAL, "@nebula hello", "Here too.")


class TestCommands:
    """Slash commands, and the same commands after a mention."""

    async def test_ask_fills_in_the_deferred_response(self, here: DiscordRoom) -> None:
        """`/ask` is deferred for everybody, shows who asked what, grows by edits, and enters the history."""
        here.nebula.answer_next("Forty-two.")
        shown = await here.slash("ann", GENERAL, "ask", prompt="What is the answer?")
        await here.until(lambda: shown.original is not None and "Forty-two." in shown.original.content)
        assert shown.deferred
        assert not shown.ephemeral
        assert shown.original is not None
        assert "-# ann: What is the answer?" in shown.original.content
        await here.bot.runner.idle()
        await here.answered("bob", GENERAL, "@nebula why?", "Because.")
        assert any("What is the answer?" in message.content for message in here.nebula.requests[-1].messages)

    async def test_the_question_above_an_answer_is_quoted(self, here: DiscordRoom) -> None:
        """Nothing in it or in the nickname is live; its tokens are names, for the model too."""
        nick = "[free nitro](https://evil.example)"
        here.people[nick] = here.discord.add_member(here.guild, nick)
        bob, general = here.people["bob"], here.place(GENERAL)
        here.nebula.answer_next("Text.\n```\ncode\n```")
        prompt = f"<@{bob.id}> in <#{general.id}> <:wave:4> ||x|| ```\ncode\n```"
        used = await here.slash(nick, GENERAL, "ask", prompt=prompt)
        await here.until(lambda: used.original and "code\n```" in used.original.content)
        assert used.original
        head, _, answer = used.original.content.partition("\n")
        assert head.startswith(r"-# \[free nitro\]\(https://evil.example\): @bob in #general :wave: \|\|x\|\| \`\`\`")
        assert answer == "Text.\n```\ncode\n```"
        assert here.asked().endswith(": @bob in #general :wave: ||x|| ```\ncode\n```")

    async def test_a_long_answer_to_ask_continues_in_followups(self, here: DiscordRoom) -> None:
        """Text that does not fit into the response follows in further messages."""
        here.nebula.answer_next(long_answer(20))
        shown = await here.slash("ann", GENERAL, "ask", prompt="a lot")
        await here.until(lambda: shown.followups and shown.followups[-1].content.endswith("End."))
        await here.bot.runner.idle()
        assert len(shown.followups) >= 2
        together = "\n".join(message.content for message in shown.messages)
        assert all(f"Paragraph {number:02}." in together for number in range(20))

    async def test_an_answer_outlives_its_token(self, redis_client: Redis) -> None:
        """When the command's token expires, the same message is edited as an ordinary one until the end."""
        async with room(redis_client) as here:
            held = here.nebula.hold(5)
            here.nebula.answer_next("word " * 30 + "end")
            shown = await here.slash("ann", GENERAL, "ask", prompt="slowly")
            await here.until(lambda: shown.original is not None and "word" in shown.original.content)
            here.discord.interaction_lifetime = 0.0
            held.release()
            await here.until(lambda: shown.original is not None and shown.original.content.endswith("end"))
            assert len(here.shown(GENERAL)) == 1
            assert any(call.code == 50027 for call in here.discord.calls)

    async def test_an_answer_whose_message_is_lost_with_its_token_is_posted_again(self, redis_client: Redis) -> None:
        """The text of a message that can't be edited any more comes in a new message."""
        async with room(redis_client) as here:
            here.discord.faults.error(EDIT, 404, None, code=10008)
            held = here.nebula.hold(5)
            here.nebula.answer_next("word " * 30 + "end")
            shown = await here.slash("ann", GENERAL, "ask", prompt="slowly")
            await here.until(lambda: shown.original is not None and "word" in shown.original.content)
            here.discord.interaction_lifetime = 0.0
            held.release()
            await here.until(lambda: any(not each.response for each in here.shown(GENERAL)))
            here.discord.faults.clear()
            await here.until(lambda: here.said(GENERAL)[-1].endswith("end"))

    async def test_a_command_deferred_too_late_is_answered_in_the_channel(self, here: DiscordRoom) -> None:
        """Discord dropped the command before it was acknowledged; an ordinary message answers the question."""
        here.discord.faults.error("POST /interactions/*", 404, code=10062)
        here.nebula.answer_next("Late.")
        await here.slash("ann", GENERAL, "ask", prompt="hello")
        await here.until(lambda: any("Late." in text for text in here.said(GENERAL)))

    async def test_the_prompt_can_be_set_shown_and_cleared(self, here: DiscordRoom) -> None:
        """A changed prompt takes effect at once and is announced to everybody; a prompt that somebody asks to see is
        shown to them alone."""
        assert "pirate" in await here.used("max", GENERAL, "prompt set", text="You are a pirate.")
        await here.answered("ann", GENERAL, "@nebula hello", "Ay.")
        assert "pirate" in here.nebula.requests[-1].messages[0].content
        shown = await here.slash("ann", GENERAL, "prompt show")
        await here.until(lambda: shown.original is not None)
        assert shown.ephemeral
        assert shown.original is not None
        assert "pirate" in shown.original.content
        assert "set for this channel by max" in shown.original.content
        assert "pirate" not in await here.used("max", GENERAL, "prompt clear")

    async def test_prompt_set_without_text_opens_a_form(self, here: DiscordRoom) -> None:
        """The form shows the current prompt, and accepts one of several lines."""
        await here.used("max", GENERAL, "prompt set", text="You are a pirate.")
        opened = await here.slash("max", GENERAL, "prompt set")
        modal = await here.until(lambda: opened.modal)
        assert modal is not None
        assert "You are a pirate." in str(modal.components)
        sent = await here.discord.submit_modal(opened, {"text": "You are a cook.\nBe brief."})
        await here.until(lambda: sent.original is not None)
        assert sent.original is not None
        assert "You are a cook.\nBe brief." in sent.original.content

    async def test_a_button_opens_the_form_after_a_mention(self, here: DiscordRoom) -> None:
        """A message can't open a form; `!prompt set` without text shows a button that does, for people with
        permission."""
        await here.say("max", GENERAL, "@nebula !prompt set")
        [message] = await here.until(lambda: here.shown(GENERAL))
        refused = await here.discord.press(here.people["ann"], message, "open:prompt set")
        await here.until(lambda: refused.original is not None)
        assert refused.modal is None
        opened = await here.discord.press(here.people["max"], message, "open:prompt set")
        await here.until(lambda: opened.modal)
        sent = await here.discord.submit_modal(opened, {"text": "You are a cook."})
        await here.until(lambda: sent.original is not None)
        await here.answered("ann", GENERAL, "@nebula hello", "Yes, chef.")
        assert "cook" in here.nebula.requests[-1].messages[0].content

    async def test_models_are_listed_suggested_and_set(self, here: DiscordRoom) -> None:
        """The catalog is listed and suggested while typing; afterwards the chosen model answers."""
        assert "Qwen/Qwen2.5-Coder-32B-Instruct" in await here.used("ann", GENERAL, "model list")
        max_, channel = here.people["max"], here.place(GENERAL)
        choices = await here.discord.autocomplete(max_, channel, "model set", "name", "coder")
        assert [choice.value for choice in choices] == ["Qwen/Qwen2.5-Coder-32B-Instruct"]
        await here.used("max", GENERAL, "model set", name="Qwen2.5-Coder-32B")
        assert "Qwen/Qwen2.5-Coder-32B-Instruct" in await here.used("ann", GENERAL, "model show")
        await here.answered("ann", GENERAL, "@nebula code", "def f(): ...")
        assert here.nebula.requests[-1].model == "Qwen/Qwen2.5-Coder-32B-Instruct"

    async def test_settings_are_set_and_shown_with_their_origin(self, here: DiscordRoom) -> None:
        """A setting shows who set it; a wrong value is refused with the allowed ones."""
        await here.used("max", GENERAL, "set", parameter="temperature", value="0.3")
        shown = await here.used("ann", GENERAL, "settings")
        assert "**temperature**: `0.3` (set for this channel by max" in shown
        assert "a number from 0 to 2" in await here.used("max", GENERAL, "set", parameter="temperature", value="hot")
        await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        assert here.nebula.requests[-1].temperature == 0.3

    async def test_reset_forgets_and_help_lists_the_commands(self, here: DiscordRoom) -> None:
        """After a reset the model reads nothing from before; help names every command."""
        await here.answered("ann", GENERAL, "@nebula remember", "I do.")
        assert "1 question and answer" in await here.used("max", GENERAL, "reset")
        await here.answered("ann", GENERAL, "@nebula remember?", "No.")
        assert len(here.nebula.requests[-1].messages) == 2
        text = await here.used("ann", GENERAL, "help")
        assert all(word in text for word in ("prompt set", "model list", "reset", "settings"))

    async def test_the_same_commands_work_after_a_mention(self, here: DiscordRoom) -> None:
        """`!` makes a message a command; an unknown one or a wrong value is answered with what to write."""
        await here.say("max", GENERAL, "@nebula !set temperature 0.5")
        await here.until(lambda: len(here.said(GENERAL)) == 1)
        await here.say("ann", GENERAL, "@nebula !promt show")
        await here.until(lambda: len(here.said(GENERAL)) == 2)
        await here.say("max", GENERAL, "@nebula !set top_p 7")
        await here.until(lambda: len(here.said(GENERAL)) == 3)
        done, unknown, wrong = here.said(GENERAL)
        assert "0.5" in done
        assert "There is no command" in unknown
        assert "a number from 0.01 to 1" in wrong
        assert not here.nebula.requests

    async def test_a_command_that_takes_long_is_deferred(self, redis_client: Redis) -> None:
        """The bot acknowledges the command in time; only the person sees that, and then the response."""
        async with room(redis_client, answer_seconds=0) as here:
            shown = await here.slash("ann", GENERAL, "prompt show")
            await here.until(lambda: shown.original is not None and "System prompt" in shown.original.content)
            assert shown.deferred
            assert shown.ephemeral
            assert not shown.followups

    async def test_a_deferred_command_shows_only_a_change_in_public(self, redis_client: Redis) -> None:
        """Only the person sees a refusal, even if it comes late; everybody sees a change."""
        async with room(redis_client, answer_seconds=0) as here:
            refused = await here.slash("max", GENERAL, "set", parameter="temperature", value="hot")
            await here.until(
                lambda: refused.original is not None and "a number from 0 to 2" in refused.original.content
            )
            assert refused.deferred
            assert refused.ephemeral
            assert not refused.followups
            done = await here.slash("max", GENERAL, "set", parameter="temperature", value="0.3")
            [told] = await here.until(lambda: done.followups)
            assert done.deferred
            assert done.ephemeral
            assert "0.3" in told.content
            assert not told.ephemeral_for

    async def test_a_scope_can_be_chosen(self, here: DiscordRoom) -> None:
        """`scope` chooses the scope of a change: the whole server (for admins), a thread or its channel."""
        changed = {"parameter": "temperature", "value": "0.7", "scope": "workspace"}
        assert "Only admins of the whole server" in await here.used("max", GENERAL, "set", **changed)
        assert "of this server" in await here.used("ada", GENERAL, "set", **changed)
        assert "`0.7` (set for this server by" in await here.used("ann", "#random", "settings")
        thread = here.discord.add_thread(here.place(GENERAL), "Aside")
        own = "Qwen/Qwen2.5-Coder-32B-Instruct"
        assert "of this channel" in await here.used("ada", thread, "model set", name=own, scope="channel")
        assert own in await here.used("ann", GENERAL, "model show")
        assert "of this thread" in await here.used("ada", thread, "prompt set", text="Be brief.", scope="thread")
        assert "This thread no longer has its own" in await here.used("ada", thread, "prompt clear", scope="thread")

    async def test_a_form_keeps_the_chosen_scope(self, here: DiscordRoom) -> None:
        """`/prompt set` without text but with a scope opens a form whose text is set in that scope."""
        opened = await here.slash("ada", GENERAL, "prompt set", scope="workspace")
        await here.until(lambda: opened.modal)
        sent = await here.discord.submit_modal(opened, {"text": "You are a cook."})
        await here.until(lambda: sent.original is not None)
        assert sent.original is not None
        assert "of this server" in sent.original.content

    async def test_an_empty_form_is_answered_with_a_sentence(self, here: DiscordRoom) -> None:
        """Discord accepts no form as the answer to a form."""
        opened = await here.slash("max", GENERAL, "prompt set")
        await here.until(lambda: opened.modal)
        sent = await here.discord.submit_modal(opened, {"text": " \n "})
        await here.until(lambda: sent.original is not None)
        assert sent.original is not None
        assert sent.original.content == "Write the prompt into the form."
        assert sent.ephemeral

    async def test_a_response_that_is_too_long_for_one_message_is_cut(self, here: DiscordRoom) -> None:
        """A prompt of 5,000 characters is shown in full, over several messages, to the person alone."""
        text = "\n".join(f"Rule {number}: be kind and say so." for number in range(150))
        await here.used("max", GENERAL, "prompt set", text=text)
        shown = await here.slash("ann", GENERAL, "prompt show")
        await here.until(lambda: len(shown.followups) >= 2)
        await here.until(lambda: "Rule 149" in shown.messages[-1].content)
        assert all(len(each.content) <= 2000 and each.ephemeral_for for each in shown.messages)


class TestRights:
    """Who may change what."""

    async def test_managers_change_a_channel_and_others_read(self, here: DiscordRoom) -> None:
        """Changes need Manage Channels, by command and by mention; reading is free."""
        assert "may not change" in await here.used("ann", GENERAL, "set", parameter="temperature", value="1")
        assert "temperature" in await here.used("ann", GENERAL, "settings")
        await here.say("ann", GENERAL, "@nebula !set temperature 1")
        await here.until(lambda: any("may not change" in text for text in here.said(GENERAL)))
        await here.say("max", GENERAL, "@nebula !set temperature 1")
        await here.until(lambda: any("`1`" in text for text in here.said(GENERAL)))

    async def test_the_permissions_of_the_channel_count(self, here: DiscordRoom) -> None:
        """Manage Channels in one channel counts only there, for messages too."""
        here.discord.overwrite(here.place(GENERAL), Overwrite(here.people["ann"].id, Permission.MANAGE_CHANNELS))
        await here.say("ann", GENERAL, "@nebula !set temperature 1")
        await here.until(lambda: any("`1`" in text for text in here.said(GENERAL)))
        await here.say("ann", "#random", "@nebula !set temperature 1")
        await here.until(lambda: any("may not change" in text for text in here.said("#random")))

    async def test_admins_change_the_whole_server(self, here: DiscordRoom) -> None:
        """`--workspace` is for people who manage the server; its settings apply in every channel."""
        await here.say("max", GENERAL, "@nebula !set --workspace temperature 1")
        await here.until(lambda: any("Only admins" in text for text in here.said(GENERAL)))
        await here.say("ada", GENERAL, "@nebula !set --workspace temperature 0.7")
        await here.until(lambda: any("0.7" in text for text in here.said(GENERAL)))
        assert "0.7" in await here.used("ann", "#random", "settings")

    async def test_in_a_direct_message_everybody_may_change_settings(self, here: DiscordRoom) -> None:
        """Changes in one's own direct channel need no permissions."""
        assert "0.2" in await here.used("ann", "@ann", "set", parameter="temperature", value="0.2")

    async def test_everyone_may_manage(self, redis_client: Redis) -> None:
        """DISCORD_MANAGERS may allow everyone to manage."""
        async with room(redis_client, changes={"discord_managers": ("everyone",)}) as here:
            assert "`1`" in await here.used("ann", GENERAL, "set", parameter="temperature", value="1")

    async def test_a_listed_role_manages(self, redis_client: Redis) -> None:
        """A role counts for the people who have it."""
        async with discord_server() as discord, NebulaServer() as model:
            here = DiscordRoom(discord, model)
            role = discord.add_role(here.guild, "cooks")
            here.people["eve"] = discord.add_member(here.guild, "eve", roles=[role])
            config = config_for(discord, model, discord_managers=(role.id, here.people["bob"].id))
            async with running(here, redis_client, config):
                for who, allowed in (("eve", True), ("bob", True), ("ann", False)):
                    shown = await here.used(who, GENERAL, "set", parameter="temperature", value="1")
                    assert ("`1`" in shown) is allowed
                await here.say("eve", GENERAL, "@nebula !set temperature 0.5")
                await here.until(lambda: any("`0.5`" in text for text in here.said(GENERAL)))


class TestConnection:
    """Logging in, staying connected, and leaving."""

    async def test_no_privileged_intent_is_requested(self, here: DiscordRoom) -> None:
        """The bot needs only guilds, guild messages and direct messages."""
        [session] = here.discord.gateway.sessions
        assert session.intents == Intent.GUILDS | Intent.GUILD_MESSAGES | Intent.DIRECT_MESSAGES

    async def test_commands_are_registered_only_when_they_changed(self, redis_client: Redis) -> None:
        """The first start registers the commands; the second finds them up to date."""
        async with room(redis_client) as here:
            await here.until(lambda: here.discord.commands.puts)
            names = {command["name"] for command in here.discord.commands.registered}
            offered = {command.name.split()[0] for command in COMMANDS if not command.suggests}
            # a model for one question is an option of /ask
            assert names == {*offered, ASK, SUMMARISE} - {"with"}
            route = "GET /applications/{application}/commands"
            async with running(here, redis_client, config_for(here.discord, here.nebula)):
                await here.until(lambda: sum(call.route == route for call in here.discord.calls) == 2)
                await here.used("ann", GENERAL, "help")
            assert here.discord.commands.puts == 1

    async def test_mentions_are_answered_without_registered_commands(self, redis_client: Redis) -> None:
        """The bot still answers mentions."""

        def broken(stage: DiscordRoom) -> None:
            stage.discord.faults.error("PUT /applications/*", 500, None)

        async with room(redis_client, before=broken) as here:
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")

    async def test_commands_are_registered_despite_failures(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call without an answer is repeated: nobody should have to restart the bot to get its commands."""
        monkeypatch.setattr(commands, "PAUSE_SECONDS", (0.01,) * 3)

        def troubled(stage: DiscordRoom) -> None:
            stage.discord.faults.error("GET /applications/*/commands", 503)
            stage.discord.faults.rate_limit("PUT /applications/*", 0.01)
            stage.discord.faults.error("PUT /applications/*", 503)

        async with room(redis_client, before=troubled) as here:
            assert "settings" in await here.used("ann", GENERAL, "help")
            assert here.discord.commands.puts == 1

    async def test_history_survives_a_restart(self, redis_client: Redis) -> None:
        """A restarted bot has the history; the stopped one had closed its connection properly."""
        async with discord_server() as discord, NebulaServer() as model:
            here, config = DiscordRoom(discord, model), config_for(discord, model)
            async with running(here, redis_client, config):
                await here.answered("ann", GENERAL, "@nebula my name is Ann", "Noted.")
            assert await here.until(lambda: discord.gateway.closes) == [1000]
            async with running(here, redis_client, config):
                await here.answered("ann", GENERAL, "@nebula my name?", "Ann.")
            assert any("my name is Ann" in message.content for message in model.requests[-1].messages)

    async def test_two_replicas_answer_once(self, redis_client: Redis) -> None:
        """Two processes with the same token receive every event, and one of them answers."""
        async with room(redis_client) as here, running(here, redis_client, config_for(here.discord, here.nebula)):
            await here.answered("ann", GENERAL, "@nebula hello", "One.")
            here.nebula.answer_next("Two.")
            await here.until(_ends(await here.slash("ann", GENERAL, "ask", prompt="again"), "Two."))
            await here.answered("ann", GENERAL, "@nebula last", "Three.")
            assert len(here.nebula.requests) == 3

    async def test_a_dropped_connection_is_resumed(self, here: DiscordRoom) -> None:
        """Messages written while the socket was down are answered once it is back."""
        here.discord.gateway.drop()
        here.nebula.answer_next("Back.")
        await here.say("ann", GENERAL, "@nebula hello?")
        await here.until(lambda: here.said(GENERAL) == ["Back."])
        assert here.discord.gateway.resumes == 1

    async def test_a_first_handshake_that_fails_is_tried_again(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Discord is unreachable when the bot starts: it waits, logs that once, with where to look, and connects."""
        monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.01)
        monkeypatch.setattr("bots.discord.app.RETRY_SECONDS", 0.01)

        def away(stage: DiscordRoom) -> None:
            stage.discord.gateway.refuse = 2

        async with room(redis_client, before=away) as here:
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        told = [record.getMessage() for record in caplog.records if "Discord" in record.getMessage()]
        lost = [text for text in told if "HTTP 503" in text]
        assert len(lost) == 1
        assert "DISCORD_API_URL" in lost[0]
        assert told.count("Discord answers now") == 1

    async def test_a_failed_handshake_is_logged_as_one_sentence(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """If a connection that was up can't be restored, the log has a warning without a traceback."""
        caplog.set_level(logging.WARNING)
        monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda _: 0.01)
        async with room(redis_client) as here:
            here.discord.gateway.refuse = 2
            here.discord.gateway.drop()
            await here.answered("ann", GENERAL, "@nebula hello", "Hi.")
        told = [record for record in caplog.records if record.name == "discord.client"]
        assert told
        for record in told:
            assert record.levelno == logging.WARNING
            assert record.exc_info is None
            assert "trying again in" in record.getMessage()
        assert "HTTP 503" in told[-1].getMessage()

    async def test_a_refused_token_is_a_wrong_configuration(self, redis_client: Redis) -> None:
        """The sentence names the variable and says what to do; it does not contain the token."""
        async with discord_server() as discord, NebulaServer() as model:
            here = DiscordRoom(discord, model)
            with pytest.raises(ExceptionGroup) as caught:
                async with running(here, redis_client, config_for(discord, model, discord_token="wrong-token")):
                    pass
            [error] = caught.value.exceptions
            assert isinstance(error, WrongConfig)
            assert "DISCORD_TOKEN" in error.problems[0]
            assert "wrong-token" not in error.problems[0]

    async def test_a_bot_without_a_server_logs_its_invitation(
        self, redis_client: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first start logs the address that adds the bot to a server with the permissions it needs, and that others
        may use it too."""
        caplog.set_level(logging.INFO, "bots.discord")

        def alone(stage: DiscordRoom) -> None:
            stage.discord._world.guilds.clear()

        async with room(redis_client, before=alone) as here:
            url = invite_url(here.discord.application_id)
            report = here.platform.report(Examination(open=True))
        assert "scope=bot+applications.commands" in url
        assert any(url in record.getMessage() for record in caplog.records)
        assert [each.mend for each in report if "in 0 servers" in each.text] == [f"add it to one: {url}"]
        assert any(record.getMessage().endswith("in 0 servers") for record in caplog.records)

    @pytest.mark.parametrize(("public", "everybody"), [(True, True), (True, False), (False, True)])
    async def test_a_public_bot_that_everybody_may_use_is_reported(
        self, redis_client: Redis, public: bool, everybody: bool
    ) -> None:
        """Anybody could add it and spend the account; not where ACCESS_ALLOW says who may use it."""

        def switch(stage: DiscordRoom) -> None:
            stage.discord.portal.public = public

        async with room(redis_client, before=switch) as here:
            report = here.platform.report(Examination(open=everybody))
        wrong = [each for each in report if each.verdict is Verdict.BAD]
        assert ["ACCESS_ALLOW" in each.mend for each in wrong] == [True] * (public and everybody)

    async def test_one_server_is_singular_in_the_log(
        self, redis_client: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log uses the singular for one server."""
        caplog.set_level(logging.INFO, "bots.discord")
        async with room(redis_client):
            pass
        assert any(record.getMessage().endswith("in 1 server") for record in caplog.records)

    async def test_without_redis_the_person_gets_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Discord does not deliver an event again; if Redis stays away, the question gets a sentence, not silence."""
        monkeypatch.setattr(ordering, "STORE_TIMEOUT_SECONDS", 0.2)
        monkeypatch.setattr(ordering, "AWAY_SECONDS", HANG_SECONDS)  # or that it waits is said first
        async with connection("unix:///nowhere/redis.sock") as nowhere, room(nowhere) as here:
            await here.say("ann", GENERAL, "@nebula hello")
            await here.until(lambda: here.said(GENERAL) == [StoreError.notice])
            await here.until(_ends(await here.slash("ann", GENERAL, "ask", prompt="hello"), StoreError.notice))
            assert StoreError.notice in await here.used("ann", GENERAL, "settings")

    async def test_no_text_and_no_token_is_logged(self, here: DiscordRoom, caplog: pytest.LogCaptureFixture) -> None:
        """The log contains no text of people or models, neither in success nor in failure."""
        caplog.set_level(logging.DEBUG, "bots")
        caplog.set_level(logging.DEBUG, "core")
        here.discord.faults.error(EDIT_RESPONSE, 503, times=1)
        here.nebula.answer_next("topsecret answer")
        shown = await here.slash("ann", GENERAL, "ask", prompt="topsecret question")
        await here.until(lambda: shown.original is not None and "answer" in shown.original.content)
        await here.bot.runner.idle()
        text = "\n".join(record.getMessage() for record in caplog.records)
        assert "503" in text
        assert "topsecret" not in text
        assert shown.token not in text
        assert here.discord.token not in text


async def test_another_process_continues_a_turn(redis_client: Redis) -> None:
    """A bot that stops in the middle of an answer hands it back; the next one finishes it in the same message."""
    async with discord_server() as discord, NebulaServer() as model:
        here, config = DiscordRoom(discord, model), config_for(discord, model)
        model.hold(5)
        model.answer_next("a long tale " * 40)
        async with running(here, redis_client, config):
            await here.say("ann", GENERAL, "@nebula a tale")
            await here.until(lambda: here.shown(GENERAL))
        model.answer_next("The whole tale.")
        async with running(here, redis_client, config):
            await here.until(lambda: here.said(GENERAL) == ["The whole tale."])
