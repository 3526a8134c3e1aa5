"""Edited and deleted questions: the effect on the queue, the history and the screen."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Attachment, Rights
from core.domain.page import Action
from core.domain.question import Question
from core.inbound.edits import CHANGED
from core.store.records import ConversationLookups
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import BOB, HERE, ROOM, Process, eventually, process


def asked(server: NebulaServer) -> list[str]:
    return [request.messages[-1].content for request in server.requests]


async def remembered(bot: Process) -> list[str]:
    return [each.question for each in await ConversationLookups(bot.turns.mailboxes).history(HERE)]


async def busy(bot: Process, server: NebulaServer) -> Question:
    """A first question whose answer runs until somebody stops it."""
    server.fault(NebulaFault(stall_after=3))
    server.answer_next("first " * 10)
    first = bot.question("first")
    await bot.inbox.accept(first)
    await bot.rooms.rooms[first.message].until("first")
    return first


async def finish(bot: Process, running: Question) -> None:
    await bot.turns.stop(HERE, running.id)
    await bot.runner.idle()


async def test_question_that_waits_is_changed(bot: Process, server: NebulaServer) -> None:
    """A question that is corrected before its turn gets an answer to the corrected text."""
    first = await busy(bot, server)
    second = bot.question("what is teh time")
    await bot.inbox.accept(second)
    await bot.dispatcher.edited(replace(second, text="what is the time"), asks=True)
    await finish(bot, first)
    assert asked(server)[1:] == ["Ann: what is the time"]


async def test_changed_question_can_be_asked_again(bot: Process, server: NebulaServer) -> None:
    """After the answer, a sentence with a button offers a new answer, which replaces the old one and the sentence."""
    question = bot.question("how old is teh sun")
    server.answer_next("A typing error.")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    await bot.dispatcher.edited(replace(question, text="how old is the sun"), asks=True)
    room = bot.rooms.rooms[question.message]
    await eventually(lambda: any(page.foot == CHANGED for page in room.messages.values()))
    offer = list(room.messages)[-1]
    async with asyncio.timeout(HANG_SECONDS):  # on screen, it may not be stored yet
        while not await ConversationLookups(bot.turns.mailboxes).ended(HERE, offer):
            await asyncio.sleep(0.005)
    server.answer_next("Old.")
    assert await bot.press(Action.AGAIN, offer) is None
    await bot.runner.idle()
    assert [page.text for page in room.messages.values()] == ["Old."]
    assert asked(server)[-1] == "Ann: how old is the sun"
    assert await remembered(bot) == ["how old is the sun"]


async def test_offer_is_made_once(bot: Process, server: NebulaServer) -> None:
    """Further edits only change what the button would ask; the same text again changes nothing."""
    question = bot.question("one")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    room = bot.rooms.rooms[question.message]
    await bot.dispatcher.edited(question, asks=True)
    for text in ("two", "three"):
        await bot.dispatcher.edited(replace(question, text=text), asks=True)
        await eventually(lambda: any(page.foot == CHANGED for page in room.messages.values()))
    assert [page.foot for page in room.messages.values()].count(CHANGED) == 1
    assert len(server.requests) == 1


async def test_edits_rerun_asks_a_changed_question_at_once(bot: Process, server: NebulaServer) -> None:
    """With `edits rerun` the new answer needs no press."""
    await bot.command("set edits rerun")
    question = bot.question("one")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    server.answer_next("Anew.")
    await bot.dispatcher.edited(replace(question, text="two"), asks=True)
    await eventually(lambda: bot.rooms.rooms[question.message].text == "Anew.")
    await bot.runner.idle()
    assert await remembered(bot) == ["two"]


async def test_what_is_taken_out_of_an_old_question_is_forgotten(bot: Process, server: NebulaServer) -> None:
    """It can't be answered anew any more: the model reads neither the old text nor the old answer. With `edits ignore`
    it does."""
    for policy in ("offer", "ignore"):
        await bot.command(f"set edits {policy}")
        old = bot.question("my password is hunter2")
        await bot.inbox.accept(old)
        await bot.runner.idle()
        for number in range(30):
            await bot.answer(f"question {number}")
        await bot.dispatcher.edited(replace(old, text="my password is secret"), asks=True)
        await bot.answer("what did I say?")
        said = "".join(message.content for message in server.requests[-1].messages)
        assert ("hunter2" in said) is (policy == "ignore")


async def test_an_old_question_with_a_file_is_remembered(bot: Process, server: NebulaServer) -> None:
    """An edit that leaves its words, as when the platform tells of it once more, takes nothing out of it."""
    old = bot.question("what is it?", attachments=(Attachment("app.log", "", "https://x/app.log", 9, file="f1"),))
    await bot.inbox.accept(old)
    await bot.runner.idle()
    for number in range(30):
        await bot.answer(f"question {number}")
    await bot.dispatcher.edited(old, asks=True)
    await bot.answer("what did I say?")
    assert "[file: app.log]" in server.requests[-1].messages[1].content


async def test_an_edit_forgets_no_other_questions(bot: Process, server: NebulaServer) -> None:
    """An old question that was answered together with another person's: nobody loses that one and its answer."""
    for word in ("parallel 1", "overlap merge"):
        await bot.command(f"set {word}")
    first = await busy(bot, server)
    second, third = bot.question("second"), bot.question("third", author=BOB)
    for question in (second, third):
        await bot.inbox.accept(question)
    await finish(bot, first)
    for number in range(30):
        await bot.answer(f"question {number}")
    for question in (second, third):
        await bot.dispatcher.edited(replace(question, text=f"the {question.text}"), asks=True)
    assert "second\n\nBob: third" in await remembered(bot)


async def test_change_during_the_answer_is_seen_after_it(bot: Process, server: NebulaServer) -> None:
    """The running answer continues undisturbed; the offer comes after its end."""
    first = await busy(bot, server)
    await bot.dispatcher.edited(replace(first, text="another first"), asks=True)
    await finish(bot, first)
    room = bot.rooms.rooms[first.message]
    await eventually(lambda: any(page.foot == CHANGED for page in room.messages.values()))


async def test_message_that_becomes_a_question_is_answered(bot: Process, server: NebulaServer) -> None:
    """A mention added to a new message counts; an old message, and one that asks nothing, do not."""
    question = replace(bot.question("hello"), at=time.time())
    await bot.dispatcher.edited(replace(question, at=time.time() - 7200), asks=True)
    await bot.dispatcher.edited(question, asks=False)
    assert not server.requests
    await bot.dispatcher.edited(question, asks=True)
    await bot.runner.idle()
    assert len(server.requests) == 1


async def test_deleted_question_leaves_the_queue(bot: Process, server: NebulaServer) -> None:
    """A question deleted while it waits is not answered, even if it is delivered again."""
    first = await busy(bot, server)
    second = bot.question("never mind")
    await bot.inbox.accept(second)
    await bot.dispatcher.deleted(ROOM, second.message)
    await bot.inbox.accept(second)
    await finish(bot, first)
    assert len(server.requests) == 1


async def test_deleting_a_question_deletes_its_answer(bot: Process, server: NebulaServer) -> None:
    """The answer disappears from the screen and the history; earlier and later exchanges stay."""
    questions = [bot.question(text) for text in ("one", "two", "three")]
    for question in questions:
        await bot.inbox.accept(question)
        await bot.runner.idle()
    await bot.dispatcher.deleted(ROOM, questions[1].message)
    await eventually(lambda: not bot.rooms.rooms[questions[1].message].messages)
    assert bot.rooms.rooms[questions[0].message].messages
    assert await remembered(bot) == ["one", "three"]


async def test_question_deleted_during_its_answer_ends_it(bot: Process, server: NebulaServer) -> None:
    """The model's request ends, its messages go, nothing is remembered, and the next question has its turn."""
    first = await busy(bot, server)
    second = bot.question("second")
    await bot.inbox.accept(second)
    await bot.dispatcher.deleted(ROOM, first.message)
    await bot.runner.idle()
    assert not bot.rooms.rooms[first.message].messages
    assert bot.rooms.rooms[second.message].messages
    assert await remembered(bot) == ["second"]


async def test_question_deleted_after_a_crash_is_not_answered(redis_client: Redis, server: NebulaServer) -> None:
    """The successor deletes the messages of the dead process, and does not ask the model."""
    async with process(redis_client, server, drain=0) as bot:
        first = await busy(bot, server)
    await bot.dispatcher.deleted(ROOM, first.message)
    requests = len(server.requests)
    async with process(redis_client, server, rooms=bot.rooms):
        await eventually(lambda: not bot.rooms.rooms[first.message].messages)
    assert len(server.requests) == requests


async def test_deleted_answer_is_forgotten(bot: Process, server: NebulaServer) -> None:
    """The exchange is forgotten; the question's message belongs to the person."""
    question = bot.question("one")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    room = bot.rooms.rooms[question.message]
    [message] = room.messages
    await bot.dispatcher.deleted(ROOM, message)
    assert await remembered(bot) == []
    assert room.messages


async def test_message_deleted_by_a_new_answer_is_no_deletion(bot: Process, server: NebulaServer) -> None:
    """Our own deletions also come back as events: they must not cost the exchange its place in the history."""
    server.answer_next("long " * 700)  # long enough for two messages
    question = bot.question("one")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    await bot.answer("two")
    room = bot.rooms.rooms[question.message]
    first, second = list(room.messages)
    held = server.hold(after=3)
    server.answer_next("short " * 30)
    assert await bot.press(Action.AGAIN, first) is None
    await eventually(lambda: "short" in room.messages[first].text)
    await bot.dispatcher.deleted(ROOM, second)
    held.release()
    await bot.runner.idle()
    assert await remembered(bot) == ["one", "two"]


async def test_question_no_longer_for_the_bot_is_not_answered(bot: Process, server: NebulaServer) -> None:
    """If the author removes the mention, or turns the waiting question into a command, it gets no answer."""
    first = await busy(bot, server)
    for text, asks in (("never mind", False), ("!help", True)):
        waiting = bot.question("second")
        await bot.inbox.accept(waiting)
        await bot.dispatcher.edited(replace(waiting, text=text), asks=asks)
    await finish(bot, first)
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["", "x" * 40_000, "!hlep"])
async def test_corrected_message_is_answered(bot: Process, server: NebulaServer, text: str) -> None:
    """A refused message, or a mistyped command, becomes a question once its author corrects it."""
    question = replace(bot.question(text), at=time.time())

    async def rights() -> Rights:
        return Rights.NONE

    await bot.dispatcher.heard(question, rights)
    await bot.runner.idle()
    await bot.dispatcher.edited(replace(question, text="what is the time"), asks=True)
    await bot.runner.idle()
    assert asked(server) == ["Ann: what is the time"]
