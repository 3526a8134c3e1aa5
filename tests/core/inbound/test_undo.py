"""Undo: the newest question of a lane and its answer leave memory and screen, by command and by button."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Conversation, Place, Rights
from core.domain.errors import Forbidden
from core.domain.page import Action, Page
from core.domain.question import Question
from core.domain.turn_id import TurnId
from core.inbound.buttons import FORGOTTEN, ButtonPress
from core.inbound.undoing import (
    BUSY,
    FROM_MEMORY,
    GONE,
    NOT_THE_LAST,
    NOT_YOURS,
    NOTHING,
    OTHERS_UNDONE,
    STAYS,
    TAKEN_BACK,
    UNDONE,
)
from core.settings.routing import conversation_of
from tests.core.core_harness import ANN, BOB, HERE, ROOM, Process, Rooms, eventually, process

THREAD = replace(ROOM, thread="q-thread")


async def asked(
    bot: Process, server: NebulaServer, answer: str = "answer", author: Author = ANN, place: Place = ROOM, **how: Any
) -> Question:
    server.answer_next(answer)
    question = bot.question(f"what is {answer}?", place, author, **how)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return question


def messages(bot: Process, question: Question) -> tuple[str, ...]:
    return tuple(bot.rooms.rooms[question.message].messages)


async def press(
    bot: Process,
    question: Question,
    action: Action = Action.UNDO,
    by: Author = ANN,
    rights: Rights = Rights.NONE,
    message: str = "",
) -> str:
    """Press under the answer; returns the response, "" for none."""

    async def of() -> Rights:
        return rights

    conversation = conversation_of(question, await bot.settings.of(question.place))
    message = message or messages(bot, question)[-1]
    response = await bot.dispatcher.pressed(action, ButtonPress(conversation, message, question.place, by), of)
    await bot.runner.idle()
    return response.text if response else ""


async def undo(bot: Process, author: Author = ANN, place: Place = ROOM, rights: Rights = Rights.NONE) -> str:
    response = await bot.say("!undo", place, author, rights)
    assert response
    return response.text


async def remembered(bot: Process, server: NebulaServer, place: Place = ROOM) -> list[str]:
    """What the model is told of the past with a next question."""
    await asked(bot, server, "ok", place=place)
    return [each.content for each in server.requests[-1].messages[1:-1]]


@pytest.mark.parametrize("pressed", [True, False])
async def test_an_undone_answer_leaves_memory_and_screen(bot: Process, server: NebulaServer, pressed: bool) -> None:
    """By the menu of the answer or by command; what was before it stays."""
    before, last = await asked(bot, server, "first"), await asked(bot, server, "last")
    assert (await press(bot, last) == "") if pressed else (await undo(bot) == UNDONE)
    await eventually(lambda: not messages(bot, last))
    assert bot.shown(before) == "first"
    assert await remembered(bot, server) == ["Ann: what is first?", "first"]


async def test_each_command_undoes_one_more(bot: Process, server: NebulaServer) -> None:
    """Until nothing is left."""
    await asked(bot, server, "first")
    await asked(bot, server, "last")
    assert [await undo(bot) for _ in range(3)] == [UNDONE, UNDONE, NOTHING]


async def test_two_presses_are_one(bot: Process, server: NebulaServer) -> None:
    """The second finds nothing, and undoes no other answer."""
    before, last = await asked(bot, server, "first"), await asked(bot, server, "last")
    [message] = messages(bot, last)
    assert [await press(bot, last, message=message) for _ in range(2)] == ["", GONE]
    assert bot.shown(before) == "first"


async def test_only_the_newest_answer_of_a_lane_is_undone(bot: Process, server: NebulaServer) -> None:
    """Under an older one the button does nothing; where replies go into the channel, each person has a lane."""
    first, last = await asked(bot, server, "first"), await asked(bot, server, "last")
    bobs = await asked(bot, server, "bob's", BOB)
    assert await press(bot, first) == NOT_THE_LAST
    assert await press(bot, last) == ""
    assert bot.shown(bobs) == "bob's"


async def test_a_command_undoes_ones_own(bot: Process, server: NebulaServer) -> None:
    """Outside threads it takes the person's own newest answer, whatever others asked since, also from a manager."""
    await asked(bot, server, "first")
    bobs = await asked(bot, server, "bob's", BOB)
    assert await undo(bot, rights=Rights.CHANNEL) == UNDONE
    assert bot.shown(bobs) == "bob's"


async def test_in_a_thread_the_newest_there_is_undone(bot: Process, server: NebulaServer) -> None:
    """By whoever asked, or by those who manage the channel; what was said in the channel stays."""
    outside, inside = await asked(bot, server, "outside"), await asked(bot, server, "inside", place=THREAD)
    assert await undo(bot, BOB, THREAD) == NOT_YOURS
    assert await press(bot, inside, by=BOB) == NOT_YOURS
    assert bot.shown(inside) == "inside"
    assert await undo(bot, BOB, THREAD, Rights.CHANNEL) == OTHERS_UNDONE
    assert await undo(bot, ANN, THREAD) == NOTHING
    assert bot.shown(outside) == "outside"


async def test_while_an_answer_is_written_nothing_is_undone(bot: Process, server: NebulaServer) -> None:
    """A sentence says to stop it first."""
    first = await asked(bot, server, "first")
    server.fault(NebulaFault(stall_after=2))
    server.answer_next("running on and on")
    running = bot.question("slow")
    await bot.inbox.accept(running)
    await eventually(lambda: "running" in bot.shown(running))
    for question in (first, running):
        response = await bot.press(Action.UNDO, messages(bot, question)[0])
        assert response
        assert response.text == BUSY
    assert await undo(bot) == BUSY
    await press(bot, running, Action.STOP)
    assert await press(bot, running) == ""
    assert bot.shown(first) == "first"


async def test_all_versions_are_undone(bot: Process, server: NebulaServer) -> None:
    """What was regenerated leaves with all its answers."""
    question = await asked(bot, server, "one")
    server.answer_next("two")
    await press(bot, question, Action.AGAIN)
    assert await press(bot, question) == ""
    await eventually(lambda: not messages(bot, question))
    redis, mailboxes = bot.turns.mailboxes.redis, bot.turns.mailboxes
    assert not await redis.exists(*(mailboxes.key(kind, HERE) for kind in "hev"))


async def test_all_pages_and_the_file_leave(bot: Process, server: NebulaServer) -> None:
    """Of a long answer nothing stays on screen."""
    question = await asked(bot, server, "word " * 6000)
    assert len(messages(bot, question)) > 2
    assert bot.rooms.rooms[question.message].files
    assert await press(bot, question) == ""
    await eventually(lambda: not messages(bot, question))


async def test_what_the_platform_does_not_delete_says_so(bot: Process, server: NebulaServer) -> None:
    """The text goes in any case: a sentence takes its place."""
    question = await asked(bot, server, "first")
    bot.rooms.rooms[question.message].delete_faults.append(Forbidden("may not delete"))
    assert await press(bot, question) == ""
    await eventually(lambda: bot.shown(question) == TAKEN_BACK)
    [page] = bot.rooms.rooms[question.message].messages.values()
    assert (page.actions, page.thumbs, page.choices.undo) == ((), False, False)


async def test_a_private_answer_is_undone_in_memory(bot: Process, server: NebulaServer) -> None:
    """A message that only one person sees stays until they dismiss it; the bot knows nothing of it any more."""
    question = await asked(bot, server, "secret", private=True)
    [page] = bot.rooms.rooms[question.message].messages.values()
    assert (page.choices.undo, page.choices.models) == (True, ())
    assert await press(bot, question) == FROM_MEMORY
    conversation = Conversation(ROOM.name, ANN.id)
    assert not await bot.turns.mailboxes.redis.llen(bot.turns.mailboxes.key("h", conversation))


async def test_a_command_undoes_what_was_asked_last(bot: Process, server: NebulaServer) -> None:
    """Whether it was private or not."""
    public, _ = await asked(bot, server, "public"), await asked(bot, server, "secret", private=True)
    assert await undo(bot) == FROM_MEMORY
    assert bot.shown(public) == "public"
    assert await undo(bot) == UNDONE


async def test_an_answer_of_long_ago_is_taken_away(bot: Process, server: NebulaServer) -> None:
    """Where many others asked since, the exchange still knows the messages of the answer; the person's own stay."""
    question = bot.question("what is first?")
    question = replace(question, id=TurnId(f"test/{ROOM.name}/{question.message}"))
    server.answer_next("first")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    bot.rooms.rooms[question.message].messages[question.message] = Page("of a person")
    for _ in range(bot.turns.limits.ended):
        await asked(bot, server, "other", BOB)
    assert await undo(bot) == UNDONE
    await eventually(lambda: messages(bot, question) == (question.message,))


async def test_an_answer_of_unknown_messages_is_undone_in_memory(bot: Process, server: NebulaServer) -> None:
    """Where many others asked since, and a command asked it, it is not known which messages show the answer: nobody
    else's go."""
    question = await asked(bot, server, "first")
    for _ in range(bot.turns.limits.ended):
        await asked(bot, server, "other", BOB)
    assert await undo(bot) == STAYS
    assert bot.shown(question) == "first"


async def test_after_a_reset_there_is_nothing_to_undo(bot: Process, server: NebulaServer) -> None:
    """Both ways say so."""
    question = await asked(bot, server, "first")
    await bot.command("reset")
    assert await undo(bot) == NOTHING
    assert await press(bot, question) == GONE


async def test_an_undone_question_can_not_be_regenerated(bot: Process, server: NebulaServer) -> None:
    """A press that was on its way gets a sentence."""
    question = await asked(bot, server, "first")
    [message] = messages(bot, question)
    await press(bot, question)
    assert await press(bot, question, Action.AGAIN, message=message) == FORGOTTEN


async def test_another_process_can_undo(redis_client: Redis, server: NebulaServer) -> None:
    """Also one that was started later."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as before:
        question = await asked(before, server, "first")
    async with process(redis_client, server, rooms=rooms) as after:
        assert await press(after, question) == ""
        await eventually(lambda: not messages(after, question))
        assert await remembered(after, server) == []
