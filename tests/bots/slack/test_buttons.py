"""What surrounds a reply in Slack, at the wire: buttons, small print, a file, "(edited)", and the status before."""

import asyncio
import logging
import re
from dataclasses import replace
from typing import Any

import pytest

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.slack.methods import faults
from bots.sandbox.slack.workspace.values import SlackMessage
from bots.slack.inbound.presses import UNKNOWN
from bots.slack.manifest import SCOPES
from core.inbound.buttons import CONTINUED, FORGOTTEN, GO_ON, NOT_YOURS, OVER, UNDER_WAY
from core.reply.layout import CUT, IN_FILE, NO_FILE, STOPPED
from tests.bots.slack.harness import SlackRoom, process, slack_room

STOP_ACTION, REGENERATE_ACTION, MORE, THUMB = (
    "nebula_reply_stop",
    "nebula_reply_again",
    "nebula_reply_go-on",
    "nebula_rating",
)
BEFORE, AFTER = "nebula_reply_previous", "nebula_reply_next"
WORDS = " ".join(f"word{number}" for number in range(60))  # 120 tokens
PLACES = pytest.mark.parametrize("channel", ["#general", "@ann"], ids=["edited", "streamed"])


async def ask(room: SlackRoom, channel: str = "#general", text: str = "talk", who: str = "ann") -> SlackMessage:
    return await room.say(who, channel, text if channel[0] == "@" else f"@nebula {text}")


async def reply_to(
    room: SlackRoom, answer: str, channel: str = "#general", *, grows: bool = False, **how: Any
) -> SlackMessage:
    """Return the finished reply to a new question, growing or at once; `how` as in NebulaServer.answer_next."""
    if grows:
        room.growing()
    else:
        room.at_once()
    room.nebula.answer_next(answer, **how)
    question = await ask(room, channel)
    await room.quiet()
    return room.said(channel, question.ts)[0]


async def silent(room: SlackRoom, channel: str = "#general") -> SlackMessage:
    """Return the reply of a model that has paused in the middle of it."""
    room.growing(4)
    room.nebula.fault(NebulaFault(stall_after=20))
    room.nebula.answer_next(WORDS)
    question = await ask(room, channel)
    return await room.answered(channel, "word8", question.ts)


async def press(room: SlackRoom, who: str, message: SlackMessage, button: str, value: str = "") -> str:
    """Return what only the person who pressed reads."""
    answer = await room.slack.press(room.people[who], message, button, value)
    assert answer.problem == ""
    await room.until(lambda: answer.messages)
    assert all(each.only_for == room.people[who] for each in answer.messages)
    assert {each.thread_ts for each in answer.messages} == {message.thread_ts}
    return "\n".join(each.shown for each in answer.messages)


# --- buttons ---


@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
async def test_stop_ends_a_reply(redis_url: str, http: bool) -> None:
    """The model's request ends, the text so far stays, and the reply says it was stopped; nobody gets a message."""
    async with slack_room(redis_url, http=http) as room:
        reply = await silent(room)
        assert reply.buttons == (STOP_ACTION,)
        pressed = await room.slack.press(room.people["ann"], reply, STOP_ACTION)
        await room.nebula.until(lambda: room.nebula.requests[0].closed_early)
        await room.quiet()
        (ended,) = room.said("#general")
        assert WORDS.startswith(ended.shown.removesuffix(STOPPED).strip())
        assert ended.shown.endswith(STOPPED)
        assert ended.buttons == (REGENERATE_ACTION, THUMB)
        assert pressed.messages == ()


async def test_only_the_person_who_asked_and_managers_may_stop(redis_url: str) -> None:
    """Other people read that privately in the thread; an admin of the workspace may."""
    async with slack_room(redis_url) as room:
        reply = await silent(room)
        assert await press(room, "bob", reply, STOP_ACTION) == NOT_YOURS
        assert not room.nebula.requests[0].closed_early
        await room.slack.press(room.people["eve"], reply, STOP_ACTION)
        await room.answered("#general", STOPPED)
        await room.quiet()
        assert len(room.said("#general")) == 1


async def test_a_stop_that_comes_too_late_is_reported(redis_url: str) -> None:
    """A person who presses just as the reply ends reads that there was nothing to stop."""
    async with slack_room(redis_url) as room:
        room.nebula.answer_next(WORDS)
        room.growing()
        await ask(room)
        growing = await room.answered("#general", "word0")
        await room.quiet()
        assert await press(room, "ann", growing, STOP_ACTION) == OVER


@PLACES
async def test_regenerate_answers_in_the_same_message(redis_url: str, channel: str) -> None:
    """The new answer replaces the old one; nothing else is posted."""
    async with slack_room(redis_url) as room:
        old = await reply_to(room, WORDS, channel, grows=True)
        room.nebula.answer_next("Another answer.")
        await room.slack.press(room.people["ann"], old, REGENERATE_ACTION)
        await room.answered(channel, "Another answer.")
        await room.quiet()
        (new,) = room.said(channel)
        assert (new.ts, new.shown) == (old.ts, "Another answer.")
        assert new.buttons == (REGENERATE_ACTION, BEFORE, AFTER, THUMB)


@PLACES
async def test_a_regenerated_answer_can_be_longer(redis_url: str, channel: str) -> None:
    """Text that does not fit into the old messages follows in their thread."""
    lines = [f"Line {number} says something of no importance at all." for number in range(300)]
    async with slack_room(redis_url) as room:
        old = await reply_to(room, "short", channel)
        room.nebula.answer_next("\n\n".join(lines))
        await room.slack.press(room.people["ann"], old, REGENERATE_ACTION)
        await room.answered(channel, lines[-1])
        await room.quiet()
        replies = room.said(channel)
        assert replies[0].ts == old.ts
        assert {reply.thread_ts for reply in replies} == {old.thread_ts}
        assert "\n\n".join(reply.shown for reply in replies).split("\n\n") == lines


@PLACES
async def test_continue_adds_a_message_below(redis_url: str, channel: str) -> None:
    """Anybody can continue an answer that was cut, once, in a message of its own."""
    who = "ann" if channel[0] == "@" else "bob"
    async with slack_room(redis_url) as room:
        cut = await reply_to(room, WORDS, channel, grows=True, finish="length")
        assert cut.shown.endswith(CUT)
        assert cut.buttons == (MORE, REGENERATE_ACTION, THUMB)
        room.nebula.answer_next("The rest of it.")
        await room.slack.press(room.people[who], cut, MORE)
        rest = await room.answered(channel, "The rest of it.")
        await room.quiet()
        assert len(room.said(channel)) == 2
        assert rest.thread_ts == cut.thread_ts
        assert room.nebula.requests[-1].messages[-1].content.endswith(GO_ON)
        assert await press(room, who, cut, MORE) == CONTINUED


@PLACES
async def test_thumbs_are_counted(redis_url: str, channel: str) -> None:
    """Each person counts once, with their last vote; a command shows the counts."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, WORDS, channel, grows=True)
        feedback = reply.blocks[-1]["elements"][0]
        good, bad = (feedback[name]["value"] for name in ("positive_button", "negative_button"))
        votes = [("ann", bad), ("ann", good)] + ([("bob", bad)] if channel[0] == "#" else [])
        for who, vote in votes:
            assert "Thank you" in await press(room, who, reply, THUMB, vote)
        counts = await room.slash("ann", channel, "ratings")
        await room.until(lambda: counts.messages)
        assert counts.messages[0].shown.endswith(f"👍 1, 👎 {len(votes) - 2}")


async def test_two_quick_presses_are_one(redis_url: str) -> None:
    """Of two presses at the same moment one takes effect, and the other person reads that it is under way."""
    async with slack_room(redis_url) as room:
        old = await reply_to(room, "Old.")
        thought = room.held()
        room.nebula.answer_next("New.")
        both = await asyncio.gather(*(room.slack.press(room.people["ann"], old, REGENERATE_ACTION) for _ in range(2)))
        await room.until(lambda: any(each.messages for each in both))
        thought.set()
        await room.answered("#general", "New.")
        await room.quiet()
        assert [message.shown for each in both for message in each.messages] == [UNDER_WAY]
        assert len(room.nebula.requests) == 2
        assert room.shown("#general") == ["New."]


async def test_buttons_work_after_a_restart(redis_url: str) -> None:
    """A button names its conversation: the next process knows what to do."""
    async with slack_room(redis_url) as room:
        old = await reply_to(room, "Old.")
        await room.leave()
        await room.until(lambda: not room.slack.sockets)
        async with process(room, redis_url):
            room.nebula.answer_next("New.")
            await room.slack.press(room.people["ann"], old, REGENERATE_ACTION)
            await room.answered("#general", "New.")
        assert len(room.said("#general")) == 1


async def test_a_press_reaches_the_process_that_writes(redis_url: str) -> None:
    """Slack delivers a press to any process; the one that writes the reply learns of it at once."""
    async with slack_room(redis_url) as room:
        reply = await silent(room)
        async with process(room, redis_url):
            room.running.cancel()  # the writer continues without its own connection
            await room.until(lambda: room.slack.sockets == 1)
            await room.slack.press(room.people["ann"], reply, STOP_ACTION)
            await room.answered("#general", STOPPED)
        assert len(room.said("#general")) == 1


@pytest.mark.parametrize(
    ("button", "value", "answer"),
    [
        (STOP_ACTION, "", FORGOTTEN),
        (STOP_ACTION, "nonsense", FORGOTTEN),
        (REGENERATE_ACTION, "slack/T0NEBULA/C99999999", FORGOTTEN),
        (REGENERATE_ACTION, "slack/T0NEBULA/{channel}/1.2", FORGOTTEN),
        (MORE, "{" * 2000, FORGOTTEN),
        ("nebula_reply_", "slack/T0NEBULA/{channel}", UNKNOWN),
        ("nebula_reply_explode", "slack/T0NEBULA/{channel}", UNKNOWN),
        (THUMB, "splendid slack/T0NEBULA/{channel}", UNKNOWN),
        (THUMB, "x", UNKNOWN),
    ],
)
async def test_a_forged_button_does_nothing(
    redis_url: str, caplog: pytest.LogCaptureFixture, button: str, value: str, answer: str
) -> None:
    """A value that none of our buttons has gets a private sentence, and logs nothing."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "Answer.")
        value = value.replace("{channel}", reply.channel)
        element: dict[str, Any] = {"type": "button", "text": {"type": "plain_text", "text": "x"}, "value": value}
        block = {"type": "actions", "block_id": "forged", "elements": [{**element, "action_id": button}]}
        assert await press(room, "ann", replace(reply, blocks=(block,)), button) == answer
        await room.quiet()
        assert room.shown("#general") == ["Answer."]
        counts = await room.slash("ann", "#general", "ratings")
        await room.until(lambda: counts.messages)
        assert "Nobody" in counts.messages[0].shown
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_button_of_another_app_is_ignored(redis_url: str) -> None:
    """It is only acknowledged, so that nobody sees a warning."""
    async with slack_room(redis_url) as room:
        reply = await reply_to(room, "Answer.")
        element = {"type": "button", "action_id": "other", "text": {"type": "plain_text", "text": "x"}, "value": "y"}
        forged = replace(reply, blocks=({"type": "actions", "block_id": "b", "elements": [element]},))
        answer = await room.slack.press(room.people["ann"], forged, "other")
        assert (answer.problem, answer.messages) == ("", ())


@PLACES
async def test_a_slack_without_thumbs_gets_answers_without(redis_url: str, channel: str) -> None:
    """The first reply finds that out, and is complete all the same."""
    async with slack_room(redis_url, server={"unknown_blocks": frozenset({"context_actions"})}) as room:
        for _ in range(2):
            reply = await reply_to(room, WORDS, channel, grows=True)
            assert (reply.shown, reply.buttons) == (WORDS, (REGENERATE_ACTION,))
            assert reply.streaming != "in_progress"
        refused = [call for call in room.slack.calls if call.error]
        assert {call.error for call in refused} == {"invalid_blocks"}
        assert len(refused) <= 2  # the end of a stream, and the edit that mends it


@PLACES
async def test_buttons_can_be_switched_off(redis_url: str, channel: str) -> None:
    """Then there are none at any moment."""
    async with slack_room(redis_url, reply_buttons="off") as room:
        reply = await reply_to(room, WORDS, channel, grows=True)
        assert (reply.shown, reply.buttons) == (WORDS, ())
        assert not [call for call in room.slack.calls if "nebula_re" in str(call.arguments.get("blocks"))]


# --- small print ---


@PLACES
async def test_the_footer_comes_at_the_end(redis_url: str, channel: str) -> None:
    """Model, tokens and time are shown once they are known."""
    async with slack_room(redis_url, reply_footer="on") as room:
        reply = await reply_to(room, WORDS, channel, grows=True)
        *before, last = (frame.shown for frame in reply.frames)
        assert re.fullmatch(rf"{WORDS}\n\n`?meta-llama/\S+ · \d+ tokens · \d+\.\d s", last)
        assert not [frame for frame in before if "tokens" in frame or "meta-llama" in frame]


@PLACES
@pytest.mark.parametrize("reasoning", ["hidden", "timer", "summary"])
async def test_reasoning_is_shown_as_configured(redis_url: str, channel: str, reasoning: str) -> None:
    """Not at all, as a line with its duration, or with its newest words; the answer is the same."""
    async with slack_room(redis_url, reply_reasoning=reasoning) as room:
        thought = room.held(after=20)
        room.nebula.answer_next(WORDS, thought="so many considerations " * 10)
        question = await ask(room, channel)
        if reasoning != "hidden" and channel[0] == "#":  # a stream begins with the first word of the answer
            await room.until(lambda: room.said(channel))
        thought.set()
        await room.quiet()
        reply = room.said(channel, question.ts)[0]
        assert WORDS in reply.shown
        assert bool(re.search(r"Thought for \d+ s", reply.shown)) is (reasoning != "hidden")
        shown = "\n".join(frame.shown for frame in reply.frames)
        assert ("considerations" in shown) is (reasoning == "summary")
        if reasoning == "hidden":
            assert reply.shown == WORDS


# --- a file ---

LONG_ANSWER_LINES = [f"Line {number} says something of no importance at all." for number in range(520)]


async def long(room: SlackRoom, channel: str) -> tuple[SlackMessage, ...]:
    """Return all messages of a reply that is too long, including the file's."""
    room.slack.faults.latency = 0.01
    room.at_once()
    room.nebula.answer_next("\n\n".join(LONG_ANSWER_LINES))
    question = await ask(room, channel)
    await room.until(lambda: room.said(channel))
    await room.quiet()
    return room.said(channel, question.ts)


def text_of(replies: tuple[SlackMessage, ...]) -> list[str]:
    return [line for reply in replies for line in reply.shown.split("\n\n") if line]


@PLACES
async def test_an_answer_of_too_many_messages_becomes_a_file(redis_url: str, channel: str) -> None:
    """Its beginning is shown and says so; the whole text is in a file below, in the same thread."""
    async with slack_room(redis_url, reply_pages=2) as room:
        first, second, attached = await long(room, channel)
        assert second.shown.endswith(IN_FILE)
        assert text_of((first,)) == LONG_ANSWER_LINES[: len(text_of((first,)))]
        (file,) = attached.files
        assert file.data.decode() == "\n\n".join(LONG_ANSWER_LINES)
        assert second.buttons == (REGENERATE_ACTION, THUMB)
        assert [m.streaming for m in (first, second)].count("in_progress") == 0


async def test_a_file_is_deleted_with_its_answer(redis_url: str) -> None:
    """A regenerated answer that fits its messages leaves no old file below it."""
    async with slack_room(redis_url, reply_pages=2) as room:
        first, second, _ = await long(room, "#general")
        room.nebula.answer_next("short")
        await room.slack.press(room.people["ann"], second, REGENERATE_ACTION)
        await room.until(lambda: [each.shown for each in room.said("#general")] == ["short"])
        assert room.said("#general")[0].ts == first.ts


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "files.upload", "files.completeUploadExternal"])
@pytest.mark.parametrize("fault", [faults.server_error(), faults.rate_limited(1), faults.applied_then_reset()])
async def test_a_file_survives_a_fault(redis_url: str, step: str, fault: faults.SlackFault) -> None:
    """A temporary failure is retried, and the result is one file."""
    async with slack_room(redis_url, reply_pages=2) as room:
        room.slack.faults.add(step, fault)
        replies = await long(room, "#general")
        assert [len(reply.files) for reply in replies] == [0, 0, 1]


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "files.upload", "files.completeUploadExternal"])
@pytest.mark.parametrize("fault", [faults.server_error(), faults.refused("not_allowed")])
async def test_if_the_upload_fails_the_answer_ends_with_a_sentence(
    redis_url: str, step: str, fault: faults.SlackFault
) -> None:
    """If the upload fails for good, the last of the messages that a reply may have says that there is more."""
    async with slack_room(redis_url, reply_pages=2) as room:
        room.slack.faults.add(step, fault, times=None)
        first, second = await long(room, "#general")
        assert text_of((first,)) == LONG_ANSWER_LINES[: len(text_of((first,)))]
        assert second.shown.endswith(NO_FILE)
        assert second.buttons == (REGENERATE_ACTION, THUMB)


async def test_an_app_that_may_not_upload_ends_with_a_sentence(redis_url: str) -> None:
    """Without files:write a long answer takes as many messages as it may, too."""
    scopes = frozenset(SCOPES) - {"files:write"}
    async with slack_room(redis_url, server={"scopes": scopes}, reply_pages=2) as room:
        assert [NO_FILE in reply.shown for reply in await long(room, "#general")] == [False, True]


# --- the label of an edit ---


async def test_a_growing_reply_is_not_labelled_edited(redis_url: str) -> None:
    """Slack shows its label when the text changes: while a reply grows, only its blocks change."""
    async with slack_room(redis_url) as room:
        labels: list[bool] = []
        reply = await silent(room)
        await room.until(lambda: room.calls("chat.update"))
        labels += [bool(message.edited) for message in room.said("#general")]
        await room.slack.press(room.people["ann"], reply, STOP_ACTION)
        await room.answered("#general", STOPPED)
        assert labels == [False]
        *interim, final = room.calls("chat.update")
        assert {call.arguments["text"] for call in interim} == {room.calls("chat.postMessage")[0].arguments["text"]}
        assert str(final.arguments["text"]).startswith("word0 word1")


# --- before the reply ---


async def test_the_place_in_the_queue_is_shown_as_it_changes(redis_url: str) -> None:
    """How many others come first, until the turn comes; then the eyes on the question go."""
    async with slack_room(redis_url, reply_parallel=1) as room:
        running = [await silent(room)]
        await ask(room, who="bob")
        last = await ask(room, text="what is my place?")

        def status() -> str:
            return room.slack.status(last.channel, last.ts)

        def eyes() -> bool:
            return any(m.reactions for m in room.slack.messages(last.channel) if m.ts == last.ts)

        await room.until(lambda: status() == "is answering 2 other questions first…")
        await room.until(eyes)
        room.nebula.fault(NebulaFault(stall_after=20))
        room.nebula.answer_next("second " * 40)
        await room.slack.press(room.people["ann"], running[0], STOP_ACTION)
        await room.until(lambda: status() == "is answering another question first…")
        second = await room.answered("#general", "second")
        thought = room.held()
        await room.slack.press(room.people["bob"], second, STOP_ACTION)
        await room.until(lambda: status() == "is thinking…")
        await room.until(lambda: not eyes())
        thought.set()
        await room.quiet()
        assert status() == ""
        assert len(room.said("#general")) == 3
