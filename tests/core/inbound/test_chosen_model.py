"""A model for one question: `!with`, and `ask --model`. It goes with the question wherever that goes."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.fake_model import MODELS
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.server import NebulaServer
from core.commands.asking import AskedByCommand, asked
from core.commands.registry import parse
from core.domain.conversation import Rights
from core.domain.errors import UserError
from core.domain.page import Action
from core.domain.question import Question
from core.store.records import ConversationLookups
from tests.core.commands.test_personal import USUAL, models
from tests.core.commands.test_presets import LLAMA, run, said
from tests.core.core_harness import ANN, BOB, HERE, ROOM, Process, eventually, process
from tests.core.turns.test_overlap import busy

CODER = "Qwen/Qwen2.5-Coder-32B-Instruct"
WRITE = "Write the model's name and your question: `ask --model <name> <question>`."


async def heard(bot: Process, text: str) -> Question:
    """Say this to the bot and wait for the answer."""
    question = bot.question(text)
    await bot.dispatcher.heard(question, _nobody)
    await bot.runner.idle()
    return question


async def _nobody() -> Rights:
    raise AssertionError("no rights are needed")


@pytest.mark.parametrize("text", ["!with Llama3.1-8B why?", f"!WITH {LLAMA}\nwhy?", "!ask --model llama3.1-8b why?"])
async def test_the_chosen_model_answers_this_question_alone(bot: Process, server: NebulaServer, text: str) -> None:
    """By its name or short name, in any letters. Small print says which it was, and the next question is as usual."""
    question = await heard(bot, text)
    assert models(server) == [LLAMA]
    assert server.requests[-1].messages[-1].content == "Ann: why?"
    assert bot.shown(question).endswith(f"\nAnswered by `{LLAMA}`.")
    assert "Answered by" not in await bot.answer("and now?")
    assert models(server)[-1] == USUAL
    history = await ConversationLookups(bot.turns.mailboxes).history(HERE)
    assert [each.model for each in history] == [LLAMA, USUAL], "votes count for the model that answered"


async def test_the_usual_model_is_not_named(bot: Process) -> None:
    """Whoever chooses the channel's model by its short name gets no small print; the footer names it once."""
    assert "Answered by" not in bot.shown(await heard(bot, "!with Llama3.3-70B why?"))
    await bot.command("set footer on")
    shown = bot.shown(await heard(bot, "!with Llama3.1-8B why?"))
    assert shown.count(LLAMA) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("!with", "`model` is missing (the model's name). Write `with <model> <prompt>`."),
        ("!with Llama3.1-8B", "`prompt` is missing (your question). Write `with <model> <prompt>`."),
        ("!with `` why?", "`model` must be the name of a model"),
        ("!ask --model", WRITE),
        ("!ask --model x", WRITE),
    ],
)
async def test_what_is_missing_is_named(bot: Process, server: NebulaServer, text: str, sentence: str) -> None:
    """The model is not asked anything."""
    response = await bot.say(text)
    assert response
    assert response.text.startswith(sentence)
    assert not server.requests


@pytest.mark.parametrize("alias", ["Llama-3.1-8B-Instruct", ""], ids=["an alias of its own", "none"])
async def test_a_well_known_short_name_is_listed_whatever_the_list_calls_the_model(
    bot: Process, server: NebulaServer, alias: str
) -> None:
    """The question goes to the model of the list, so nothing says that it is not there."""
    llama = (LLAMA, alias, "Text", 131072, None)
    server.models = tuple(llama if each[0] == LLAMA else each for each in MODELS)
    question = await heard(bot, "!with Llama3.1-8B why?")
    assert models(server) == [LLAMA]
    assert "not on Nebula's list" not in bot.shown(question)
    assert await bot.command("model set llama3.1-8b") == f"`model` of this channel is now: `{LLAMA}`"
    listed = await bot.command("model list")
    assert "answers here, but is not on this list" not in listed
    assert f"- `{LLAMA}`" in listed
    assert await bot.dispatcher.models("Llama3.1-8") == (LLAMA,)
    assert f"Did you mean `{LLAMA}`?" in await bot.command("model set Llama3.1-8C")


async def test_an_unknown_model_is_tried_and_doubted(bot: Process, server: NebulaServer) -> None:
    """The question is not lost: it is asked, with the sentence of `model set`, and can be asked again."""
    server.fault(NebulaFault(status=404))
    question = await heard(bot, "!with Llama3.1-8C why?")
    assert models(server)[-1] == "Llama3.1-8C"
    sentence = f"This model is not on Nebula's list. Did you mean `{LLAMA}`? I will try it anyway."
    assert bot.shown(question).startswith(sentence)
    assert sentence in await bot.command("model set Llama3.1-8C")
    message = next(iter(bot.rooms.rooms[question.message].messages))
    await bot.press(Action.AGAIN, message)
    await bot.runner.idle()
    assert models(server)[-1] == "Llama3.1-8C"


async def test_a_model_that_is_not_offered_is_blamed_on_who_chose_it(bot: Process, server: NebulaServer) -> None:
    """On the question that names it alone, otherwise on the settings."""
    refusal = NebulaFault(status=404, body='{"error": {"message": "no such model", "code": "model_not_found"}}')
    server.fault(refusal, times=2)
    said = "Nebula does not offer the model `nosuch` to this bot."
    shown = bot.shown(await heard(bot, "!with nosuch why?"))
    assert f"{said} Ask again with one from `!model list`, or without naming one." in shown
    await bot.command("model set nosuch")
    assert f"{said} Choose one from `!model list` with `!model set`, or ask" in await bot.answer("why?")


async def test_regenerate_and_continue_keep_it(bot: Process, server: NebulaServer) -> None:
    """Whoever presses the button: it is the same answer that is asked for, or goes on."""
    server.answer_next("cut", finish="length")
    question = await heard(bot, "!with Llama3.1-8B why?")
    message = next(iter(bot.rooms.rooms[question.message].messages))
    await bot.press(Action.GO_ON, message, BOB)
    await bot.runner.idle()
    await bot.press(Action.AGAIN, message)
    await bot.runner.idle()
    assert models(server) == [LLAMA] * 3


async def test_it_survives_a_crash(redis_client: Redis, server: NebulaServer) -> None:
    """Another process answers with the same model; it is stored with the question."""
    async with process(redis_client, server, drain=0) as bot:
        server.fault(NebulaFault(hold_after=3, hold=Hold()))
        server.answer_next("word " * 20)
        await bot.dispatcher.heard(bot.question("!with Llama3.1-8B why?"), _nobody)
        await eventually(lambda: len(server.requests) == 1)
    async with process(redis_client, server, rooms=bot.rooms) as successor:
        await eventually(lambda: len(server.requests) == 2)
        await successor.runner.idle()
    assert models(server) == [LLAMA, LLAMA]


async def test_an_edit_changes_question_and_model(bot: Process, server: NebulaServer) -> None:
    """A message that asks by command is a question like any other: edited, it is asked again as it reads now."""
    await bot.command("set edits rerun")
    question = await heard(bot, "!with Llama3.1-8B why?")
    edited = replace(question, text="!with Qwen2.5-Coder-32B why not?")
    await bot.dispatcher.edited(edited, asks=True)
    await bot.runner.idle()
    assert models(server) == [LLAMA, CODER]
    assert server.requests[-1].messages[-1].content == "Ann: why not?"
    await bot.dispatcher.edited(replace(question, text="and plainly?"), asks=True)
    await bot.runner.idle()
    assert models(server)[-1] == USUAL


async def test_a_missed_one_is_asked_later(bot: Process, server: NebulaServer) -> None:
    """Written while no process listened, it is found like any other question."""
    question = bot.question("!with Llama3.1-8B why?")
    assert await bot.dispatcher.is_new(question)
    await bot.dispatcher.missed(question)
    await bot.runner.idle()
    assert models(server) == [LLAMA]
    assert not await bot.dispatcher.is_new(question)
    assert not await bot.dispatcher.is_new(bot.question("!with Llama3.1-8B"))


async def test_questions_to_different_models_are_not_merged(bot: Process, server: NebulaServer) -> None:
    """Each run of questions for the same model gets one answer, in their order."""
    await bot.command("set overlap merge")
    first = await busy(bot, server)
    for text in ("second", "!with Llama3.1-8B third", "!with Llama3.1-8B fourth", "fifth"):
        await bot.dispatcher.heard(bot.question(text), _nobody)
    await bot.turns.stop(HERE, first.id)
    await bot.runner.idle()
    found = [(each.model, each.messages[-1].content) for each in server.requests[1:]]
    assert found == [(USUAL, "Ann: second"), (LLAMA, "Ann: third\n\nAnn: fourth"), (USUAL, "Ann: fifth")]


async def test_settings_show_it_with_the_question(bot: Process) -> None:
    """As long as that is the newest one here."""
    await heard(bot, "!with Llama3.1-8B why?")
    assert "- **model** of the newest question here: `Llama3.1-8B` (chosen by Ann)" in await said(bot, "settings")
    await bot.answer("and now?")
    assert "newest question" not in await said(bot, "settings")


async def test_it_overrides_all_else_also_where_personal_defaults_do_not_count(
    bot: Process, server: NebulaServer
) -> None:
    """It is the narrowest layer."""
    await run(bot, "set --me model Llama3.1-8B")
    await run(bot, "set personal off")
    await heard(bot, "!with Qwen2.5-Coder-32B why?")
    assert models(server) == [CODER]


async def test_a_fallback_is_named_with_the_chosen_model(redis_client: Redis, server: NebulaServer) -> None:
    """The sentence does not speak of the channel's model, which was not asked."""
    async with process(redis_client, server, nebula_fallback_model=CODER) as bot:
        for _ in range(3):  # as often as a request is tried
            server.fault(NebulaFault(status=500))
        question = await heard(bot, "!with Llama3.1-8B why?")
        assert f"`{CODER}` answered, because `{LLAMA}` is not responding." in bot.shown(question)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ask why?", AskedByCommand("why?")),
        ("ask --model m why?", AskedByCommand("why?", "m")),
        ("ask —model=m why\nnot?", AskedByCommand("why\nnot?", "m")),
        ("ask --private --model m why?", AskedByCommand("--private why?", "m")),
        ("ask --model m --private why?", AskedByCommand("--private why?", "m")),
        ("ask why --model m?", AskedByCommand("why --model m?")),
        ("ask --models are fun?", AskedByCommand("--models are fun?")),
        ("with m --private why?", AskedByCommand("--private why?", "m")),
        ("help", None),
    ],
)
def test_the_flag_stands_before_the_question(text: str, found: AskedByCommand | None) -> None:
    """In either order with `--private`; anywhere else it is part of the question."""
    assert asked(parse(text, ROOM, ANN)) == found


def test_a_name_of_a_model_has_a_greatest_length() -> None:
    """It is stored with the question."""
    with pytest.raises(UserError, match="name of a model"):
        asked(parse(f"with {'m' * 201} why?", ROOM, ANN))
