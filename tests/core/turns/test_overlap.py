"""Questions that come while another is being answered: they wait, are answered together, or end the answer."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.faults import Fault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Question
from core.reply.layout import STOPPED
from core.store.records import ConversationLookups
from tests.core.core_harness import BOB, ROOM, Process, eventually, process


async def busy(bot: Process, server: NebulaServer, held: Hold | None = None) -> Question:
    """A question whose answer of twenty words takes until it is stopped, or the model is let go on."""
    server.fault(Fault(hold_after=3, hold=held or Hold()))
    server.answer_next("first " * 20)
    first = bot.mention("first")
    await bot.intake.accept(first)
    await bot.rooms.rooms[first.message].until("first")
    return first


async def test_questions_that_wait_are_answered_together(bot: Process, server: NebulaServer) -> None:
    """With `overlap merge` one answer, below the first of them, serves all; every author is named."""
    await bot.command("set overlap merge")
    first = await busy(bot, server)
    second, third = bot.mention("second"), bot.mention("third", author=BOB)
    for mention in (second, third):
        await bot.intake.accept(mention)
    server.answer_next("To both.")
    await bot.turns.stop(ROOM.name, first.id)
    await bot.intake.idle()
    assert [each.messages[-1].content for each in server.requests[1:]] == ["Ann: second\n\nBob: third"]
    assert "To both." in bot.shown(second)
    assert bot.shown(third) == ""
    [_, both] = await ConversationLookups(bot.turns.mailboxes).history(ROOM.name)
    assert both.messages[:2] == (second.message, third.message)
    assert await bot.turns.waiting(ROOM.name) == 0


async def test_merged_questions_survive_a_crash(redis_client: Redis, server: NebulaServer) -> None:
    """Whoever takes over answers the same questions together again, none of them lost or alone."""
    async with process(redis_client, server, drain=0) as bot:
        await bot.command("set overlap merge")
        first = await busy(bot, server)
        for text in ("second", "third"):
            await bot.intake.accept(bot.mention(text))
        server.fault(Fault(stall_after=3))
        server.answer_next("both " * 100)
        await bot.turns.stop(ROOM.name, first.id)
        await eventually(lambda: len(server.requests) == 2)
    async with process(redis_client, server, rooms=bot.rooms) as successor:
        await eventually(lambda: len(server.requests) == 3)
        await successor.intake.idle()
    assert server.requests[-1].messages[-1].content == "Ann: second\n\nAnn: third"
    assert await successor.turns.waiting(ROOM.name) == 0


async def test_newer_question_interrupts(bot: Process, server: NebulaServer) -> None:
    """With `overlap interrupt` the running answer ends with what it has, marked, and the newest is answered next."""
    await bot.command("set overlap interrupt")
    first = await busy(bot, server)
    server.answer_next("Newer.")
    second = bot.mention("second")
    await bot.intake.accept(second)
    await bot.intake.idle()
    assert STOPPED in bot.shown(first)
    assert bot.shown(first).startswith("first")
    assert bot.shown(second) == "Newer."


@pytest.mark.parametrize("overlap", ["queue", "merge"])
async def test_nothing_is_interrupted_unless_that_is_set(bot: Process, server: NebulaServer, overlap: str) -> None:
    """The answer that runs is whole."""
    await bot.command(f"set overlap {overlap}")
    held = Hold()
    first = await busy(bot, server, held)
    await bot.intake.accept(bot.mention("second"))
    held.let_go()
    await bot.intake.idle()
    assert bot.shown(first).count("first") == 20


async def test_question_changed_while_answered_with_others_has_its_own_answer(
    bot: Process, server: NebulaServer
) -> None:
    """What was changed too late for the common answer keeps its place in line."""
    await bot.command("set overlap merge")
    first = await busy(bot, server)
    second, third = bot.mention("second"), bot.mention("third")
    for mention in (second, third):
        await bot.intake.accept(mention)
    server.fault(Fault(stall_after=3))
    server.answer_next("both " * 100)
    await bot.turns.stop(ROOM.name, first.id)
    await bot.rooms.rooms[second.message].until("both")
    await bot.front.edited(replace(third, text="a third one"), asks=True)
    await bot.turns.stop(ROOM.name, second.id)
    await bot.intake.idle()
    asked = [each.messages[-1].content for each in server.requests[1:]]
    assert asked == ["Ann: second\n\nAnn: third", "Ann: a third one"]
