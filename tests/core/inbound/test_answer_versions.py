"""Versions of an answer: Regenerate keeps what it replaces, and the one on screen is the one in the history."""

import base64
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Author, Rights
from core.domain.page import Action, Choices
from core.domain.question import Question
from core.inbound.buttons import FORGOTTEN, NO_VERSION, NOT_YOURS, UNDER_WAY, ButtonPress
from core.reply.layout import CUT, STOPPED
from core.settings.routing import conversation_of
from core.store.mailbox import VERSIONS
from tests.core.core_harness import ANN, BOB, HERE, ROOM, Process, Rooms, eventually, process


async def press(
    bot: Process,
    action: Action,
    question: Question,
    by: Author = ANN,
    *,
    rights: Rights = Rights.NONE,
    model: str = "",
    wait: bool = True,
) -> str:
    """Press a button under the first message of the reply; returns the response, "" for none."""

    async def of() -> Rights:
        return rights

    conversation = conversation_of(question, await bot.settings.of(question.place))
    message = next(iter(bot.rooms.rooms[question.message].messages))
    pressed = ButtonPress(conversation, message, ROOM, by, model=model)
    response = await bot.dispatcher.pressed(action, pressed, of)
    if wait:
        await bot.runner.idle()
    return response.text if response else ""


async def answered(bot: Process, server: NebulaServer, *answers: str, text: str = "question") -> Question:
    """A question, answered again and again."""
    server.answer_next(answers[0])
    question = bot.question(text)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    for each in answers[1:]:
        server.answer_next(each)
        assert await press(bot, Action.AGAIN, question) == ""
    return question


def choices(bot: Process, question: Question) -> Choices:
    return list(bot.rooms.rooms[question.message].messages.values())[-1].choices


def number(bot: Process, question: Question) -> tuple[int, int]:
    return choices(bot, question).version, choices(bot, question).versions


async def remembered(bot: Process, server: NebulaServer) -> list[str]:
    """What the model is told of the past with a next question."""
    server.answer_next("ok")
    await bot.answer("and now?")
    return [each.content for each in server.requests[-1].messages[1:-1]]


async def kept(bot: Process) -> list[bytes]:
    found: Any = await bot.turns.mailboxes.redis.lrange(bot.turns.mailboxes.key("v", HERE), 0, -1)
    return list(found)


async def test_regenerate_keeps_what_it_replaces(bot: Process, server: NebulaServer) -> None:
    """The first answer has no versions; each new one is the last of all."""
    question = await answered(bot, server, "one")
    assert number(bot, question) == (0, 0)
    server.answer_next("two")
    await press(bot, Action.AGAIN, question)
    assert (bot.shown(question), number(bot, question)) == ("two", (2, 2))


async def test_a_press_turns_to_the_version_before_and_after(bot: Process, server: NebulaServer) -> None:
    """In the same messages, in order of writing; behind the last comes the first. The model is not asked."""
    question = await answered(bot, server, "one", "two", "three")
    asked, seen = len(server.requests), []
    for action in (Action.PREVIOUS, Action.PREVIOUS, Action.PREVIOUS, Action.NEXT, Action.NEXT):
        assert await press(bot, action, question) == ""
        seen.append((bot.shown(question), number(bot, question)))
    assert seen == [("two", (2, 3)), ("one", (1, 3)), ("three", (3, 3)), ("one", (1, 3)), ("two", (2, 3))]
    assert len(server.requests) == asked


async def test_the_version_on_screen_is_the_one_in_the_history(bot: Process, server: NebulaServer) -> None:
    """The model is told of the version that people see, in its place, and of no other."""
    question = await answered(bot, server, "one", "two", text="first")
    server.answer_next("later")
    await bot.answer("second")
    await press(bot, Action.PREVIOUS, question)
    assert await remembered(bot, server) == ["Ann: first", "one", "Ann: second", "later"]


async def test_a_version_can_be_regenerated(bot: Process, server: NebulaServer) -> None:
    """The new answer is the last version, whichever one was on screen."""
    question = await answered(bot, server, "one", "two")
    await press(bot, Action.PREVIOUS, question)
    server.answer_next("three")
    await press(bot, Action.AGAIN, question)
    assert (bot.shown(question), number(bot, question)) == ("three", (3, 3))
    await press(bot, Action.PREVIOUS, question)
    assert (bot.shown(question), number(bot, question)) == ("two", (2, 3))


async def test_five_versions_are_kept(bot: Process, server: NebulaServer) -> None:
    """The oldest one that is not on screen goes."""
    question = await answered(bot, server, *(f"v{each}" for each in range(1, 7)))
    assert number(bot, question) == (VERSIONS, VERSIONS)
    seen = []
    for _ in range(VERSIONS):
        await press(bot, Action.NEXT, question)
        seen.append(bot.shown(question))
    assert seen == ["v2", "v3", "v4", "v5", "v6"]


async def test_another_model_can_be_asked(bot: Process, server: NebulaServer) -> None:
    """A model from the menu answers again; turning back, people read which model wrote what they see."""
    question = await answered(bot, server, "one")
    usual, other, *_ = choices(bot, question).models
    assert usual == "Llama3.3-70B"
    server.answer_next("two")
    assert await press(bot, Action.AGAIN, question, model=other) == ""
    assert server.requests[-1].model.endswith(other)
    assert "two\nAnswered by" in bot.shown(question)
    await press(bot, Action.PREVIOUS, question)
    assert bot.shown(question) == "one"
    await press(bot, Action.PREVIOUS, question)
    assert "two\nAnswered by" in bot.shown(question)


async def test_the_menu_has_ten_models_at_most(bot: Process, server: NebulaServer) -> None:
    """The model of the channel is the first, also where it is on no list; each is there once."""
    server.models = (*server.models, *((f"model-{each}", "", "", None, None) for each in range(20)))
    await bot.command("model set my-own")
    models = choices(bot, await answered(bot, server, "one")).models
    assert models[0] == "my-own"
    assert len(models) == len(set(models)) <= 10


async def test_what_became_of_an_answer_stays_with_the_version(bot: Process, server: NebulaServer) -> None:
    """An answer that was cut or stopped still says so, and can be continued."""
    server.answer_next("one", finish="length")
    question = bot.question("question")
    await bot.inbox.accept(question)
    await bot.runner.idle()
    server.fault(NebulaFault(stall_after=1))
    server.answer_next("two two two")
    await press(bot, Action.AGAIN, question, wait=False)
    await eventually(lambda: "two" in bot.shown(question))
    await press(bot, Action.STOP, question)
    assert bot.shown(question).endswith(STOPPED)
    await press(bot, Action.PREVIOUS, question)
    assert bot.shown(question) == f"one\n{CUT}"
    await press(bot, Action.PREVIOUS, question)
    assert bot.shown(question).endswith(STOPPED)


async def test_only_the_author_or_a_manager_may_turn(bot: Process, server: NebulaServer) -> None:
    """As with Regenerate: it changes what everybody sees, and what the model remembers."""
    question = await answered(bot, server, "one", "two")
    assert await press(bot, Action.PREVIOUS, question, BOB) == NOT_YOURS
    assert bot.shown(question) == "two"
    assert await press(bot, Action.PREVIOUS, question, BOB, rights=Rights.CHANNEL) == ""
    assert bot.shown(question) == "one"


async def test_while_a_new_answer_is_written_nobody_can_turn(bot: Process, server: NebulaServer) -> None:
    """One of two presses takes effect."""
    question = await answered(bot, server, "one", "two")
    held = server.hold(after=0)
    server.answer_next("three")
    await press(bot, Action.AGAIN, question, wait=False)
    assert await press(bot, Action.PREVIOUS, question, wait=False) == UNDER_WAY
    held.release()
    await bot.runner.idle()
    assert number(bot, question) == (3, 3)


async def test_a_failed_attempt_is_no_version(bot: Process, server: NebulaServer) -> None:
    """The old answer stays, with its versions."""
    question = await answered(bot, server, "one", "two")
    server.fault(NebulaFault(status=400, body='{"error":{"message":"no"}}'))
    await press(bot, Action.AGAIN, question)
    assert await press(bot, Action.PREVIOUS, question) == ""
    assert "one" in bot.shown(question)
    assert await remembered(bot, server) == ["Ann: question", "one"]


async def test_turning_costs_no_quota(redis_client: Redis, server: NebulaServer) -> None:
    """Who has used up their limit can still look at the other version."""
    async with process(redis_client, server, person_requests=2) as bot:
        question = await answered(bot, server, "one", "two")
        assert await press(bot, Action.AGAIN, question) != ""
        assert await press(bot, Action.PREVIOUS, question) == ""
        assert bot.shown(question) == "one"


async def test_versions_outlive_a_process(redis_client: Redis, server: NebulaServer) -> None:
    """The next process knows them, and so does another one beside it."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as before:
        question = await answered(before, server, "one", "two")
    async with process(redis_client, server, rooms=rooms) as here, process(redis_client, server, rooms=rooms) as there:
        await press(here, Action.PREVIOUS, question)
        assert here.shown(question) == "one"
        await press(there, Action.NEXT, question)
        assert (there.shown(question), number(there, question)) == ("two", (2, 2))
        assert await remembered(here, server) == ["Ann: question", "two"]


async def test_an_edited_question_has_no_old_versions(bot: Process, server: NebulaServer) -> None:
    """They answer other words, which the person may have taken back."""
    question = await answered(bot, server, "one", "two")
    await bot.command("set edits rerun")
    server.answer_next("three")
    changed = Question(question.id, question.place, question.author, "changed", question.message, question.at)
    await bot.dispatcher.edited(changed, asks=True)
    await bot.runner.idle()
    assert (bot.shown(question), number(bot, question)) == ("three", (0, 0))
    assert await kept(bot) == []


@pytest.mark.parametrize("command", ["reset", "forget me", "forget all"])
async def test_what_is_forgotten_leaves_no_version(bot: Process, server: NebulaServer, command: str) -> None:
    """Reset and forget take all versions, and a press says so."""
    question = await answered(bot, server, "one", "two", "three")
    assert len(await kept(bot)) == 2
    await bot.command(command)
    assert await kept(bot) == []
    assert await press(bot, Action.PREVIOUS, question) == FORGOTTEN


async def test_forget_leaves_other_peoples_versions(bot: Process, server: NebulaServer) -> None:
    """Forgetting one's own questions leaves those of others."""
    server.answer_next("one")
    question = bot.question("question", author=BOB)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    server.answer_next("two")
    await press(bot, Action.AGAIN, question, BOB)
    await bot.command("forget me")
    assert await press(bot, Action.PREVIOUS, question, BOB) == ""
    assert bot.shown(question) == "one"


async def test_a_deleted_question_leaves_no_version(bot: Process, server: NebulaServer) -> None:
    """A deleted question takes all answers with it."""
    question = await answered(bot, server, "one", "two", "three")
    await bot.dispatcher.deleted(ROOM, question.message)
    assert await kept(bot) == []


async def test_a_deleted_answer_leaves_no_version(bot: Process, server: NebulaServer) -> None:
    """Somebody who deletes an answer does not want the others to stay behind."""
    question = await answered(bot, server, "one", "two", "three")
    await bot.dispatcher.deleted(ROOM, next(iter(bot.rooms.rooms[question.message].messages)))
    assert await kept(bot) == []


async def test_versions_that_are_too_old_are_forgotten(bot: Process, server: NebulaServer) -> None:
    """A shorter retention applies to them at once, however young the answer on screen is."""
    question = await answered(bot, server, "one", "two")
    [entry] = await kept(bot)
    redis, key = cast(Any, bot.turns.mailboxes.redis), bot.turns.mailboxes.key("v", HERE)
    words, _, value = entry.partition(b"|")
    old = b",".join([*words.split(b",")[:-1], b"@1000000000"]) + b"|" + value
    await redis.lset(key, 0, old)
    await bot.command("set retention 1")
    assert await kept(bot) == []
    assert await press(bot, Action.PREVIOUS, question) == NO_VERSION
    assert bot.shown(question) == "two"


async def test_versions_go_with_the_button(bot: Process, server: NebulaServer) -> None:
    """Where a question is too long ago to be regenerated, nothing more than the history keeps of it stays."""
    await answered(bot, server, "one", "two")
    for _ in range(bot.turns.limits.ended):
        await answered(bot, server, "other")
    assert await kept(bot) == []


async def test_versions_are_encrypted(redis_client: Redis, server: NebulaServer) -> None:
    """Nobody reads them in Redis, and they can still be shown."""
    async with process(redis_client, server, encryption_keys=f"k1:{base64.b64encode(bytes(32)).decode()}") as bot:
        question = await answered(bot, server, "a secret one", "two")
        assert not any(b"secret" in each for each in await kept(bot))
        await press(bot, Action.PREVIOUS, question)
        assert bot.shown(question) == "a secret one"


async def test_a_version_forgotten_before_its_turn_is_not_shown(redis_client: Redis, server: NebulaServer) -> None:
    """Between the press and the turn somebody has it forgotten: the screen stays, and nothing comes back."""
    async with process(redis_client, server) as bot:
        question = await answered(bot, server, "one", "two")
        held = server.hold(after=0)
        await bot.inbox.accept(bot.question("slow"))
        await press(bot, Action.PREVIOUS, question, wait=False)
        await bot.command("forget me")
        held.release()
        await bot.runner.idle()
        assert bot.shown(question) == "two"
        assert await kept(bot) == []
        assert await remembered(bot, server) == []
