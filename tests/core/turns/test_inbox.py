"""The whole core from a question to the answer on screen, with a real Redis and an emulated Nebula API."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault, Thought
from bots.sandbox.nebula.server import NebulaServer
from core.access.admission import EMPTY
from core.domain.conversation import Attachment, Place
from core.domain.errors import BadKey, NoCredits, SlowDown
from core.domain.ports import Status
from core.reply.layout import INCOMPLETE, SPENT, STOPPED
from core.store.turns import Duplicate, Full, Queued
from core.turns.assistant import NOTHING_TO_READ
from core.turns.runner import GAVE_UP
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import BOB, LANE, Process, Rooms, eventually, process


async def test_question_is_answered_and_remembered(bot: Process, server: NebulaServer) -> None:
    """The second request contains the first question and its answer, with the speakers' names."""
    server.answer_next("Paris.")
    assert await bot.answer("Capital of France?") == "Paris."
    await bot.answer("And its river?", author=BOB)
    contents = [message.content for message in server.requests[-1].messages]
    assert contents[1:] == ["Ann: Capital of France?", "Paris.", "Bob: And its river?"]


async def test_channels_are_kept_apart(bot: Process, server: NebulaServer) -> None:
    """What people say in one channel is unknown in another."""
    await bot.answer("The password is swordfish.")
    await bot.answer("What is the password?", Place("test", "W1", "C2"))
    assert "swordfish" not in repr(server.requests[-1].messages)


async def test_redelivery_is_answered_once(bot: Process, server: NebulaServer) -> None:
    """Four deliveries of one question cause one request and one reply."""
    question = bot.question("hello")
    await bot.inbox.accept(question)
    for _ in range(3):
        assert await bot.inbox.accept(question) == Duplicate()
    await bot.runner.idle()
    assert await bot.inbox.accept(question) == Duplicate()
    assert len(server.requests) == 1


async def test_questions_of_a_room_are_answered_in_order(bot: Process, server: NebulaServer) -> None:
    """With one answer at a time, the second question is answered after the first, with its answer in the history; its
    author sees that it arrived."""
    await bot.command("set parallel 1")
    held = server.hold(after=3)
    server.answer_next("word " * 20)
    first, second = bot.question("one"), bot.question("two", author=BOB)
    await bot.inbox.accept(first)
    assert await bot.inbox.accept(second) == Queued(ahead=1)
    await eventually(lambda: Status.QUEUED in bot.rooms.rooms[second.message].statuses)
    held.release()
    await bot.runner.idle()
    assert "word word" in repr(server.requests[1].messages)
    assert bot.shown(second)


async def test_rooms_do_not_wait_for_each_other(bot: Process, server: NebulaServer) -> None:
    """A long answer in one channel does not delay another channel."""
    server.fault(NebulaFault(stall_after=1))
    await bot.inbox.accept(bot.question("never ends"))
    await server.until(lambda: len(server.requests) == 1)
    elsewhere = bot.question("quick", Place("test", "W1", "C2"))
    await bot.inbox.accept(elsewhere)
    await eventually(lambda: "quick" in bot.shown(elsewhere))
    await bot.command("stop")


async def test_full_inbox_is_refused_with_a_sentence(redis_client: Redis, server: NebulaServer) -> None:
    """Beyond the limit a question is refused with a visible sentence."""
    async with process(redis_client, server, inbox_limit=1) as bot:
        server.fault(NebulaFault(stall_after=1))
        await bot.inbox.accept(bot.question("first"))
        refused = bot.question("one too many")
        assert await bot.inbox.accept(refused) == Full(waiting=1)
        await eventually(lambda: "questions are waiting here" in bot.shown(refused))
        await bot.command("stop")


async def test_each_channel_has_its_system_prompt(bot: Process, server: NebulaServer) -> None:
    """A changed prompt takes effect at once, in its channel only, and never becomes part of the history."""
    for _ in range(3):
        server.answer_next("ahoy")
    await bot.command("prompt set You are a pirate.\nSay arr.")
    await bot.answer("hi")
    await bot.command("prompt clear")
    await bot.answer("hi")
    await bot.answer("hi", Place("test", "W1", "C2"))
    systems = [request.messages[0].content.startswith("You are a pirate.\nSay arr.") for request in server.requests]
    assert systems == [True, False, False]
    assert "pirate" not in repr(server.requests[1].messages)


async def test_request_has_the_channels_parameters(bot: Process, server: NebulaServer) -> None:
    """Requests contain the model and the parameters set in the chat, and no others."""
    for text in ("model set Llama3.1-8B", "set temperature 0.3", "set top_p 0.8", "set max_tokens 99"):
        await bot.command(text)
    await bot.answer("hi")
    sent = server.requests[-1]
    assert (sent.model, sent.temperature, sent.top_p, sent.max_tokens) == (
        "meta-llama/Llama-3.1-8B-Instruct",
        0.3,
        0.8,
        99,
    )


async def test_reset_forgets(bot: Process, server: NebulaServer) -> None:
    """After a reset the model learns nothing of what was said before."""
    await bot.answer("The password is swordfish.")
    assert "1 question and answer" in await bot.command("reset")
    await bot.answer("What is the password?")
    assert "swordfish" not in repr(server.requests[-1].messages)


@pytest.mark.parametrize(
    ("text", "files", "sentence"),
    [
        ("", False, EMPTY),
        ("  \n ", False, EMPTY),
        ("", True, NOTHING_TO_READ),
        ("x" * 100_000, False, "100,000 characters; I take at most 32,000"),
    ],
)
async def test_question_without_use_gets_a_sentence(
    bot: Process, server: NebulaServer, text: str, files: bool, sentence: str
) -> None:
    """If the model has nothing to work with, the bot answers itself, and the history stays as it is."""
    files_of = (Attachment("cat.png", "image/png", "https://x/cat.png", 9),) if files else ()
    question = bot.question(text, attachments=files_of)
    await bot.inbox.accept(question)
    await bot.runner.idle()
    assert sentence in bot.shown(question)
    assert not server.requests
    await bot.answer("hi")
    assert len(server.requests[0].messages) == 2


@pytest.mark.parametrize(("status", "notice"), [(401, BadKey.notice), (402, NoCredits.notice)])
async def test_failure_is_one_sentence(bot: Process, server: NebulaServer, status: int, notice: str) -> None:
    """An error of the API ends the turn visibly, and nothing wrong enters the history."""
    server.fault(NebulaFault(status=status, body="{}"))
    assert await bot.answer("hi") == notice
    await bot.answer("again")
    assert len(server.requests[-1].messages) == 2


async def test_broken_stream_keeps_the_text(bot: Process, server: NebulaServer) -> None:
    """The text before the break stays on screen and in the history, and its end is marked."""
    server.answer_next("One two three four five six")
    server.fault(NebulaFault(cut_after=3))
    shown = await bot.answer("count")
    assert shown.startswith("One")
    assert "broke off" in shown
    await bot.answer("go on")
    assert server.requests[-1].messages[2].content.startswith("One")


async def test_thought_is_not_the_answer(bot: Process, server: NebulaServer) -> None:
    """The bot shows how long the model thought, but not what; later requests do not contain it either."""
    await bot.command("model set DeepSeek-R1-Distill-Llama-70B")
    server.answer_next("42", thought="Six times nine?")
    assert await bot.answer("The answer?") == "Thought for 1 s\n42"
    await bot.answer("Sure?")
    assert "Six" not in repr(server.requests[-1].messages)


async def test_thought_without_an_answer_is_explained(bot: Process, server: NebulaServer) -> None:
    """A model that spent its whole limit on thinking leaves a sentence, not an empty message."""
    await bot.command("model set DeepSeek-R1-Distill-Llama-70B")
    server.answer_next("", thought="Hm, hm", style=Thought.REASONING, finish="length")
    assert SPENT in await bot.answer("The answer?")


async def test_stop_ends_the_request(bot: Process, server: NebulaServer) -> None:
    """Stop closes the model's request, keeps and marks the text so far; the next question is answered."""
    server.answer_next("word " * 50)
    server.fault(NebulaFault(stall_after=10))
    question = bot.question("talk")
    await bot.inbox.accept(question)
    await eventually(lambda: "word word" in bot.shown(question))
    assert "Stopping" in await bot.command("stop")
    await bot.runner.idle()
    await server.until(lambda: server.requests[0].closed_early)
    assert bot.shown(question).startswith("word word")
    assert bot.shown(question).endswith(STOPPED)
    assert "not writing" in await bot.command("stop")


async def test_deleted_reply_ends_the_request(bot: Process, server: NebulaServer) -> None:
    """The model's request is closed, and the room is free for the next question."""
    server.pace = 200  # for minutes, so that the deletion comes in the middle
    server.answer_next("word " * 50_000)
    question = bot.question("talk")
    await bot.inbox.accept(question)
    await eventually(lambda: "word word" in bot.shown(question))
    bot.rooms.rooms[question.message].messages.clear()
    await bot.runner.idle()
    await server.until(lambda: server.requests[0].closed_early)
    assert await bot.answer("next")
    assert "word word" not in repr(server.requests[-1].messages)  # a deleted reply is not stored


async def test_shutdown_lets_a_reply_finish(redis_client: Redis, server: NebulaServer) -> None:
    """A reply that ends before the deadline is not interrupted."""
    held = server.hold(after=3)
    server.answer_next("word " * 40 + "end")
    async with process(redis_client, server) as bot:
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await eventually(lambda: "word" in bot.shown(question))
        # The model continues in the event loop's next pass: by then the process is closing.
        asyncio.get_running_loop().call_soon(held.release)
    assert bot.shown(question).endswith("end")


async def test_restart_continues_the_same_message(redis_client: Redis, server: NebulaServer) -> None:
    """After a restart the next process completes the reply in the same message."""
    rooms = Rooms()
    server.fault(NebulaFault(stall_after=3))
    async with process(redis_client, server, rooms=rooms, drain=0) as bot:
        question = bot.question("talk")
        await bot.inbox.accept(question)
        await eventually(lambda: bool(bot.shown(question)))
    before = set(rooms.rooms[question.message].messages)
    async with process(redis_client, server, rooms=rooms) as successor:
        await eventually(lambda: len(server.requests) == 2 and server.requests[1].finished)
        await successor.runner.idle()
        assert set(rooms.rooms[question.message].messages) == before
        assert "talk" in successor.shown(question)
        await successor.answer("next")
        assert len(server.requests[-1].messages) == 4


async def test_history_survives_a_restart(redis_client: Redis, server: NebulaServer) -> None:
    """The next process knows what was said, and the settings."""
    async with process(redis_client, server) as bot:
        await bot.command("prompt set Pirate.")
        await bot.answer("My name is Ann.")
    async with process(redis_client, server) as bot:
        await bot.answer("What is my name?")
    assert "My name is Ann." in repr(server.requests[-1].messages)
    assert server.requests[-1].messages[0].content.startswith("Pirate.")


async def test_question_during_shutdown_is_answered_after_it(redis_client: Redis, server: NebulaServer) -> None:
    """A question that arrives during shutdown is kept for the next process."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as bot:
        pass
    question = bot.question("late")
    await bot.inbox.accept(question)
    assert not server.requests
    async with process(redis_client, server, rooms=rooms) as successor:
        await eventually(lambda: "late" in successor.shown(question))


async def test_turn_that_keeps_failing_is_closed(redis_client: Redis, server: NebulaServer) -> None:
    """After several attempts a sentence answers the question, instead of endless retries."""
    rooms = Rooms()
    async with process(redis_client, server, rooms=rooms) as bot:
        pass
    question = bot.question("poison")
    await bot.inbox.accept(question)
    for _ in range(3):
        turn = await bot.turns.claim(LANE)
        assert turn
        await redis_client.zadd("nb:{0}:lanes", {str(LANE): 0})
    async with process(redis_client, server, rooms=rooms) as successor:
        await eventually(lambda: GAVE_UP in successor.shown(question))
    assert not server.requests


async def test_command_is_carried_out_once(bot: Process) -> None:
    """A redelivered command gets no second response."""

    async def nobody() -> None:
        raise AssertionError("rights are asked only for commands that change something")

    question = replace(bot.question("!help"))
    assert await bot.dispatcher.heard(question, nobody)  # type: ignore[arg-type]
    assert await bot.dispatcher.heard(question, nobody) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["help", " Help ", "settings", "!help", "! help"])
async def test_plain_help_is_a_command(bot: Process, server: NebulaServer, text: str) -> None:
    """A message that says just "help" gets help without asking the model."""
    assert await bot.say(text)
    await bot.runner.idle()
    assert not server.requests


@pytest.mark.parametrize("text", ["help me with Python", "!!! wow", "!", "settings of what?"])
async def test_question_is_no_command(bot: Process, server: NebulaServer, text: str) -> None:
    """A question that only looks like a command goes to the model."""
    assert await bot.say(text) is None
    await bot.runner.idle()
    assert server.requests[0].messages[-1].content == f"Ann: {text}"


async def test_unread_files_are_named(bot: Process, server: NebulaServer) -> None:
    """The reply names a file that was not read, and says why."""
    server.answer_next("Sure.")
    question = bot.question("Sum it up", attachments=(Attachment("report.pdf", "application/pdf", "https://x/r", 9),))
    await bot.inbox.accept(question)
    await bot.runner.idle()
    assert bot.shown(question) == "I can't read report.pdf: it was deleted.\nSure."


async def test_refusal_for_a_full_inbox_waits_for_the_platform(redis_client: Redis, server: NebulaServer) -> None:
    """If the platform is too busy for the sentence, it comes later."""
    async with process(redis_client, server, inbox_limit=1) as bot:
        server.fault(NebulaFault(stall_after=1))
        await bot.inbox.accept(bot.question("first"))
        refused = bot.question("one too many")
        bot.rooms.rooms[refused.message].faults = [SlowDown("429", 0.01), SlowDown("429", 0.01)]
        await bot.inbox.accept(refused)
        await eventually(lambda: "questions are waiting here" in bot.shown(refused))
        await bot.command("stop")


async def test_order_holds_under_load(bot: Process, server: NebulaServer) -> None:
    """Many questions at once in one room are answered in the order in which they were accepted."""
    questions = [bot.question(f"question {number}") for number in range(12)]
    for question in questions:
        await bot.inbox.accept(question)
    await bot.runner.idle()
    asked = [request.messages[-1].content for request in server.requests]
    assert asked == [f"Ann: question {number}" for number in range(12)]
    async with asyncio.timeout(HANG_SECONDS):
        await bot.runner.idle()


async def test_own_name_in_front_of_an_answer_is_taken_away_in_rooms(bot: Process, server: NebulaServer) -> None:
    """The history names the people, and a model imitates it; what is remembered has no name either."""
    for answer in ("nebula: Hello there, Ann.", "Note: all is well."):
        server.answer_next(answer)
    assert await bot.answer("hi") == "Hello there, Ann."
    assert await bot.answer("well?") == "Note: all is well."
    assert server.requests[-1].messages[2].content == "Hello there, Ann."


async def test_answer_that_may_be_incomplete_says_so(bot: Process, server: NebulaServer) -> None:
    """The server's reason is none that we know."""
    server.answer_next("Half of", finish="something new")
    assert await bot.answer("hi") == f"Half of\n{INCOMPLETE}"
