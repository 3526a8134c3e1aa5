"""Buttons under replies: they work once, in any process and after restarts, for the people who may press them."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Place, Rights
from core.domain.page import Action
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.buttons import CONTINUED, FORGOTTEN, GO_ON, NOT_YOURS, OVER, UNDER_WAY, ButtonPress
from core.reply.layout import CUT, STOPPED
from core.settings.routing import conversation_of
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import ANN, BOB, HERE, ROOM, Process, Rooms, eventually, process


async def press(
    bot: Process,
    action: Action,
    question: Question,
    by: Author = ANN,
    *,
    rights: Rights = Rights.NONE,
    room: Place = ROOM,
) -> str:
    """Press a button under the first message of the reply; returns the response, "" for none."""

    async def of() -> Rights:
        return rights

    conversation = conversation_of(question, await bot.settings.of(question.place))
    message = next(iter(bot.rooms.rooms[question.message].messages))
    response = await bot.dispatcher.pressed(action, ButtonPress(conversation, message, room, by), of)
    return response.text if response else ""


async def asked(
    bot: Process, server: NebulaServer, answer: str, text: str = "question", finish: str = "stop"
) -> Question:
    """A question with its finished answer."""
    server.answer_next(answer, finish=finish)
    question = bot.question(text)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return question


def actions(bot: Process, question: Question) -> tuple[Action, ...]:
    return list(bot.rooms.rooms[question.message].messages.values())[-1].actions


async def test_buttons_follow_the_reply(bot: Process, server: NebulaServer) -> None:
    """The reply has Stop while it grows, then Regenerate, and Continue as well if the answer was cut."""
    server.fault(NebulaFault(stall_after=2))
    server.answer_next("one two three four")
    question = bot.question("talk")
    await bot.inbox.accept(question)
    await eventually(lambda: "one" in bot.shown(question))
    assert actions(bot, question) == (Action.STOP,)
    assert await press(bot, Action.STOP, question) == ""
    await bot.runner.idle()
    assert bot.shown(question).endswith(STOPPED)
    assert actions(bot, question) == (Action.AGAIN,)
    cut = await asked(bot, server, "and then", finish="length")
    assert actions(bot, cut) == (Action.GO_ON, Action.AGAIN)


async def test_buttons_can_be_switched_off(bot: Process, server: NebulaServer) -> None:
    """A room can switch its buttons off."""
    await bot.command("set buttons off")
    assert actions(bot, await asked(bot, server, "answer")) == ()


async def test_stop_reaches_the_process_that_writes(redis_client: Redis, server: NebulaServer) -> None:
    """A press that reaches another process also ends the model's request at once."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as here, process(redis_client, server, rooms=rooms) as there:
        server.fault(NebulaFault(stall_after=2))
        server.answer_next("one two three four")
        question = here.question("talk")
        await here.inbox.accept(question)
        await eventually(lambda: "one" in here.shown(question))
        assert await press(there, Action.STOP, question) == ""
        await here.runner.idle()
        await server.until(lambda: server.requests[0].closed_early)
        assert here.shown(question).endswith(STOPPED)


async def test_stop_without_a_signal_is_found_at_the_lease_renewal(redis_client: Redis, server: NebulaServer) -> None:
    """A lost signal delays a stop until the lease is renewed, but does not lose it."""
    async with process(redis_client, server, lease=1) as bot:
        server.fault(NebulaFault(stall_after=1))
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await server.until(lambda: len(server.requests) == 1)
        await bot.amend(question.id, stop=True)
        async with asyncio.timeout(HANG_SECONDS):
            await bot.runner.idle()
        assert bot.shown(question).endswith(STOPPED)


@pytest.mark.parametrize("action", [Action.STOP, Action.AGAIN, Action.GO_ON])
async def test_only_the_author_or_a_manager_may_press(bot: Process, server: NebulaServer, action: Action) -> None:
    """A passer-by can neither stop nor replace somebody's answer; a manager can."""
    question = await asked(bot, server, "answer")
    if action is Action.GO_ON:
        assert await press(bot, action, question, BOB) == ""  # a continuation replaces nothing
        return
    if action is Action.STOP:
        server.fault(NebulaFault(stall_after=1))
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await eventually(lambda: bool(bot.rooms.rooms[question.message].messages))
    assert await press(bot, action, question, BOB) == NOT_YOURS
    assert await press(bot, action, question, BOB, rights=Rights.CHANNEL) == ""
    await bot.runner.idle()


async def test_regenerate_replaces_the_answer(bot: Process, server: NebulaServer) -> None:
    """The new answer comes in the same messages, and replaces the old one in what the model remembers."""
    first = await asked(bot, server, "an old answer", "first")
    await asked(bot, server, "later", "second")
    server.answer_next("a new answer")
    assert await press(bot, Action.AGAIN, first) == ""
    await bot.runner.idle()
    assert bot.shown(first) == "a new answer"
    again = server.requests[-1].messages
    assert [each.content for each in again[1:]] == ["Ann: first"]  # neither the old answer nor what followed it
    await asked(bot, server, "ok", "third")
    contents = [each.content for each in server.requests[-1].messages[1:]]
    assert contents == ["Ann: first", "a new answer", "Ann: second", "later", "Ann: third"]


async def test_regenerate_works_again_and_again(bot: Process, server: NebulaServer) -> None:
    """Each version can be replaced by another one."""
    question = await asked(bot, server, "v0")
    for version in ("v1", "v2"):
        server.answer_next(version)
        assert await press(bot, Action.AGAIN, question) == ""
        await bot.runner.idle()
        assert bot.shown(question) == version


async def test_a_failed_answer_can_be_asked_for_again(bot: Process, server: NebulaServer) -> None:
    """A question that got an error sentence instead of an answer is not lost: one press asks it again."""
    server.fault(NebulaFault(status=400, body='{"error":{"message":"no"}}'))
    question = bot.question("question")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    server.answer_next("this time")
    assert await press(bot, Action.AGAIN, question) == ""
    await bot.runner.idle()
    assert bot.shown(question) == "this time"


async def test_two_presses_are_one(bot: Process, server: NebulaServer) -> None:
    """Two simultaneous presses, by one person or by two, cause one new answer."""
    question = await asked(bot, server, "old")
    held = server.hold(after=0)
    pressed = [await press(bot, Action.AGAIN, question) for _ in range(2)]
    held.release()
    assert pressed == ["", UNDER_WAY]
    await bot.runner.idle()
    assert len(server.requests) == 2


async def test_continue_adds_a_message_below(bot: Process, server: NebulaServer) -> None:
    """The model continues once, for the person who pressed."""
    question = await asked(bot, server, "the first half", finish="length")
    assert bot.shown(question).endswith(CUT)
    server.answer_next("the other half")
    assert await press(bot, Action.GO_ON, question, BOB) == ""
    await bot.runner.idle()
    assert "the other half" in bot.shown(question)
    assert server.requests[-1].messages[-1].content == f"Bob: {GO_ON}"
    assert await press(bot, Action.GO_ON, question) == CONTINUED


async def test_buttons_survive_a_restart(redis_client: Redis, server: NebulaServer) -> None:
    """A button of an ended process works in the next process."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as before:
        question = await asked(before, server, "old")
    async with process(redis_client, server, rooms=rooms) as after:
        server.answer_next("new")
        assert await press(after, Action.AGAIN, question) == ""
        await after.runner.idle()
        assert after.shown(question) == "new"


async def test_a_button_without_effect_says_why(bot: Process, server: NebulaServer) -> None:
    """A button that has no effect any more says why."""
    question = await asked(bot, server, "answer")
    assert await press(bot, Action.STOP, question) == OVER
    await bot.command("reset")
    assert await press(bot, Action.AGAIN, question) == FORGOTTEN
    assert await press(bot, Action.GO_ON, question) == FORGOTTEN


async def test_a_button_of_another_place_does_nothing(bot: Process, server: NebulaServer) -> None:
    """A button must name a conversation of the place where it is pressed."""
    question = await asked(bot, server, "answer")
    assert await press(bot, Action.AGAIN, question, room=Place("test", "W1", "C2")) == FORGOTTEN


async def test_thumbs_are_counted(bot: Process, server: NebulaServer) -> None:
    """One vote for each person and answer, counted by model; a later vote replaces an earlier one."""
    question = await asked(bot, server, "answer")
    message = next(iter(bot.rooms.rooms[question.message].messages))
    for person, good in ((ANN, True), (ANN, False), (ANN, False), (BOB, True)):
        await bot.dispatcher.rated(ButtonPress(HERE, message, ROOM, person), good=good)
    assert await bot.command("ratings") == "- `meta-llama/Llama-3.3-70B-Instruct`: 👍 1, 👎 1"


async def test_no_key_is_left_without_a_ttl(bot: Process, server: NebulaServer, redis_client: Redis) -> None:
    """Answers that can be regenerated, votes and rate limits all expire."""
    question = await asked(bot, server, "answer")
    message = next(iter(bot.rooms.rooms[question.message].messages))
    await bot.dispatcher.rated(ButtonPress(HERE, message, ROOM, ANN), good=True)
    keys: list[Any] = await redis_client.keys("*")
    assert any(b":e:" in key for key in keys)
    assert any(key.startswith(b"nb:b:") for key in keys)
    assert any(key.startswith(b"nb:u:") for key in keys)
    for key in keys:
        assert await redis_client.pttl(key) > 0, key


async def test_private_answers_can_be_stopped_and_forgotten(bot: Process, server: NebulaServer) -> None:
    """`stop` ends the person's own private answer, and `reset` forgets their private history with the channel's."""
    server.fault(NebulaFault(stall_after=1))
    question = bot.question("my secret", private=True)
    await bot.inbox.accept(question)
    await eventually(lambda: bool(bot.rooms.rooms[question.message].messages))
    assert "Stopping" in await bot.command("stop")
    await bot.runner.idle()
    assert bot.shown(question).endswith(STOPPED)
    for private in (False, True):
        server.answer_next("fine")
        await bot.inbox.accept(bot.question("And now?", private=private))
        await bot.runner.idle()
        assert ("my secret" in repr(server.requests[-1].messages)) is private
    await bot.command("reset")
    server.answer_next("fine")
    await bot.inbox.accept(bot.question("And now?", private=True))
    await bot.runner.idle()
    assert "my secret" not in repr(server.requests[-1].messages)


async def test_a_failed_regeneration_keeps_the_answer(bot: Process, server: NebulaServer) -> None:
    """The old answer stays on screen and in memory; a message below says why there is no new one. A retry works."""
    question = await asked(bot, server, "the good answer")
    server.fault(NebulaFault(status=400, body='{"error":{"message":"no"}}'))
    assert await press(bot, Action.AGAIN, question) == ""
    await bot.runner.idle()
    old, notice = bot.rooms.rooms[question.message].messages.values()
    assert (old.text, notice.text, notice.actions) == ("the good answer", "", (Action.AGAIN,))
    await asked(bot, server, "ok", "next")
    assert "the good answer" in repr(server.requests[-1].messages)
    server.answer_next("a better one")
    assert await press(bot, Action.AGAIN, question) == ""
    await bot.runner.idle()
    assert next(iter(bot.rooms.rooms[question.message].messages.values())).text == "a better one"


async def test_a_regeneration_stopped_before_its_first_word_changes_nothing(bot: Process, server: NebulaServer) -> None:
    """The old answer comes back."""
    question = await asked(bot, server, "the good answer")
    server.fault(NebulaFault(stall_after=0))
    assert await press(bot, Action.AGAIN, question) == ""
    await server.until(lambda: len(server.requests) == 2)
    assert await press(bot, Action.STOP, question) == ""
    await bot.runner.idle()
    assert bot.shown(question) == "the good answer"


async def test_a_late_stop_spares_the_next_answer(bot: Process, server: NebulaServer) -> None:
    """A press on an answer that has just ended does not stop the next one."""
    done = await asked(bot, server, "answer")
    held = server.hold(after=0)
    server.answer_next("the next answer")
    following = bot.question("next")
    await bot.inbox.accept(following)
    await server.until(lambda: len(server.requests) == 2)
    assert await press(bot, Action.STOP, done) == OVER
    held.release()
    await bot.runner.idle()
    assert bot.shown(following) == "the next answer"


async def test_continue_under_an_older_answer_continues_that_answer(bot: Process, server: NebulaServer) -> None:
    """The model continues that answer, not a later one."""
    cut = await asked(bot, server, "the first half", finish="length")
    await asked(bot, server, "something else", "other")
    server.answer_next("the other half")
    assert await press(bot, Action.GO_ON, cut) == ""
    await bot.runner.idle()
    assert [each.content for each in server.requests[-1].messages[-2:]] == ["the first half", f"Ann: {GO_ON}"]


async def test_a_continuation_that_failed_can_be_tried_again(bot: Process, server: NebulaServer) -> None:
    """Only a continuation that succeeded is not repeated."""
    cut = await asked(bot, server, "the first half", finish="length")
    server.fault(NebulaFault(status=400, body='{"error":{"message":"no"}}'))
    assert await press(bot, Action.GO_ON, cut) == ""
    await bot.runner.idle()
    server.answer_next("the other half")
    assert await press(bot, Action.GO_ON, cut) == ""
    await bot.runner.idle()
    assert "the other half" in bot.shown(cut)


async def test_a_press_with_a_full_inbox_is_refused_with_a_sentence(redis_client: Redis, server: NebulaServer) -> None:
    """The existing answer stays as it is."""
    async with process(redis_client, server, inbox_limit=1) as bot:
        question = await asked(bot, server, "answer")
        server.fault(NebulaFault(stall_after=1))
        await bot.inbox.accept(bot.question("long"))
        await server.until(lambda: len(server.requests) == 2)
        assert "are waiting here" in await press(bot, Action.AGAIN, question)
        assert bot.shown(question) == "answer"
        await bot.command("stop")


async def test_unreadable_entries_are_skipped(
    bot: Process, server: NebulaServer, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry of another version hides no others, and its text does not appear in the log."""
    question = await asked(bot, server, "old")
    await redis_client.lpush(f"nb:{{0}}:e:{ROOM.name}", b'm|{"id":"x","text":"secret words"}')
    server.answer_next("new")
    assert await press(bot, Action.AGAIN, question) == ""
    await bot.runner.idle()
    assert bot.shown(question) == "new"
    assert "secret words" not in caplog.text


async def test_replayed_press_is_one_press(bot: Process, server: NebulaServer) -> None:
    """A platform that delivers a press again, even after its answer, gets no second answer."""
    question = await asked(bot, server, "Once.")
    message = next(iter(bot.rooms.rooms[question.message].messages))
    press = ButtonPress(HERE, message, ROOM, ANN, TurnId("slack/T1/C1/press/1"))

    async def rights() -> Rights:
        return Rights.NONE

    for _ in range(2):
        await bot.dispatcher.pressed(Action.AGAIN, press, rights)
        await bot.runner.idle()
    assert len(server.requests) == 2
