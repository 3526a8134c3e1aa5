"""Threads of a channel that shares its history: each is a dialogue, and of the others the model is only told."""

from dataclasses import replace

from bots.sandbox.nebula.server import NebulaServer
from core.domain.page import Action
from core.domain.question import Question
from core.inbound.buttons import GO_ON
from core.prompt.dialogue import HEADING
from tests.core.core_harness import ROOM, Process


async def asked(
    bot: Process, server: NebulaServer, text: str, answer: str, thread: str = "", finish: str = "stop"
) -> Question:
    """A question, in the channel or in a thread, that was answered so."""
    server.answer_next(answer, finish=finish)
    question = bot.question(text, replace(ROOM, thread=thread))
    await bot.inbox.accept(question)
    await bot.runner.idle()
    return question


def request(server: NebulaServer) -> tuple[str, list[str]]:
    """The rules and the turns of the newest request."""
    rules, *turns = (each.content for each in server.requests[-1].messages)
    return rules, turns


async def two_threads(bot: Process, server: NebulaServer, finish: str = "stop") -> Question:
    """Two threads that answers opened, the first one with a second question in it; returns the question of its root."""
    await bot.command("set replies thread")
    root = await asked(bot, server, "pears?", "about pears", finish=finish)
    other = await asked(bot, server, "kiwis?", "about kiwis")
    await asked(bot, server, "more pears?", "more about pears", root.message)
    await asked(bot, server, "more kiwis?", "more about kiwis", other.message)
    return root


async def test_each_thread_is_a_dialogue(bot: Process, server: NebulaServer) -> None:
    """It begins with the question that opened it; what was said in others is no turn, but the rules tell of it."""
    root = await two_threads(bot, server)
    await asked(bot, server, "and now?", "ok", root.message)
    rules, turns = request(server)
    assert turns == [
        *("Ann: pears?", "about pears", "Ann: more pears?", "more about pears"),
        "Ann: and now?",
    ]
    assert 'Ann asked: "kiwis?" You answered: "about kiwis"' in rules
    assert "pears" not in rules
    await asked(bot, server, "plums?", "ok")
    rules, turns = request(server)
    assert turns == ["Ann: plums?"]
    assert rules.index("about pears") < rules.index("about kiwis") < rules.index("more about pears")


async def test_regenerate_sees_the_thread_as_the_first_time(bot: Process, server: NebulaServer) -> None:
    """Neither the turns nor the background contain anything later."""
    root = await two_threads(bot, server)
    third = await asked(bot, server, "third?", "ok", root.message)
    for question in (third, root):
        before = next(each.messages for each in server.requests if question.text in each.messages[-1].content)
        server.answer_next("anew")
        assert not await bot.press(Action.AGAIN, next(iter(bot.rooms.rooms[question.message].messages)))
        await bot.runner.idle()
        assert server.requests[-1].messages == before


async def test_continue_goes_on_in_the_thread_that_the_answer_opened(bot: Process, server: NebulaServer) -> None:
    """The answer to be continued is a turn, although its question was in the channel; so is the continuation later."""
    root = await two_threads(bot, server, finish="length")
    server.answer_next("the rest")
    assert not await bot.press(Action.GO_ON, next(iter(bot.rooms.rooms[root.message].messages)))
    await bot.runner.idle()
    assert request(server)[1] == ["Ann: pears?", "about pears", f"Ann: {GO_ON}"]
    await asked(bot, server, "and now?", "ok", root.message)
    assert request(server)[1][-3:] == [f"Ann: {GO_ON}", "the rest", "Ann: and now?"]


async def test_threads_of_their_own_know_nothing_of_others(bot: Process, server: NebulaServer) -> None:
    """With `memory thread` there is no background."""
    await bot.command("set memory thread")
    await two_threads(bot, server)
    assert "pears" not in repr(server.requests[-1].messages)
    assert request(server)[1] == ["Ann: kiwis?", "about kiwis", "Ann: more kiwis?"]


async def test_what_is_forgotten_is_no_longer_told(bot: Process, server: NebulaServer) -> None:
    """Neither what was deleted, nor anything after a reset."""
    root = await two_threads(bot, server)
    await bot.dispatcher.deleted(ROOM, root.message)
    await asked(bot, server, "plums?", "ok")
    rules, _ = request(server)
    assert '"pears?"' not in rules
    assert "more about pears" in rules
    await bot.command("reset")
    await asked(bot, server, "plums?", "ok")
    assert HEADING not in request(server)[0]
