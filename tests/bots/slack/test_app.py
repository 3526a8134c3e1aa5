"""The Slack adapter at the wire: what people write in channels, threads and direct messages, and what they see."""

import asyncio
import logging

import pytest
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackFile
from bots.slack.api.workspace import Patience
from tests.bots.slack.harness import HASTY, slack_room

IMAGE = SlackFile("cat.png", b"\x89PNG\r\n\x1a\n", "image/png")


async def test_a_mention_is_answered_in_a_thread_under_it(redis_url: str) -> None:
    """The reply to a mention in a channel is in its thread, in a markdown block, and pings and unfurls nothing."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("**Hello** <!channel> <@U0NEBULA>, see https://example.com")
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.answered("#general", "example.com", asked.ts)
        await room.quiet()
        (reply,) = room.said("#general")
        assert reply.thread_ts == asked.ts
        assert reply.shown == "**Hello** <!channel> <@U0NEBULA>, see https://example.com"
        assert [block["type"] for block in reply.blocks] == ["markdown", "actions", "context_actions"]
        assert (reply.pings, reply.unfurls) == ((), False)


async def test_the_model_reads_words_not_markup(redis_url: str) -> None:
    """The bot's own mention is removed, other ids become names, entities are decoded."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula ask @bob in #general: 1 < 2 & 3")
        await room.quiet()
        question = room.nebula.requests[0].messages[-1].content
        assert "ask @bob in #general: 1 < 2 & 3" in question
        assert "ann" in question
        assert "nebula" not in question


async def test_slow_names_do_not_delay_the_question(redis_url: str) -> None:
    """If Slack does not return a name in time, the id replaces it, and the event is acknowledged all the same."""
    returned = asyncio.Event()
    async with slack_room(redis_url, patience=Patience(names=0.1)) as room:
        room.slack.faults.add("users.info", faults.held(returned), times=None)
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert not room.calls("users.info")
        assert {delivery.problem for delivery in room.slack.deliveries} == {""}
        assert room.people["ann"] in room.nebula.requests[0].messages[-1].content


@pytest.mark.parametrize("mention_first", [True, False])
async def test_two_events_for_one_mention_are_one_question(redis_url: str, mention_first: bool) -> None:
    """app_mention and message.channels for the same message result in one answer, in whichever order they come."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula hello", mention_first=mention_first)
        await room.quiet()
        assert len(room.said("#general")) == 1
        assert len(room.nebula.requests) == 1


async def test_a_redelivered_event_is_answered_once(redis_url: str) -> None:
    """Slack may deliver an event again although we acknowledged it."""
    async with slack_room(redis_url) as room:
        room.slack.redeliver(3)
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert len(room.slack.deliveries) >= 8
        assert len(room.said("#general")) == 1


async def test_a_question_that_could_not_be_stored_is_not_acknowledged(redis_url: str, redis_client: Redis) -> None:
    """While Redis refuses to write, Slack gets no acknowledgement and delivers again; then one answer comes."""
    async with slack_room(redis_url, server=HASTY) as room:
        await redis_client.config_set("maxmemory", "1")
        try:
            await room.say("ann", "#general", "@nebula hello")
            await room.until(lambda: len(room.slack.deliveries) >= 4)
        finally:
            await redis_client.config_set("maxmemory", "0")
        assert all(delivery.problem for delivery in room.slack.deliveries[:4])
        await room.quiet()
        assert len(room.said("#general")) == 1


async def test_an_empty_mention_gets_help(redis_url: str) -> None:
    """A mention without text gets a hint what to do; the model is not asked."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula")
        await room.answered("#general", "Ask me something")
        await room.quiet()
        assert not room.nebula.requests


@pytest.mark.parametrize(("channel", "text"), [("#general", "@nebula"), ("@ann", "")])
async def test_a_broken_image_alone_is_refused_with_a_sentence(redis_url: str, channel: str, text: str) -> None:
    """Who sends nothing that can be read learns why; the model is not asked."""
    async with slack_room(redis_url) as room:
        await room.say("ann", channel, text, files=[IMAGE])
        await room.answered(channel, "nothing here that I can read")
        assert "I can't read cat.png: it is damaged" in room.shown(channel)[0]
        await room.quiet()
        assert len(room.said(channel)) == 1
        assert not room.nebula.requests


async def test_a_hundred_thousand_characters_are_refused_with_a_sentence(redis_url: str) -> None:
    """A message far beyond the limit is not sent to the model."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula " + "word " * 20_000)
        await room.answered("#general", "I take at most 32,000")
        assert not room.nebula.requests


async def test_other_bots_are_not_answered(redis_url: str) -> None:
    """Another bot that mentions ours could start an endless conversation."""
    async with slack_room(redis_url) as room:
        await room.slack.bot_says(room.slack.add_bot("other"), room.where("#general"), "@nebula hello")
        await room.quiet()
        assert room.slack.deliveries
        assert not room.nebula.requests


async def test_talk_without_a_mention_is_not_answered(redis_url: str) -> None:
    """In channels the bot answers only when mentioned, even in a thread in which it has already answered."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await room.say("bob", "#general", "hi ann")
        await room.say("bob", "#general", "what do you think?", asked.ts)
        await room.quiet()
        assert len(room.nebula.requests) == 1


async def test_an_edited_question_is_answered_again_on_request(redis_url: str) -> None:
    """For an edited message Slack sends app_mention again and reports the change: both result in one offer."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        await room.slack.edit(room.people["ann"], asked.channel, asked.ts, "@nebula good bye")
        await room.answered("#general", "You changed your question", asked.ts)
        await room.quiet()
        (_, offer) = room.said("#general", asked.ts)
        assert len(room.nebula.requests) == 1
        await room.slack.press(room.people["ann"], offer, "nebula_reply_again")
        await room.until(lambda: len(room.said("#general")) == 1)
        await room.quiet()
        assert [request.messages[-1].content.endswith("good bye") for request in room.nebula.requests] == [False, True]


async def test_deleting_a_question_deletes_its_answer(redis_url: str) -> None:
    """Even if the question starts its answer's thread; the next question's history contains neither."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "#general", "@nebula my word is swordfish")
        await room.quiet()
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.until(lambda: not room.said("#general"))
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert "swordfish" not in str(room.nebula.requests[-1].messages)
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize("channel", ["#general", "@ann"])
async def test_a_question_that_is_deleted_while_it_is_answered(redis_url: str, channel: str) -> None:
    """The answer ends and is deleted, whether edited or streamed."""
    async with slack_room(redis_url) as room:
        room.held(after=20)
        room.nebula.answer_next("word " * 600)
        asked = await room.say("ann", channel, "@nebula go on")
        await room.answered(channel, "word", asked.ts)
        await room.slack.delete(asked.user, asked.channel, asked.ts)
        await room.until(lambda: not room.said(channel))
        await room.quiet()
        assert not room.said(channel)
        assert room.nebula.requests[0].closed_early


async def test_a_mention_that_an_edit_adds_is_answered(redis_url: str) -> None:
    """A person who forgot the mention and adds it asks by that edit."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "#general", "hello")
        await room.slack.edit(room.people["ann"], asked.channel, asked.ts, "@nebula hello")
        await room.quiet()
        assert len(room.said("#general", asked.ts)) == 1


async def test_two_mentions_in_one_second_are_answered_in_order(redis_url: str) -> None:
    """Both are questions, and in one thread the answer to the second takes the first into account, whatever names are
    looked up."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "lunch?")
        for number, text in enumerate(("what does @bob think of @eve?", "and you?"), 1):
            room.nebula.answer_next(f"answer {number}")
            await room.say("ann", "#general", f"@nebula {text}", root.ts)
        await room.answered("#general", "answer 2", root.ts)
        await room.quiet()
        assert [each.rpartition("\n")[2] for each in room.shown("#general", root.ts)] == ["answer 1", "answer 2"]
        asked = [request.messages[-1].content for request in room.nebula.requests]
        assert "what does @bob think of @eve?" in asked[0]
        assert "and you?" in asked[1]
        assert any("what does @bob think" in message.content for message in room.nebula.requests[1].messages[:-1])


async def test_a_question_in_a_thread_is_answered_there(redis_url: str) -> None:
    """The reply goes into the thread of the question, below the thread's first message."""
    async with slack_room(redis_url) as room:
        root = await room.say("bob", "#general", "lunch?")
        await room.say("ann", "#general", "@nebula what is for lunch?", root.ts)
        await room.quiet()
        (reply,) = room.said("#general")
        assert reply.thread_ts == root.ts


async def test_replies_can_go_into_the_channel(redis_url: str) -> None:
    """With `replies` set to channel the reply appears beside the question, unless the question is in a thread."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula !set replies channel")
        await room.answered("#general", "`channel`")
        asked = await room.say("ann", "#general", "@nebula top")
        await room.quiet()
        assert room.said("#general")[-1].thread_ts == ""
        await room.say("ann", "#general", "@nebula in the thread", asked.ts)
        await room.quiet()
        assert room.said("#general")[-1].thread_ts == asked.ts


async def test_threads_can_have_their_own_memory(redis_url: str) -> None:
    """With `memory` set to thread, one thread's messages are unknown in the next and known in its own."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "#general", "@nebula !set memory thread")
        await room.answered("#general", "`thread`")
        first = await room.say("ann", "#general", "@nebula my word is swordfish")
        await room.quiet()
        await room.say("ann", "#general", "@nebula elsewhere")
        await room.quiet()
        await room.say("ann", "#general", "@nebula again", first.ts)
        await room.quiet()
        knows = [
            any("swordfish" in message.content for message in request.messages[:-1]) for request in room.nebula.requests
        ]
        assert knows == [False, False, True]


async def test_channels_have_separate_memories(redis_url: str) -> None:
    """One channel's messages are unknown in another."""
    async with slack_room(redis_url) as room:
        room.open("#random")
        await room.say("ann", "#general", "@nebula my word is swordfish")
        await room.quiet()
        await room.say("ann", "#random", "@nebula hello")
        await room.quiet()
        assert "swordfish" not in str(room.nebula.requests[1].messages)


@pytest.mark.parametrize("dm_mention", [True, False])
async def test_a_direct_message_needs_no_mention(redis_url: str, dm_mention: bool) -> None:
    """It is answered once, in its thread, even if Slack also sends an app_mention for it."""
    async with slack_room(redis_url) as room:
        asked = await room.say("ann", "@ann", "@nebula hello" if dm_mention else "hello", dm_mention=dm_mention)
        await room.quiet()
        (reply,) = room.said("@ann")
        assert reply.thread_ts == asked.ts


async def test_a_direct_message_in_a_thread_is_answered_there(redis_url: str) -> None:
    """A thread in a direct message is like any other."""
    async with slack_room(redis_url) as room:
        root = await room.say("ann", "@ann", "hello")
        await room.quiet()
        await room.say("ann", "@ann", "and?", root.ts)
        await room.quiet()
        assert [reply.thread_ts for reply in room.said("@ann")] == [root.ts, root.ts]


async def test_a_group_message_needs_a_mention(redis_url: str) -> None:
    """Where several people talk, the bot answers only when mentioned."""
    async with slack_room(redis_url) as room:
        room.channels["#group"] = room.slack.add_group_dm([room.people["ann"], room.people["bob"]])
        await room.say("ann", "#group", "hi bob")
        await room.say("ann", "#group", "@nebula hello")
        await room.quiet()
        assert len(room.said("#group")) == 1


async def test_irrelevant_events_are_acknowledged(redis_url: str) -> None:
    """Otherwise Slack would deliver them again, and finally stop delivering events at all."""
    async with slack_room(redis_url) as room:
        said = await room.say("ann", "#general", "hello")
        await room.slack.open_home(room.people["ann"])
        await room.slack.delete(room.people["ann"], said.channel, said.ts)
        await room.quiet()
        assert {delivery.problem for delivery in room.slack.deliveries} == {""}
        assert {"message", "app_home_opened"} <= {each.name for each in room.slack.deliveries}


async def test_what_people_write_is_not_logged(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither are answers or tokens, not even at DEBUG, where the SDK would log all of them."""
    caplog.set_level(logging.DEBUG)
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("barracuda")
        room.slack.faults.add("chat.postMessage", faults.refused("fatal_error"))
        await room.say("ann", "#general", "@nebula swordfish")
        await room.slash("ann", "#general", "prompt set swordfish")
        await room.until(lambda: len(room.said("#general")) == 2)
        await room.quiet()
        secrets = ("swordfish", "barracuda", room.slack.bot_token, room.slack.app_token)
    assert not [secret for secret in secrets if secret in caplog.text]
