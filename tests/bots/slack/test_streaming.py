"""Slack's native streams at the wire: how a reply grows, and reaches its end despite any fault of Slack."""

import asyncio
import itertools
import re
from pathlib import Path

import pytest

from bots.sandbox.nebula.faults import NebulaFault, Thought
from bots.sandbox.slack.delivery.events import SUBSCRIPTIONS
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.api import client
from bots.slack.api.client import Web
from bots.slack.api.workspace import Capabilities
from bots.slack.outbound import streaming_surface
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address, Place
from core.domain.errors import BrokenStream
from core.domain.options import Placement
from core.domain.page import Page
from core.domain.turn_id import TurnId
from core.reply import notices
from core.reply.layout import STOPPED
from tests.bots.slack.harness import SlackRoom, empty_room, process, slack_room
from tests.bounds import HANG_SECONDS
from tests.scenarios.warm import started

START, APPEND, STOP_STREAM = "chat.startStream", "chat.appendStream", "chat.stopStream"
POST, UPDATE = "chat.postMessage", "chat.update"
WORDS = " ".join(f"word{number}" for number in range(60))  # 120 tokens


def writes(room: SlackRoom) -> list[str]:
    """Return the methods that changed the screen, in the order of their calls, without repetitions."""
    shown = (START, APPEND, STOP_STREAM, POST, UPDATE, "chat.delete")
    return [method for method, _ in itertools.groupby(c.method for c in room.slack.calls if c.method in shown)]


async def asked(room: SlackRoom, answer: str = WORDS, channel: str = "@ann", tokens: int = 10) -> SlackMessage:
    """Ask a question whose answer visibly grows by this many tokens; 0: it comes at once."""
    if tokens:
        room.growing(tokens)
    else:
        room.at_once()
    return await put(room, answer, channel)


async def put(room: SlackRoom, answer: str = WORDS, channel: str = "@ann") -> SlackMessage:
    """Ask a question with this answer."""
    room.nebula.answer_next(answer)
    return await room.say("ann", channel, "talk" if channel[0] == "@" else "@nebula talk")


async def only(room: SlackRoom, channel: str = "@ann") -> SlackMessage:
    """Return the bot's only message in the channel, when everything is done."""
    await room.quiet()
    (reply,) = room.said(channel)
    assert reply.streaming != "in_progress"
    return reply


# --- the usual way ---


async def test_a_direct_message_is_streamed(redis_url: str) -> None:
    """The reply grows in the thread under the question and is never rewritten; its buttons come with its end."""
    async with slack_room(redis_url) as room:
        question = await asked(room)
        reply = await only(room)
        assert writes(room) == [START, APPEND, STOP_STREAM]
        (start,) = room.calls(START)
        assert start.arguments["thread_ts"] == question.ts == reply.thread_ts
        assert start.arguments["recipient_user_id"] == room.people["ann"]
        assert start.arguments["recipient_team_id"] == room.slack.team
        assert len(reply.frames) > 5
        assert all(WORDS.startswith(frame.shown) for frame in reply.frames)
        assert reply.shown == WORDS
        assert reply.buttons == ("nebula_reply_again", "nebula_rating")
        assert not reply.edited


async def test_a_status_says_that_the_model_thinks_until_the_stream_begins(redis_url: str) -> None:
    """No message without text is shown before, however long it takes."""
    async with slack_room(redis_url) as room:
        thought = room.held(tokens=10)
        question = await put(room)
        await room.until(lambda: room.slack.status(question.channel, question.ts) == "is thinking…")
        assert not room.said("@ann")
        thought.set()
        await room.until(lambda: room.said("@ann"))
        assert room.slack.status(question.channel, question.ts) == ""
        assert (await only(room)).shown == WORDS


async def test_nothing_in_a_stream_pings(redis_url: str) -> None:
    """What Slack would read as a mention is text, even if its parts arrive in two pieces."""
    text = " ".join("all <!here> and <@U0NEBULA> and <!subteam^S1|team> and `<!channel>` too" for _ in range(12))
    async with slack_room(redis_url) as room:
        await asked(room, text)
        reply = await only(room)
        assert START in writes(room)
        assert not reply.pings
        assert reply.shown.replace("\u200b", "") == text


async def test_an_answer_that_arrives_at_once_is_posted(redis_url: str) -> None:
    """A complete reply is one call, in the same thread."""
    async with slack_room(redis_url) as room:
        question = await asked(room, "Yes.", tokens=0)
        reply = await only(room)
        assert (reply.shown, reply.thread_ts) == ("Yes.", question.ts)
        assert reply.buttons == ("nebula_reply_again", "nebula_rating")


async def test_replies_in_channels_are_edited_unless_streaming_is_set(redis_url: str) -> None:
    """In a channel only the person who asked would see a stream grow, so a channel has to ask for it."""
    async with slack_room(redis_url) as room:
        await asked(room, channel="#general")
        assert (await only(room, "#general")).shown == WORDS
        assert writes(room) == [POST, UPDATE]
        await room.say("ann", "#general", "@nebula !set streaming native")
        await room.answered("#general", "streaming")
        before = len(room.slack.calls)
        question = await asked(room, channel="#general")
        await room.quiet()
        reply = room.said("#general", question.ts)[0]
        calls = [call for call in room.slack.calls[before:] if call.method in (START, STOP_STREAM, UPDATE)]
        assert [call.method for call in calls] == [START, STOP_STREAM]
        assert calls[0].arguments["recipient_user_id"] == room.people["ann"]
        assert calls[0].arguments["recipient_team_id"] == room.slack.team
        assert reply.shown == WORDS


async def test_a_direct_message_can_be_edited_instead(redis_url: str) -> None:
    """Then the reply appears beside the question."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "@ann", "!set streaming edit")
        await room.until(lambda: room.said("@ann"))
        before = len(room.said("@ann"))
        await asked(room)
        await room.quiet()
        (reply,) = room.said("@ann")[before:]
        assert writes(room) == [POST, UPDATE]
        assert (reply.shown, reply.thread_ts) == (WORDS, "")


async def test_a_reply_can_be_shown_when_it_is_complete(redis_url: str) -> None:
    """One post, and the status until then."""
    async with slack_room(redis_url, reply_streaming="off") as room:
        thought = room.held(after=60)
        question = await put(room)
        await room.until(lambda: room.slack.status(question.channel, question.ts) == "is thinking…")
        thought.set()
        reply = await only(room)
        assert writes(room) == [POST]
        assert (reply.shown, len(reply.frames)) == (WORDS, 1)


async def test_a_command_in_a_direct_message_is_answered_beside_it(redis_url: str) -> None:
    """Threads are for answers of the model."""
    async with slack_room(redis_url) as room:
        await room.say("ann", "@ann", "!help")
        await room.until(lambda: room.said("@ann"))
        assert {message.thread_ts for message in room.said("@ann")} == {""}


async def test_a_model_that_fails_leaves_a_finished_stream(redis_url: str) -> None:
    """The text so far stays; the reason for the end appears below, with the button to regenerate."""
    async with slack_room(redis_url) as room:
        room.nebula.fault(NebulaFault(cut_after=60))
        await asked(room)
        reply = await only(room)
        assert writes(room) == [START, APPEND, STOP_STREAM]
        assert reply.shown.startswith("word0 word1")
        assert reply.shown.endswith(BrokenStream.notice)
        assert reply.buttons == ("nebula_reply_again", "nebula_rating")


async def test_a_running_stream_outlives_the_connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still reaches its end after the platform has stopped."""
    monkeypatch.setattr(client, "_CLOSE_TIMEOUT_SECONDS", HANG_SECONDS)  # a call that this ends is made again
    async with slack_room(redis_url) as room:
        more = room.held(after=20, tokens=10)
        await put(room)
        await room.answered("@ann", "word5")
        await room.leave()
        more.set()
        reply = await only(room)
        assert (reply.shown, reply.buttons) == (WORDS, ("nebula_reply_again", "nebula_rating"))
        assert writes(room) == [START, APPEND, STOP_STREAM]


# --- Slack does not stream ---


@pytest.mark.parametrize(
    "code", ["unknown_method", "method_deprecated", "feature_not_enabled", "not_allowed_token_type"]
)
async def test_a_slack_without_streams_is_asked_once(redis_url: str, code: str) -> None:
    """After one refusal all replies, including this one, are edited, and none loses any text."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(START, faults.refused(code), times=None)
        for _ in range(2):
            await asked(room)
            await room.quiet()
        assert [reply.shown for reply in room.said("@ann")] == [WORDS, WORDS]
        assert len(room.calls(START)) == 1
        assert writes(room) == [START, POST, UPDATE, POST, UPDATE]


@pytest.mark.parametrize(
    "code", ["channel_type_not_supported", "missing_recipient_user_id", "missing_recipient_team_id"]
)
async def test_a_refusal_in_channels_does_not_affect_direct_messages(redis_url: str, code: str) -> None:
    """A refusal that concerns channels is remembered only for channels."""
    async with slack_room(redis_url, reply_streaming="native") as room:
        room.slack.faults.add(START, faults.refused(code))
        for _ in range(2):
            await asked(room, channel="#general")
            await room.quiet()
        assert [reply.shown for reply in room.said("#general")] == [WORDS, WORDS]
        assert len(room.calls(START)) == 1
        await asked(room)
        assert (await only(room)).shown == WORDS
        assert len(room.calls(START)) == 2


@pytest.mark.parametrize("code", ["thread_not_found", "user_not_found", "restricted_action", "invalid_arguments"])
async def test_a_refusal_of_one_reply_does_not_affect_the_next(redis_url: str, code: str) -> None:
    """A refusal that concerns one thread, person or text turns only that reply into edits."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(START, faults.refused(code))
        for _ in range(2):
            await asked(room)
            await room.quiet()
        assert [reply.shown for reply in room.said("@ann")] == [WORDS, WORDS]
        assert writes(room) == [START, POST, UPDATE, START, APPEND, STOP_STREAM]


async def test_a_rate_limit_on_starts_is_not_waited_for(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """If the next start is far away the reply is edited at once, in the thread where streams appear. The log says why,
    once."""
    caplog.set_level("INFO", "bots.slack.outbound")
    async with slack_room(redis_url) as room:
        room.slack.faults.add(START, faults.rate_limited(600))
        question = await asked(room)
        reply = await only(room)
        assert writes(room) == [START, POST, UPDATE]
        assert (reply.shown, reply.thread_ts) == (WORDS, question.ts)
        assert len(reply.frames) > 3
    assert caplog.text.count("edited instead of streamed: the next start is possible in ") == 1


# --- limits of a stream ---


async def test_a_long_answer_rolls_over_into_further_streams(redis_url: str) -> None:
    """Before Slack's limit a stream ends and the next begins in the same thread; nothing is lost or duplicated."""
    lines = [f"Line {number} says something of no importance at all." for number in range(500)]
    async with slack_room(redis_url) as room:
        question = await asked(room, "\n\n".join(lines), tokens=400)
        await room.answered("@ann", lines[-1])
        await room.quiet()
        replies = room.said("@ann", question.ts)
        assert len(replies) >= len(room.calls(START)) > 1  # the last page may be complete before it is shown
        assert not [call for call in room.slack.calls if call.error]
        assert "\n\n".join(reply.shown for reply in replies).split("\n\n") == lines
        assert "in_progress" not in {reply.streaming for reply in replies}
        assert [bool(reply.buttons) for reply in replies] == [False] * (len(replies) - 1) + [True]


async def test_code_that_rolls_over_is_code_in_every_stream(redis_url: str) -> None:
    """A fence is closed at the end of a message and opened again at the beginning of the next."""
    code = [f"line_{number} = {number} * 'of code that goes on'" for number in range(500)]
    async with slack_room(redis_url) as room:
        await asked(room, "Look:\n\n```python\n" + "\n".join(code) + "\n```\n\nThat was all.", tokens=400)
        await room.answered("@ann", "That was all.")
        await room.quiet()
        replies = room.said("@ann")
        assert len(replies) >= len(room.calls(START)) > 1  # the last page may be complete before it is shown
        assert all(len(re.findall(r"^```", reply.shown, re.MULTILINE)) == 2 for reply in replies)
        assert re.findall(r"^line_.*", "\n".join(reply.shown for reply in replies), re.MULTILINE) == code


async def test_a_limit_lower_than_assumed_loses_nothing(redis_url: str) -> None:
    """Text that a stream does not accept comes by an edit of the same message."""
    text = "\n\n".join(f"Line {number} says something of no importance." for number in range(150))
    async with slack_room(redis_url, server={"stream_cap": 3000}) as room:
        await asked(room, text, tokens=200)
        reply = await only(room)
        assert [call.error for call in room.slack.calls if call.error] == ["msg_too_long"]
        assert reply.shown == text
        assert reply.buttons == ("nebula_reply_again", "nebula_rating")


async def test_a_last_piece_beyond_the_limit_loses_nothing(redis_url: str) -> None:
    """The same if the stop does not fit."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(STOP_STREAM, faults.refused("msg_too_long"))
        await asked(room)
        reply = await only(room)
        assert (reply.shown, reply.buttons) == (WORDS, ("nebula_reply_again", "nebula_rating"))


async def test_a_stream_ends_before_slack_would_end_it(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that takes longer than a stream's lifetime continues by edits of its message."""
    async with slack_room(redis_url) as room:
        old = room.held(after=60, tokens=10)
        await put(room)
        await room.answered("@ann", "word20")
        monkeypatch.setattr(streaming_surface, "LIFETIME_SECONDS", 0.0)
        old.set()
        reply = await only(room)
        assert writes(room) == [START, APPEND, STOP_STREAM, UPDATE]
        assert not [call for call in room.slack.calls if call.error]
        assert reply.shown == WORDS
        assert all(WORDS.startswith(frame.shown.partition("\n\nwriting…")[0]) for frame in reply.frames)


async def test_a_stream_that_slack_ended_continues_by_edits(redis_url: str) -> None:
    """Whatever the documentation says about five minutes: if Slack ends a stream earlier, its message is edited."""
    async with slack_room(redis_url) as room:
        old = room.held(after=60, tokens=10)
        await put(room)
        await room.answered("@ann", "word20")
        room.slack.end_streams()
        old.set()
        reply = await only(room)
        refusals = [(call.method, call.error) for call in room.slack.calls if call.error]
        assert refusals == [(APPEND, "message_not_in_streaming_state"), (STOP_STREAM, "message_not_in_streaming_state")]
        assert (reply.shown, reply.buttons) == (WORDS, ("nebula_reply_again", "nebula_rating"))


# --- a bad connection ---

TROUBLE = {
    "503": faults.server_error(),
    "page": faults.page("<html>busy</html>"),
    "internal_error": faults.refused("internal_error"),
    "429": faults.rate_limited(1),
    "reset": faults.applied_then_reset(),
    "slow": faults.slow(0.3),
    "slow answer": faults.applied_then_slow(0.3),
}


@pytest.mark.parametrize("method", [START, APPEND, STOP_STREAM])
@pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE)
async def test_a_failed_call_loses_and_duplicates_nothing(
    redis_url: str, method: str, fault: faults.SlackFault
) -> None:
    """Whether or not the call took effect: in the end the text is there once, in one message that does not stream."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(method, fault)
        await asked(room)
        reply = await only(room)
        assert (reply.shown, reply.buttons) == (WORDS, ("nebula_reply_again", "nebula_rating"))


async def test_the_end_does_not_wait_for_the_limit_on_pieces(redis_url: str) -> None:
    """Slack accepts no more pieces for ten minutes: the reply pauses, and its end comes all the same."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(APPEND, faults.rate_limited(600), times=None)
        room.growing(most=20)
        await put(room)
        reply = await only(room)
        assert (reply.shown, reply.buttons) == (WORDS, ("nebula_reply_again", "nebula_rating"))
        assert writes(room) == [START, APPEND, STOP_STREAM]


@pytest.mark.parametrize("fault", [TROUBLE["503"], TROUBLE["reset"]], ids=["503", "reset"])
async def test_repeated_failures_lose_and_duplicate_nothing(redis_url: str, fault: faults.SlackFault) -> None:
    """Even if the calls that mend the reply also fail once."""
    async with slack_room(redis_url) as room:
        for method in (START, APPEND, STOP_STREAM, UPDATE, POST, "conversations.replies"):
            room.slack.faults.add(method, fault)
        await asked(room)
        assert (await only(room)).shown == WORDS


async def test_a_message_that_can_neither_stream_nor_be_edited_is_posted_again(redis_url: str) -> None:
    """A workspace that forbids edits gets the whole answer, without a leftover beside it."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(UPDATE, faults.refused("edit_window_closed"), times=None)
        old = room.held(after=60, tokens=10, most=60)
        await put(room)
        await room.answered("@ann", "word20")
        room.slack.end_streams()
        old.set()
        assert (await only(room)).shown == WORDS


async def test_a_deleted_stream_is_abandoned(redis_url: str) -> None:
    """A person who deletes the growing reply does not want it; the next question is answered as usual."""
    async with slack_room(redis_url) as room:
        await asked(room, "word " * 300)
        reply = await room.answered("@ann", "word")
        await room.slack.delete(room.slack.bot_user, reply.channel, reply.ts)
        await room.quiet()
        assert room.said("@ann") == ()
        await asked(room)
        assert (await only(room)).shown == WORDS


# --- retracted, stopped, taken over ---


async def test_text_that_turns_out_to_be_reasoning_is_retracted(redis_url: str) -> None:
    """The model closes reasoning that it never opened: the stream ends, and its message becomes the answer."""
    async with slack_room(redis_url) as room:
        room.growing()
        room.nebula.answer_next(WORDS, thought="let me see " * 20, style=Thought.UNOPENED)
        await room.say("ann", "@ann", "think")
        reply = await only(room)
        assert any("let me see" in frame.shown for frame in reply.frames)
        assert writes(room)[:3] == [START, APPEND, STOP_STREAM]
        assert WORDS in reply.shown
        assert "let me see" not in reply.shown


async def test_a_person_stops_a_stream(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack refuses the next piece: the request to the model ends, the text so far stays and is marked as stopped."""
    monkeypatch.setattr(notices, "STATUS_REPEAT_SECONDS", HANG_SECONDS)  # the status is counted
    async with slack_room(redis_url, server={"subscriptions": SUBSCRIPTIONS - {"agent_session_stopped"}}) as room:
        await asked(room, "word " * 500 + "end")
        reply = await room.answered("@ann", "word word")
        await room.slack.stop_stream(room.people["ann"], reply)
        await room.nebula.until(lambda: room.nebula.requests[0].closed_early)
        ended = await only(room)
        assert ended.shown.startswith("word word")
        assert ended.shown.endswith(STOPPED)
        assert "end" not in ended.shown
        assert writes(room) == [START, APPEND, UPDATE]  # a stream that a person stopped is not stopped again
        # Otherwise Slack would show the thread as busy for an hour.
        assert [call.arguments["status"] for call in room.calls("assistant.threads.setStatus")] == ["is thinking…", ""]
        assert ended.buttons == ("nebula_reply_again", "nebula_rating")


async def test_a_stop_works_while_the_model_is_silent(redis_url: str) -> None:
    """Slack reports it by an event: no piece has to be refused first."""
    async with slack_room(redis_url) as room:
        room.nebula.fault(NebulaFault(stall_after=20))
        await asked(room)
        reply = await room.answered("@ann", "word5")
        await room.slack.stop_stream(room.people["ann"], reply)
        await room.nebula.until(lambda: room.nebula.requests[0].closed_early)
        ended = await only(room)
        assert WORDS.startswith(ended.shown.removesuffix(STOPPED).strip())
        assert ended.shown.endswith(STOPPED)


async def test_a_stop_in_a_channel_reaches_the_process_that_writes(redis_url: str) -> None:
    """Any process may receive the event; if threads have separate memories, the thread names the conversation."""
    async with slack_room(redis_url, reply_streaming="native") as room, process(room, redis_url):
        await room.say("ann", "#general", "@nebula !set memory thread")
        await room.answered("#general", "memory")
        for _ in range(3):
            room.nebula.fault(NebulaFault(stall_after=20))
            question = await asked(room, channel="#general")
            reply = await room.answered("#general", "word5", question.ts)
            await room.slack.stop_stream(room.people["ann"], reply)
            await room.answered("#general", STOPPED, question.ts)
            assert len(room.said("#general", question.ts)) == 1
        await room.nebula.until(lambda: all(request.closed_early for request in room.nebula.requests))


async def test_a_stop_before_the_first_word_ends_the_question(redis_url: str) -> None:
    """While the model is thinking there is no stream that could be named; the thread identifies the question."""
    async with slack_room(redis_url) as room:
        room.nebula.fault(NebulaFault(stall_after=0))
        question = await put(room)
        await room.until(lambda: room.slack.status(question.channel, question.ts) == "is thinking…")
        await room.nebula.until(lambda: len(room.nebula.requests) == 1)
        await room.slack.stop_stream(room.people["ann"], question)
        await room.nebula.until(lambda: room.nebula.requests[0].closed_early)
        assert (await only(room)).shown == STOPPED
        assert room.slack.status(question.channel, question.ts) == ""


async def test_a_stream_that_can_not_be_stopped_does_not_block_the_answer(redis_url: str) -> None:
    """If Slack neither ends a stream nor lets us edit its message, the whole answer comes in another message."""
    async with slack_room(redis_url) as room:
        room.slack.faults.add(STOP_STREAM, faults.refused("not_authorized"), times=None)
        await asked(room)
        await room.quiet()
        assert room.said("@ann")[-1].shown == WORDS
        assert room.said("@ann")[-1].buttons == ("nebula_reply_again", "nebula_rating")


def program(room: SlackRoom, redis_url: str, **settings: str) -> dict[str, str]:
    """Return the environment for the program on this room's servers."""
    return {
        "NEBULA_API_KEY": "key",
        "NEBULA_BASE_URL": room.nebula.base_url,
        "NEBULA_PLATFORM_URL": room.nebula.platform_url,
        "SLACK_BOT_TOKEN": room.slack.bot_token,
        "SLACK_APP_TOKEN": room.slack.app_token,
        "SLACK_API_URL": room.slack.api_url,
        "REDIS_URL": redis_url,
        "LEASE_SECONDS": "1",
        **settings,
    }


async def test_a_process_that_is_killed_leaves_no_stream_behind(redis_url: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of a stream: the next process ends it and completes the answer in the same message."""
    async with empty_room() as room:
        settings = program(room, redis_url)
        async with started(tmp_path, "run", **settings) as killed:
            await room.until(lambda: room.slack.sockets)
            room.held(after=40, tokens=10)
            await put(room, "half " * 300)
            await room.until(lambda: room.calls(APPEND))
            killed.kill()
            await killed.wait()
        room.at_once()
        room.nebula.answer_next(WORDS)
        (left,) = room.said("@ann")
        assert left.streaming == "in_progress"
        async with process(room, redis_url, lease=1):
            await room.until(lambda: room.shown("@ann") == [WORDS])
        (reply,) = room.said("@ann")
        assert (reply.ts, reply.streaming) == (left.ts, "completed")


@pytest.mark.parametrize("channel", ["@ann", "#general"])
@pytest.mark.parametrize(("streaming", "method"), [("native", START), ("edit", POST)])
async def test_a_message_whose_id_a_killed_process_never_learned_is_found(
    redis_url: str, tmp_path: Path, streaming: str, method: str, channel: str
) -> None:
    """SIGKILL before Slack has returned the id of a message: the next process looks for the message, instead of
    answering a second time."""
    async with empty_room() as room:
        settings = program(room, redis_url, REPLY_STREAMING=streaming)
        async with started(tmp_path, "run", **settings) as killed:
            await room.until(lambda: room.slack.sockets)
            room.slack.faults.add(method, faults.applied_then_held(asyncio.Event()))
            room.held(after=20)
            await put(room, "half " * 300, channel)
            (left,) = await room.until(lambda: room.said(channel))
            killed.kill()
            await killed.wait()
        room.at_once()
        room.nebula.answer_next(WORDS)
        async with process(room, redis_url, lease=1, reply_streaming=streaming):
            await room.until(lambda: room.shown(channel) == [WORDS])
        (reply,) = room.said(channel)
        assert reply.ts == left.ts
        assert reply.streaming != "in_progress"


async def test_a_new_process_recognizes_its_own_stream_in_a_channel(redis_url: str) -> None:
    """Where others may stream too it asks Slack who it is, before it continues a message that it did not start."""
    async with empty_room() as room:
        root = await room.say("bob", "#general", "lunch?")
        web = Web(room.slack.api_url, room.slack.bot_token)
        left = await web.client.chat_startStream(
            channel=root.channel,
            thread_ts=root.ts,
            recipient_user_id=room.people["bob"],
            recipient_team_id=room.slack.team,
            markdown_text="half",
        )
        place = Place("slack", room.slack.team, root.channel, root.ts)
        address = Address(
            place, Placement.THREAD, root.ts, author=room.people["bob"], turn=TurnId("turn"), adopted=True
        )
        surface = SlackSurface(web, Eyes(web), Capabilities(), address)
        assert (await surface.post(Page("whole"))).id == left["ts"]
        assert room.shown("#general") == ["whole"]
        assert len(room.calls("auth.test")) == 1
        await web.close()
