"""Pictures as turns: taken over, stopped, asked again, in line with other questions, and never merged with them."""

import asyncio
import json
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bots.sandbox.hold import Hold
from bots.sandbox.nebula.faults import NebulaFault
from bots.sandbox.nebula.pictures import png
from bots.sandbox.nebula.server import NebulaServer
from core.domain.errors import Rejected
from core.domain.options import Switch
from core.reply.layout import NO_PICTURE
from core.turns.drawing import FILTERED, NO_WORDS, NOT_THIS, NOT_THIS_SHAPE, REFUSED, Shape, file_name, shaped
from tests.core.core_harness import Process, Rooms, eventually, process


async def idle(bot: Process) -> None:
    await bot.runner.idle()


async def test_another_process_draws_it(redis_client: Redis) -> None:
    """A process stops while a picture is drawn: the next one asks for it again, and shows it once."""
    rooms = Rooms()
    async with NebulaServer() as server:
        server.painter.fault(NebulaFault(hold=Hold()))
        async with process(redis_client, server, rooms=rooms, drain=0) as bot:
            question = bot.question("a cat", draws=True)
            await bot.inbox.accept(question)
            await server.until(lambda: len(server.painter.requests) == 1)
        assert server.requests == ()
        async with process(redis_client, server, rooms=rooms) as bot:
            room = rooms.rooms[question.message]
            await eventually(lambda: bool(room.files))
            await idle(bot)
            assert list(room.files.values()) == [png("a cat")]
            assert [page.head for page in room.messages.values()] == ["a cat"]


async def test_pictures_wait_in_line(redis_client: Redis) -> None:
    """One answer of a lane comes after the other, whether it is a picture or a text; with `merge` too."""
    async with NebulaServer() as server, process(redis_client, server, reply_overlap="merge") as bot:
        held = Hold()
        server.painter.fault(NebulaFault(hold=held))
        first, second = bot.question("a cat", draws=True), bot.question("a dog", draws=True)
        third = bot.question("and a word")
        for each in (first, second, third):
            await bot.inbox.accept(each)
        await server.until(lambda: len(server.painter.requests) == 1)
        before = len(server.requests)
        held.release()
        await bot.settled(third)
        assert [each.prompt for each in server.painter.requests] == ["a cat", "a dog"]
        assert (before, len(server.requests)) == (0, 1)
        assert server.requests[0].messages[-1].content.endswith("and a word")


async def test_a_place_without_files_gets_a_sentence(redis_client: Redis) -> None:
    """The platform refuses the file."""
    async with NebulaServer() as server, process(redis_client, server) as bot:
        question = bot.question("a cat", draws=True)
        bot.rooms.rooms[question.message].file_faults.append(Rejected("no files"))
        await bot.inbox.accept(question)
        await idle(bot)
        assert NO_PICTURE in bot.shown(question)


async def test_the_footer_names_the_model_that_draws(redis_client: Redis) -> None:
    """Where a footer is wanted."""
    async with NebulaServer() as server, process(redis_client, server, reply_footer=Switch.ON) as bot:
        question = bot.question("a cat", draws=True)
        await bot.inbox.accept(question)
        await idle(bot)
        assert "`black-forest-labs/FLUX.1-schnell`" in bot.shown(question)


async def test_the_command_is_a_question(redis_client: Redis) -> None:
    """Written in a message, and found again when it is edited: the new text is drawn."""
    async with NebulaServer() as server, process(redis_client, server, reply_edits="rerun") as bot:
        question = bot.question("!imagine a cat")

        async def nobody() -> None:
            raise AssertionError("no rights are needed")

        assert await bot.dispatcher.heard(question, nobody) is None  # type: ignore[arg-type]
        await idle(bot)
        edited = bot.question("!imagine a dog")
        await bot.dispatcher.edited(replace(question, text=edited.text), asks=True)
        async with asyncio.timeout(60):
            await server.until(lambda: len(server.painter.requests) == 2)
        await idle(bot)
        assert [each.prompt for each in server.painter.requests] == ["a cat", "a dog"]
        assert list(bot.rooms.rooms[question.message].files.values())[-1] == png("a dog")


async def test_the_list_of_models_names_those_that_draw(redis_client: Redis) -> None:
    """Below those that write."""
    async with NebulaServer() as server, process(redis_client, server) as bot:
        assert (await bot.command("model list")).endswith(
            "For pictures (`imagine`): `black-forest-labs/FLUX.1-schnell`."
        )


@pytest.mark.parametrize(
    ("text", "head", "sides"),
    [
        ("a cat", "a cat", (1024, 1024)),
        ("--wide a cat", "a cat (wide)", (1216, 832)),
        ("a cat —Tall", "a cat (tall)", (832, 1216)),
        ("--square a cat", "a cat (square)", (1024, 1024)),
    ],
)
async def test_a_flag_chooses_the_shape(redis_client: Redis, text: str, head: str, sides: tuple[int, int]) -> None:
    """The model gets the text without it, and people read the shape in words; Regenerate would draw in the same
    shape."""
    async with NebulaServer() as server, process(redis_client, server) as bot:
        question = bot.question(text, draws=True)
        await bot.inbox.accept(question)
        await bot.settled(question)
        [drawn] = server.painter.requests
        assert (drawn.prompt, (drawn.width, drawn.height)) == ("a cat", sides)
        assert [page.head for page in bot.rooms.rooms[question.message].messages.values()] == [head]


async def test_a_shape_without_words_and_one_that_is_refused_get_a_sentence(redis_client: Redis) -> None:
    """Each says what to write instead."""
    async with NebulaServer() as server, process(redis_client, server) as bot:
        server.painter.fault(NebulaFault(status=400, body='{"message": "bad size"}'))
        for text, sentence in (("--wide", NO_WORDS), ("--tall a cat", NOT_THIS_SHAPE)):
            question = bot.question(text, draws=True)
            await bot.inbox.accept(question)
            await bot.settled(question)
            (page,) = bot.rooms.rooms[question.message].messages.values()
            assert page.foot == sentence.format(text.split()[0][2:])
        assert len(server.painter.requests) == 1


@pytest.mark.parametrize(
    ("status", "said", "sentence"),
    [
        (400, "Your prompt was flagged by our content policy", FILTERED),
        (400, "bad request", NOT_THIS),
        (404, "Not Found", REFUSED),
    ],
)
async def test_a_refusal_says_whether_words_or_settings_are_to_blame(
    redis_client: Redis, status: int, said: str, sentence: str
) -> None:
    """As far as the API says it; where it does not, both may be."""
    async with NebulaServer() as server, process(redis_client, server) as bot:
        server.painter.fault(NebulaFault(status=status, body=json.dumps({"message": said})))
        question = bot.question("a cat", draws=True)
        await bot.inbox.accept(question)
        await bot.settled(question)
        (page,) = bot.rooms.rooms[question.message].messages.values()
        assert page.foot == sentence


@pytest.mark.parametrize(
    ("text", "words", "shape"),
    [
        ("a --wide cat", "a --wide cat", None),
        ("--wider cat", "--wider cat", None),
        ("–tall\na\ncat", "a\ncat", Shape.TALL),
        ("--wide a cat --tall", "a cat --tall", Shape.WIDE),
        ("", "", None),
    ],
)
def test_a_flag_is_a_word_of_its_own(text: str, words: str, shape: Shape | None) -> None:
    """Before or behind the text."""
    assert shaped(text) == (words, shape)


@pytest.mark.parametrize(
    ("prompt", "kind", "name"),
    [
        ("A red cat!", "png", "a-red-cat.png"),
        ("Eine Kuh in München", "webp", "eine-kuh-in-münchen.webp"),
        ("../../etc/passwd", "jpeg", "etc-passwd.jpg"),
        ("猫" * 100, "png", "猫" * 40 + ".png"),
        ("word " * 40, "png", "-".join(["word"] * 8) + ".png"),
        ("😀 \n\0", "png", "picture.png"),
        ("con", "png", "con.png"),
    ],
)
def test_a_picture_is_named_after_its_text(prompt: str, kind: str, name: str) -> None:
    """Its first words, as letters and digits alone: no path, no dots, and not too long."""
    assert file_name(prompt, kind) == name
