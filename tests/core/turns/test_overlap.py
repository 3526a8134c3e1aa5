"""Questions that arrive during another's answer: they wait, are answered together, or end that answer."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.question import Question
from core.reply.layout import STOPPED
from core.store.records import ConversationLookups
from tests.core.core_harness import BOB, HERE, Process, eventually, process


async def busy(bot: Process, server: NebulaServer, held: Hold | None = None) -> Question:
    """A question whose answer of twenty words runs until somebody stops it or lets the model go on."""
    server.fault(NebulaFault(hold_after=3, hold=held or Hold()))
    server.answer_next("first " * 20)
    first = bot.question("first")
    await bot.inbox.accept(first)
    await bot.rooms.rooms[first.message].until("first")
    return first


async def test_questions_that_wait_are_answered_together(bot: Process, server: NebulaServer) -> None:
    """With `overlap merge` one answer, below the first question, serves all of a lane; the model sees every author's
    name."""
    await bot.command("set parallel 1")
    await bot.command("set overlap merge")
    first = await busy(bot, server)
    second, third = bot.question("second"), bot.question("third", author=BOB)
    for question in (second, third):
        await bot.inbox.accept(question)
    server.answer_next("To both.")
    await bot.turns.stop(HERE, first.id)
    await bot.runner.idle()
    assert [each.messages[-1].content for each in server.requests[1:]] == ["Ann: second\n\nBob: third"]
    assert "To both." in bot.shown(second)
    assert bot.shown(third) == ""
    [_, both] = await ConversationLookups(bot.turns.mailboxes).history(HERE)
    assert both.messages[:2] == (second.message, third.message)
    assert await bot.turns.waiting(HERE) == 0


async def test_merged_questions_survive_a_crash(redis_client: Redis, server: NebulaServer) -> None:
    """The successor answers the same questions together again; none is lost or answered alone."""
    async with process(redis_client, server, drain=0) as bot:
        await bot.command("set overlap merge")
        first = await busy(bot, server)
        for text in ("second", "third"):
            await bot.inbox.accept(bot.question(text))
        server.fault(NebulaFault(stall_after=3))
        server.answer_next("both " * 100)
        await bot.turns.stop(HERE, first.id)
        await eventually(lambda: len(server.requests) == 2)
    async with process(redis_client, server, rooms=bot.rooms) as successor:
        await eventually(lambda: len(server.requests) == 3)
        await successor.runner.idle()
    assert server.requests[-1].messages[-1].content == "Ann: second\n\nAnn: third"
    assert await successor.turns.waiting(HERE) == 0


async def test_newer_question_interrupts(bot: Process, server: NebulaServer) -> None:
    """With `overlap interrupt` the running answer ends with the text so far, marked, and the newest question is
    next."""
    await bot.command("set overlap interrupt")
    first = await busy(bot, server)
    server.answer_next("Newer.")
    second = bot.question("second")
    await bot.inbox.accept(second)
    await bot.runner.idle()
    assert STOPPED in bot.shown(first)
    assert bot.shown(first).startswith("first")
    assert bot.shown(second) == "Newer."


@pytest.mark.parametrize("overlap", ["queue", "merge"])
async def test_nothing_is_interrupted_by_default(bot: Process, server: NebulaServer, overlap: str) -> None:
    """The running answer is complete."""
    await bot.command(f"set overlap {overlap}")
    held = Hold()
    first = await busy(bot, server, held)
    await bot.inbox.accept(bot.question("second"))
    held.release()
    await bot.runner.idle()
    assert bot.shown(first).count("first") == 20


async def test_question_edited_during_a_merged_answer_gets_its_own(bot: Process, server: NebulaServer) -> None:
    """A question that is edited too late for the common answer keeps its place in line."""
    await bot.command("set overlap merge")
    first = await busy(bot, server)
    second, third = bot.question("second"), bot.question("third")
    for question in (second, third):
        await bot.inbox.accept(question)
    server.fault(NebulaFault(stall_after=3))
    server.answer_next("both " * 100)
    await bot.turns.stop(HERE, first.id)
    await bot.rooms.rooms[second.message].until("both")
    await bot.dispatcher.edited(replace(third, text="a third one"), asks=True)
    await bot.turns.stop(HERE, second.id)
    await bot.runner.idle()
    asked = [each.messages[-1].content for each in server.requests[1:]]
    assert asked == ["Ann: second\n\nAnn: third", "Ann: a third one"]
