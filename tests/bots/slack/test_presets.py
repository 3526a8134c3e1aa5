"""Presets, personal defaults and a model for one question in Slack at the wire."""

import pytest

from tests.bots.slack.harness import SlackRoom, slack_room
from tests.bots.slack.test_commands import shown

CODER, LLAMA = "Qwen/Qwen2.5-Coder-32B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
# #general was created by ann, #random by bob; eve is an admin.
GENERAL, RANDOM = "#general", "#random"


def rules(room: SlackRoom) -> str:
    """The system message of the newest request."""
    return room.nebula.requests[-1].messages[0].content


async def said(room: SlackRoom, who: str, channel: str, text: str) -> str:
    """The response to a slash command."""
    return (await shown(room, who, channel, text))[0]


async def asked(room: SlackRoom, who: str, channel: str, text: str, answer: str) -> None:
    """Ask by a message, and wait for the answer."""
    room.nebula.answer_next(answer)
    await room.say(who, channel, text)
    await room.answered(channel, answer)
    await room.quiet()


async def test_a_preset_is_saved_used_and_followed(redis_url: str) -> None:
    """Its author changes it, another channel follows, `settings` names it, and an admin deletes it."""
    async with slack_room(redis_url) as room:
        room.open(RANDOM, "bob")
        await said(room, "ann", GENERAL, "model set Qwen2.5-Coder-32B")
        text, seen_by = await shown(room, "ann", GENERAL, "preset save Reviewer You review code.")
        assert text.startswith(f"The preset `reviewer` is saved: a prompt of 16 characters, `model` `{CODER}`.")
        assert seen_by == ""
        assert "now uses the preset" in await said(room, "bob", RANDOM, "preset use reviewer")
        await asked(room, "ann", RANDOM, "@nebula hello", "First.")
        assert (room.nebula.requests[-1].model, rules(room).partition("\n")[0]) == (CODER, "You review code.")
        await said(room, "ann", GENERAL, "preset save reviewer You review prose.")
        await asked(room, "ann", RANDOM, "@nebula and now?", "Second.")
        assert rules(room).startswith("You review prose.")
        settings = await said(room, "ann", RANDOM, "settings")
        assert "of this channel, saved by ann on 20" in settings
        assert "somebody else's" in await said(room, "bob", RANDOM, "preset delete reviewer")
        assert "is deleted" in await said(room, "eve", RANDOM, "preset delete reviewer")
        assert "it was deleted, so it does not count" in await said(room, "ann", RANDOM, "settings")
        await asked(room, "ann", RANDOM, "@nebula and now?", "Third.")
        assert not rules(room).startswith("You review")


@pytest.mark.parametrize("aloud", [False, True])
async def test_a_form_asks_for_the_prompt(redis_url: str, aloud: bool) -> None:
    """It holds the channel's prompt and knows the name of the preset; in a message, a button opens it."""
    async with slack_room(redis_url) as room:
        await said(room, "ann", GENERAL, "prompt set You are a pirate.")
        if aloud:
            await room.say("ann", GENERAL, "@nebula !preset save cook")
            message = await room.answered(GENERAL, "Write the prompt after the name")
            element = message.blocks[-1]["elements"][0]
            await room.slack.press(room.people["ann"], message, element["action_id"], element["value"])
        else:
            await room.slash("ann", GENERAL, "preset save cook")
        view = await room.form()
        assert "You are a pirate." in str(view.blocks)
        assert (await room.fill("ann", view, "You are a cook.")).closed
        if aloud:
            await room.answered(GENERAL, "is saved")
        await room.quiet()
        assert "You are a cook." in await said(room, "bob", GENERAL, "preset show cook")


async def test_a_form_does_not_save_over_what_is_somebody_elses(redis_url: str) -> None:
    """If somebody saved the name while it was open, the form says so and keeps the text."""
    async with slack_room(redis_url) as room:
        room.open(RANDOM, "bob")
        await room.slash("ann", GENERAL, "preset save cook")
        view = await room.form()
        await said(room, "bob", RANDOM, "preset save cook You are Bob's.")
        sent = await room.fill("ann", view, "You are Ann's.")
        assert not sent.closed
        assert "somebody else's" in str(sent.errors)
        assert "You are Bob's." in await said(room, "ann", GENERAL, "preset show cook")


async def test_a_direct_message_saves_no_preset_for_the_workspace(redis_url: str) -> None:
    """Unless an admin writes it; everybody can use one there."""
    async with slack_room(redis_url) as room:
        assert "only admins of the whole workspace" in await said(room, "bob", "@bob", "preset save cook x")
        assert "is saved" in await said(room, "eve", "@eve", "preset save cook You are a cook.")
        assert "This conversation now uses" in await said(room, "bob", "@bob", "preset use cook")
        await asked(room, "bob", "@bob", "hello", "Yes, chef.")
        assert rules(room) == "You are a cook."


@pytest.mark.parametrize(
    "command", ["ask --model Llama3.1-8B why?", "with Llama3.1-8B why?", "ask —model=Llama3.1-8B why?"]
)
async def test_a_model_for_one_question(redis_url: str, command: str) -> None:
    """By slash command; small print says which model answered, and the next question is as usual."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("Because.")
        await room.slash("bob", GENERAL, command)
        await room.answered(GENERAL, f"Answered by `{LLAMA}`.")
        assert room.nebula.requests[-1].model == LLAMA
        assert room.nebula.requests[-1].messages[-1].content == "bob: why?"
        await asked(room, "bob", GENERAL, "@nebula and now?", "Well.")
        assert room.nebula.requests[-1].model != LLAMA


async def test_with_after_a_mention(redis_url: str) -> None:
    """In a thread too, where no slash command reaches; `settings` shows it. Without a question, it says so."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("A regex.")
        root = await room.say("ann", GENERAL, "@nebula !with Qwen2.5-Coder-32B write a regex")
        reply = await room.answered(GENERAL, "A regex.", root.ts)
        await room.until(lambda: f"Answered by `{CODER}`." in room.shown(GENERAL, root.ts)[0])
        assert reply.thread_ts == root.ts
        await room.quiet()
        assert "of the newest question here" in await said(room, "bob", GENERAL, "settings")
        await room.say("ann", GENERAL, "!with Qwen2.5-Coder-32B", root.ts)
        await room.answered(GENERAL, "is missing (your question)", root.ts)
        assert len(room.nebula.requests) == 1


async def test_an_unknown_model_is_tried_with_a_doubt(redis_url: str) -> None:
    """The question is not lost."""
    async with slack_room(redis_url) as room:
        await room.slash("bob", GENERAL, "ask --model Llama3.1-8C why?")
        await room.answered(GENERAL, f"not on Nebula's list. Did you mean `{LLAMA}`? I will try it anyway.")
        assert room.nebula.requests[-1].model == "Llama3.1-8C"


async def test_personal_defaults_go_along(redis_url: str) -> None:
    """Set for oneself alone, seen by oneself alone; a channel can refuse them."""
    async with slack_room(redis_url) as room:
        text, seen_by = await shown(room, "bob", GENERAL, "set --me model Llama3.1-8B")
        assert LLAMA in text
        assert seen_by == room.people["bob"]
        await asked(room, "bob", GENERAL, "@nebula hi", "One.")
        await asked(room, "ann", GENERAL, "@nebula hi", "Two.")
        await asked(room, "bob", "@bob", "hi", "Three.")
        await said(room, "ann", GENERAL, "set personal off")
        await asked(room, "bob", GENERAL, "@nebula hi", "Four.")
        assert [each.model == LLAMA for each in room.nebula.requests] == [True, False, True, False]
        assert "your own default" not in await said(room, "bob", GENERAL, "settings")
        assert "your own default since" in await said(room, "bob", "@bob", "settings")
        assert "do not count" in await said(room, "bob", GENERAL, "set --me language German")


async def test_a_personal_default_from_a_message_is_answered_privately(redis_url: str) -> None:
    """In the thread of the message, for its author alone; `settings` in a message shows nobody's."""
    async with slack_room(redis_url) as room:
        await room.say("bob", GENERAL, "@nebula !set --me language German")
        (told,) = await room.until(lambda: room.slack.ephemerals(room.where(GENERAL), room.people["bob"]))
        assert told.shown == "`language` of your own questions is now: `German`"
        assert not room.said(GENERAL)
        await room.say("bob", GENERAL, "@nebula !settings")
        settings = await room.answered(GENERAL, "the slash command shows you yours")
        assert "German" not in settings.shown
        await asked(room, "bob", GENERAL, "@nebula hi", "Hallo.")
        assert "Answer in German." in rules(room)


async def test_a_prompt_knows_channel_bot_and_day(redis_url: str) -> None:
    """The channel's name is looked up only for a prompt that has it."""
    async with slack_room(redis_url) as room:
        await said(room, "ann", GENERAL, "prompt set You are {bot}.")
        before = len(room.calls("conversations.info"))
        await asked(room, "bob", GENERAL, "@nebula hi", "One.")
        assert len(room.calls("conversations.info")) == before
        await said(room, "ann", GENERAL, "prompt set {bot} in {channel} on {date} for {user}")
        await asked(room, "bob", GENERAL, "@nebula hi", "Two.")
        first = rules(room).partition("\n")[0]
        assert first.startswith("nebula in general on 20")
        assert first.endswith(" for {user}")
