"""Replies in Slack at the wire: how they grow, what people see before them, and what Slack may do to them."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.api.client import Web
from bots.slack.api.people import People
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import Capabilities, Identity
from bots.slack.inbound.text import IncomingText
from bots.slack.outbound import status
from bots.slack.outbound.status import Eyes, ThreadStatus
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address, Place
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.ports import NO_STATUS
from core.reply import notices
from core.store.ratelimits import RedisRateLimit
from tests.bots.slack.harness import slack_room
from tests.bounds import HANG_SECONDS


async def test_a_growing_reply_is_edited_in_place(redis_url: str) -> None:
    """Every frame edits the one message, with its blocks, and does not turn names into links again."""
    async with slack_room(redis_url) as room:
        room.growing()
        room.nebula.answer_next("word " * 60 + "@ann end")
        await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", "end")
        await room.quiet()
        (reply,) = room.said("#general")
        assert len(reply.frames) > 3
        assert all(call.arguments["parse"] == "none" for call in room.calls("chat.update"))
        assert all("markdown" in str(call.arguments["blocks"]) for call in room.calls("chat.update"))
        assert not reply.pings


async def test_a_long_answer_becomes_several_messages(redis_url: str) -> None:
    """Nothing is lost at the page breaks, and all messages are in the same thread."""
    async with slack_room(redis_url) as room:
        lines = [f"Line {number} says something of no importance at all." for number in range(700)]
        room.nebula.answer_next("\n\n".join(lines))
        asked = await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", lines[-1])
        await room.quiet()
        replies = room.said("#general", asked.ts)
        assert len(replies) > 2
        assert "\n\n".join(reply.shown for reply in replies).split("\n\n") == lines


async def test_the_bots_own_name_in_front_of_an_answer_is_taken_away(redis_url: str) -> None:
    """The name that Slack reports for the token."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next("**nebula:** Hello there, Ann.")
        await room.say("ann", "#general", "@nebula hi")
        await room.answered("#general", "Ann.")
        await room.quiet()
        (reply,) = room.said("#general")
        assert "nebula" not in reply.shown


async def test_a_thinking_model_shows_that_it_thinks(redis_url: str) -> None:
    """No frame of the reply contains the reasoning; a line above the answer says that the model was thinking."""
    async with slack_room(redis_url) as room:
        thought = room.held(after=20)
        room.nebula.answer_next("The answer is 42.", thought="hidden considerations " * 20)
        await room.say("ann", "#general", "@nebula think")
        await room.answered("#general", "Thinking")
        thought.set()
        reply = await room.answered("#general", "The answer is 42.")
        await room.quiet()
        shown = [frame.shown for frame in room.said("#general")[0].frames]
        assert any("Thinking" in frame for frame in shown)
        assert not any("considerations" in frame for frame in shown)
        assert "Thought for" in room.said("#general")[0].shown
        assert reply.ts == room.said("#general")[0].ts


async def test_a_rate_limit_loses_nothing(redis_url: str) -> None:
    """After a 429 the bot waits as long as Slack says, and then posts."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", faults.rate_limited(1))
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        refused, done = room.calls("chat.postMessage")
        assert refused.status == 429
        assert done.at - refused.at >= 0.9
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize(
    "fault",
    [faults.server_error(), faults.page("<html>busy</html>"), faults.page("busy"), faults.refused("fatal_error")],
    ids=["503", "html", "text", "fatal_error"],
)
async def test_failed_calls_are_retried(redis_url: str, fault: faults.SlackFault) -> None:
    """A server error, or an HTML page in place of a response, is temporary."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", fault)
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize("error", ["msg_too_long", "msg_blocks_too_long"])
async def test_a_message_that_is_too_long_is_cut_smaller(redis_url: str, error: str) -> None:
    """Slack's limit is not documented: where it refuses a size that we take to fit, all of the answer still comes."""
    async with slack_room(redis_url) as room:
        answer = " ".join(f"word{number}" for number in range(400))
        room.nebula.answer_next(answer)
        room.slack.faults.add("chat.postMessage", faults.refused(error))
        room.slack.faults.add("chat.update", faults.refused(error))
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert " ".join(said.shown for said in room.said("#general")).split() == answer.split()


async def test_a_deleted_reply_is_abandoned(redis_url: str) -> None:
    """A person who deletes the growing reply does not want it; the next question is answered as usual."""
    async with slack_room(redis_url) as room:
        more = room.held(after=20)
        room.nebula.answer_next("word " * 300)
        await room.say("ann", "#general", "@nebula go on")
        reply = await room.answered("#general", "word")
        await room.slack.delete(room.slack.bot_user, reply.channel, reply.ts)
        more.set()
        await room.quiet()
        assert room.said("#general") == ()
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize("refusal", ["edit_window_closed", "cant_update_message"])
async def test_a_reply_that_can_not_be_edited_is_posted_as_a_whole(redis_url: str, refusal: str) -> None:
    """A workspace that forbids edits still gets the whole answer, once, without a leftover beside it."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.update", faults.refused(refusal), times=None)
        more = room.held(after=20)
        room.nebula.answer_next("word " * 40 + "end")
        await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", "word")
        more.set()
        await room.quiet()
        assert room.calls("chat.update")
        assert [message.shown for message in room.said("#general")] == ["word " * 40 + "end"]


async def test_a_response_to_a_command_survives_a_fault(redis_url: str) -> None:
    """A changed setting is confirmed, even if Slack fails at the first attempt."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", faults.server_error(500))
        await room.say("ann", "#general", "@nebula !set temperature 1")
        await room.until(lambda: any("`temperature`" in text for text in room.shown("#general")))


async def test_reactions_of_a_process_that_has_exited_are_removed(redis_url: str) -> None:
    """Eyes that another process added to a question go when this one has answered it."""
    async with slack_room(redis_url) as room:
        question = await room.slack.say(room.person("carl"), room.where("#general"), "hello")
        web = Web(room.slack.api_url, room.slack.bot_token)
        await Eyes(web).put(question.channel, question.ts)
        for adopted in (False, True):
            place = Place("slack", room.slack.team, question.channel)
            address = Address(place, Placement.THREAD, question.ts, adopted=adopted)
            await SlackSurface(web, Eyes(web), Capabilities(), address).status(NO_STATUS)
            (seen,) = (each for each in room.slack.messages(question.channel) if each.ts == question.ts)
            assert bool(seen.reactions) is not adopted
        await web.close()


async def test_a_mention_in_code_stays_a_word(redis_url: str, redis_client: Redis) -> None:
    """The bot's name is removed where it addresses the bot, and kept where it is part of code."""
    async with slack_room(redis_url) as room:
        web, tasks = Web(room.slack.api_url, room.slack.bot_token), TaskSupervisor()
        me = Identity(room.slack.team, room.slack.bot_user, room.slack.bot_id)
        words = IncomingText(People(web, me, RedisRateLimit(redis_client), tasks.start), me.user)
        bot = f"<@{room.slack.bot_user}>"
        async with tasks.open():
            assert await words.read(f"{bot}: what does `{bot} hi` do, {bot}?") == "what does `@nebula hi` do,?"
        await web.close()


async def test_missing_markdown_blocks_are_detected_once() -> None:
    """After one refusal that names the block, all replies use mrkdwn at once."""
    kinds: list[str] = []

    async def post(request: web.Request) -> web.Response:
        kinds.append((await request.json())["blocks"][0]["type"])
        if kinds[-1] == "markdown":
            details = {"messages": ["[ERROR] unsupported type: markdown [json-pointer:/blocks/0/type]"]}
            return web.json_response({"ok": False, "error": "invalid_blocks", "response_metadata": details})
        return web.json_response({"ok": True, "ts": f"1.{len(kinds)}"})

    app = web.Application()
    app.router.add_post("/api/chat.postMessage", post)
    async with TestServer(app) as server:
        slack = Web(str(server.make_url("/api/")), "xoxb-1")
        surface = SlackSurface(
            slack, Eyes(slack), Capabilities(), Address(Place("slack", "T1", "C1"), Placement.CHANNEL)
        )
        assert [(await surface.post(Page(text))).id for text in ("one", "two")] == ["1.2", "1.3"]
        await slack.close()
    assert kinds == ["markdown", "section", "section"]


async def test_a_refused_markdown_block_becomes_mrkdwn(redis_url: str) -> None:
    """A server that does not support markdown blocks gets the text in sections."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("chat.postMessage", faults.refused("invalid_blocks"))
        room.nebula.answer_next("plain words")
        await room.say("ann", "#general", "@nebula hello")
        await room.quiet()
        post = room.calls("chat.postMessage")[-1]
        assert not post.error
        assert "section" in str(post.arguments["blocks"])
        assert room.shown("#general") == ["plain words"]


async def test_thinking_shows_in_the_thread_until_the_reply(redis_url: str) -> None:
    """The status line of the thread says that the model is thinking; it is gone when the reply is there."""
    async with slack_room(redis_url) as room:
        thought = room.held()
        asked = await room.say("ann", "#general", "@nebula hello")
        await room.until(lambda: room.slack.status(asked.channel, asked.ts) == "is thinking…")
        thought.set()
        await room.quiet()
        assert room.slack.status(asked.channel, asked.ts) == ""


async def test_the_status_of_a_reply_elsewhere_is_removed(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply beside the question does not by itself clear the status of the question's thread."""
    monkeypatch.setattr(notices, "STATUS_REPEAT_SECONDS", HANG_SECONDS)  # the status is counted
    async with slack_room(redis_url, reply_streaming="edit") as room:
        thought = room.held()
        asked = await room.say("ann", "@ann", "hello")
        await room.until(lambda: room.slack.status(asked.channel, asked.ts))
        thought.set()
        await room.quiet()
        assert [call.arguments["status"] for call in room.calls("assistant.threads.setStatus")] == ["is thinking…", ""]
        assert room.slack.status(asked.channel, asked.ts) == ""


async def test_a_status_that_comes_after_the_reply_is_removed(redis_url: str) -> None:
    """Slack may be slower to show the status than the model to send its first words."""
    async with slack_room(redis_url) as room:
        late = asyncio.Event()
        room.slack.faults.add("assistant.threads.setStatus", faults.held(late))
        more = room.held(after=20)
        room.nebula.answer_next("word " * 40)
        asked = await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", "word")
        assert not room.calls("assistant.threads.setStatus")
        late.set()
        await room.until(lambda: room.calls("assistant.threads.setStatus"))
        await room.until(lambda: len(room.calls("assistant.threads.setStatus")) == 2)
        assert not room.slack.status(asked.channel, asked.ts)
        more.set()
        await room.quiet()
        assert room.slack.status(asked.channel, asked.ts) == ""


async def test_eyes_replace_a_status_that_can_not_be_set(redis_url: str) -> None:
    """An app that may not set a status adds a reaction to the question, and does not try the status again."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("assistant.threads.setStatus", faults.refused("not_allowed_token_type"), times=None)
        for text in ("@nebula one", "@nebula two"):
            await room.say("ann", "#general", text)
            await room.quiet()
        assert len(room.calls("assistant.threads.setStatus")) == 1
        assert len(room.calls("reactions.add")) == 2
        assert not any(message.reactions for message in room.slack.messages(room.where("#general")))


async def test_eyes_that_another_process_added_meanwhile_are_removed(redis_url: str) -> None:
    """The turn begins while the call that adds them runs, and Slack refuses that call: they are there already."""
    async with slack_room(redis_url) as room:
        web, gate = Web(room.slack.api_url, room.slack.bot_token), asyncio.Event()
        question = await room.say("ann", "#general", "hello")
        await Eyes(web).put(question.channel, question.ts)
        room.slack.faults.add("reactions.add", faults.held(gate))
        eyes = Eyes(web)
        async with asyncio.TaskGroup() as group:
            group.create_task(eyes.put(question.channel, question.ts))
            await room.until(lambda: not room.slack.faults.left("reactions.add"))
            await eyes.take(question.channel, question.ts)
            gate.set()
        assert not any(message.reactions for message in room.slack.messages(question.channel))
        await eyes.put(question.channel, question.ts)
        assert any(message.reactions for message in room.slack.messages(question.channel))
        await web.close()


async def test_eyes_without_a_call_to_remove_them_go_later(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only call is promised to another question; once the minute is over, the next eyes take these away too."""
    monkeypatch.setattr(status, "REMOVES", 2)  # of which one is promised to nobody
    monkeypatch.setattr(status, "MINUTE_SECONDS", 0.3)
    async with slack_room(redis_url) as room:
        client = Web(room.slack.api_url, room.slack.bot_token)
        left, promised = [await room.say("ann", "#general", text) for text in ("left", "promised")]
        await Eyes(client).put(left.channel, left.ts)
        eyes = Eyes(client)

        def marked(question: SlackMessage) -> bool:
            return any(message.reactions for message in room.slack.messages(left.channel) if message.ts == question.ts)

        await eyes.put(promised.channel, promised.ts)
        await eyes.take(left.channel, left.ts, adopted=True)
        assert marked(left)
        await eyes.take(promised.channel, promised.ts)
        assert not marked(promised)
        async with asyncio.timeout(HANG_SECONDS):
            while marked(left):
                await eyes.put("", "")
                await asyncio.sleep(0)
        await client.close()


async def test_renewed_statuses_leave_calls_for_first_ones(redis_url: str) -> None:
    """However often a status changes, another question still gets one."""
    async with slack_room(redis_url) as room:
        client = Web(room.slack.api_url, room.slack.bot_token)
        eyes = Eyes(client, 10)
        first, second = [await room.say("ann", "@ann", text) for text in ("first", "second")]
        await room.quiet()
        before = len(room.calls("assistant.threads.setStatus"))  # the bot's own, if it took a while to answer
        line = ThreadStatus(eyes, first.channel, first.ts, first.ts)
        for number in range(20):
            assert await line.show(f"waits for {number}")
        assert len(room.calls("assistant.threads.setStatus")) - before == 9
        assert await ThreadStatus(eyes, second.channel, second.ts, second.ts).show("waits")
        assert room.slack.status(second.channel, second.ts) == "waits"
        await client.close()


async def test_eyes_that_come_too_late_are_removed(redis_url: str) -> None:
    """The answer may be there before the reaction; then the reaction goes as soon as it has come."""
    async with slack_room(redis_url) as room:
        late, thought = asyncio.Event(), room.held()
        room.slack.faults.add("reactions.add", faults.held(late))
        root = await room.say("ann", "#general", "@nebula one")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        second = await room.say("bob", "#general", "@nebula two", root.ts)
        await room.until(lambda: not room.slack.faults.left("reactions.add"))
        thought.set()
        await room.until(lambda: len(room.said("#general", root.ts)) == 2)
        assert not room.calls("reactions.add")
        late.set()
        await room.until(lambda: room.calls("reactions.remove"))
        assert not any(message.reactions for message in room.slack.messages(second.channel))


async def test_an_app_that_may_not_react_does_not_try_again(redis_url: str) -> None:
    """Without reactions:write a waiting question has no reaction, and is answered all the same."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add("reactions.add", faults.refused("missing_scope"), times=None)
        thought = room.held()
        root = await room.say("ann", "#general", "@nebula one")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        await room.say("bob", "#general", "@nebula two", root.ts)
        await room.until(lambda: room.calls("reactions.add"))
        await room.say("bob", "#general", "@nebula three", root.ts)
        await room.until(lambda: not room.slack.pending)
        thought.set()
        await room.until(lambda: len(room.said("#general")) == 3)
        assert len(room.calls("reactions.add")) == 1


async def test_a_waiting_question_by_command_gets_a_message(redis_url: str) -> None:
    """A command has no message for a reaction; the person gets a private sentence."""
    async with slack_room(redis_url) as room:
        thought = room.held()
        await room.slash("bob", "#general", "ask one")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        await room.slash("bob", "#general", "ask two")
        (message,) = await room.until(lambda: room.slack.ephemerals(room.where("#general"), room.people["bob"]))
        assert "is waiting for its turn" in message.shown
        thought.set()
        await room.until(lambda: len(room.said("#general")) == 2)


async def test_a_waiting_question_gets_eyes(redis_url: str) -> None:
    """A question that has to wait for another gets eyes, which go when it is answered."""
    async with slack_room(redis_url) as room:
        thought = room.held()
        root = await room.say("ann", "#general", "@nebula one")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        second = await room.say("bob", "#general", "@nebula two", root.ts)

        def marks() -> tuple[tuple[str, tuple[str, ...]], ...]:
            return next(m.reactions for m in room.slack.messages(second.channel) if m.ts == second.ts)

        await room.until(lambda: marks() == (("eyes", (room.slack.bot_user,)),))
        thought.set()
        await room.quiet()
        assert marks() == ()
        assert len(room.said("#general", root.ts)) == 2


async def test_a_running_reply_outlives_the_connection(redis_url: str) -> None:
    """After the platform has stopped, running replies reach their end within the time they have."""
    async with slack_room(redis_url) as room:
        more = room.held(after=20)
        room.nebula.answer_next("word " * 50 + "end")
        await room.say("ann", "#general", "@nebula go on")
        await room.answered("#general", "word")
        await room.leave()
        more.set()
        await room.answered("#general", "end")
