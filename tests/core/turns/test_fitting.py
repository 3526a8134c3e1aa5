"""A model refuses requests above a size by its own count: every question that fits alone is answered all the same."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from bots.sandbox.nebula.faults import NebulaFault, Received
from bots.sandbox.nebula.server import NebulaServer
from core.domain.conversation import Place
from core.prompt.build import ROOM_RULE
from core.store.windows import ModelWindow, ModelWindows
from tests.bounds import HANG_SECONDS
from tests.core.core_harness import process

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
# These tests count requests: what no longer fits is not summarised.
DROPPING: dict[str, Any] = {"NEBULA_MODEL": MODEL, "REPLY_HISTORY": "drop"}
DIRECT = Place("test", "W1", "D1", direct=True)
THREAD = Place("test", "W1", "C1", "T1")


def poorly(text: str) -> int:
    """The count of a tokenizer that knows English words alone: all else takes a token for each character and more."""
    return sum(1 if char.isascii() and char.isalpha() else 3 for char in text) // 3 + 1


def numbers(window: int, prompt: int) -> web.Response:
    words = (
        f"This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} tokens."
    )
    return web.json_response({"error": {"message": words, "type": "BadRequestError", "code": 400}}, status=400)


def window_alone(window: int, prompt: int) -> web.Response:
    return web.json_response({"error": f"Range of input length should be [1, {window}]"}, status=400)


def nothing(window: int, prompt: int) -> web.Response:
    return web.json_response({"error": {"message": "Input is too long for requested model."}}, status=400)


def as_failure(window: int, prompt: int) -> web.Response:
    error = {"message": f"the request exceeds the available context size ({window} tokens)"}
    return web.json_response({"error": error}, status=500)


def in_stream(window: int, prompt: int) -> web.Response:
    error = {"error": f"Input validation error: `inputs` must have less than {window} tokens. Given: {prompt}"}
    body = f"data: {json.dumps(error)}\n\n"
    return web.Response(text=body, content_type="text/event-stream")


def refusing(window: int, words: Callable[[int, int], web.Response]) -> Callable[[Received], web.Response | None]:
    def refuse(received: Received) -> web.Response | None:
        prompt = sum(poorly(message.content) + 4 for message in received.messages)
        return words(window, prompt) if prompt > window else None

    return refuse


def alone(reply: str) -> str:
    """A reply without the small print that says what no longer fits."""
    note, end, text = reply.partition("does not see them.\n")
    return text if end else note.rpartition("does not see it.\n")[2]


KINDS = {
    "code": "if (x[i] != 0) { y[j] = f(x, i); } ",
    "digits": "31415926535897932384626433 ",
    "CJK": "今天天气很好我们去公园散步吧",
    "words": "some words of English ",
}


@pytest.mark.parametrize("words", [numbers, window_alone, nothing, as_failure, in_stream])
async def test_a_question_that_fits_alone_is_answered(
    redis_client: Redis, words: Callable[[int, int], web.Response]
) -> None:
    """The catalog names a far larger window, and the model counts more tokens than we guess, whatever is written."""
    async with NebulaServer(answer=lambda messages: "Fine.") as server:
        server.refuse = refusing(1500, words)
        async with process(redis_client, server, **DROPPING) as bot:
            for number in range(12):
                kind = list(KINDS.values())[number % 4]
                assert alone(await bot.answer(f"{number} {kind * 8}", DIRECT)) == "Fine."
                assert alone(await bot.answer("short", DIRECT)) == "Fine."
        asked = len(server.requests)
        assert asked <= 24 + 12
        async with process(redis_client, server, **DROPPING) as bot:
            assert alone(await bot.answer("hi", DIRECT)) == "Fine."
        assert len(server.requests) <= asked + 2
        assert len(server.requests[-1].messages) >= 4, "most of the history goes along"


@pytest.mark.parametrize("words", [numbers, window_alone, nothing])
async def test_background_is_left_out_before_the_dialogue(
    redis_client: Redis, words: Callable[[int, int], web.Response]
) -> None:
    """A refusal first takes away what was said elsewhere in the channel; the thread at hand stays whole."""
    async with (
        NebulaServer(answer=lambda messages: "some words " * 10) as server,
        process(redis_client, server, NEBULA_MODEL=MODEL) as bot,
    ):
        for _ in range(30):
            await bot.answer("elsewhere " * 18)
        await bot.answer("first", THREAD)
        await bot.answer("second", THREAD)
        server.refuse = refusing(1500, words)
        assert (await bot.answer("third", THREAD)).startswith("some words")
    *_, refused, sent = server.requests
    assert "elsewhere elsewhere" in refused.messages[0].content
    assert sent.messages[0].content.endswith(ROOM_RULE)
    assert sent.messages[1:] == refused.messages[1:]
    assert [each.content for each in sent.messages if each.role == "user"] == [
        "Ann: first",
        "Ann: second",
        "Ann: third",
    ]


async def test_what_a_refusal_taught_serves_other_rooms_and_processes(redis_client: Redis) -> None:
    """The window is in Redis, so that after a restart no request is refused for it."""
    async with NebulaServer(answer=lambda messages: "Fine. " * 100) as server:
        server.refuse = refusing(1500, numbers)
        for _ in range(2):
            async with process(redis_client, server, **DROPPING) as bot:
                for _ in range(6):
                    assert alone(await bot.answer("some words " * 40, DIRECT)).startswith("Fine.")
        windows = await ModelWindows(redis_client).of(MODEL)
        assert windows.tokens == 1500
        assert 0 < await redis_client.ttl(f"nb:m:{MODEL}") <= 86_400
        refused = [server.refuse(received) is not None for received in server.requests]
        assert sum(refused) <= 2
        assert not any(refused[len(refused) // 2 :])


async def test_a_question_that_is_too_long_alone_is_told_and_the_next_is_answered(redis_client: Redis) -> None:
    """The sentence says so, after few requests; it spoils nothing for the next question."""
    async with NebulaServer(answer=lambda messages: "Fine.") as server:
        server.refuse = refusing(600, numbers)
        async with process(redis_client, server, NEBULA_MODEL=MODEL) as bot:
            assert await bot.answer("hi", DIRECT) == "Fine."
            assert "Your message alone is too long" in await bot.answer("1234567890" * 200, DIRECT)
            assert len(server.requests) <= 5
            assert await bot.answer("hi", DIRECT) == "Fine."


async def test_a_refusal_for_speed_is_none_for_length(redis_client: Redis) -> None:
    """Bedrock's ThrottlingException speaks of tokens too: the history stays whole."""
    async with NebulaServer(answer=lambda messages: "Fine.") as server:
        async with process(redis_client, server, NEBULA_MODEL=MODEL) as bot:
            await bot.answer("one", DIRECT)
            words = '{"message":"ThrottlingException: Too many tokens, please wait before trying again."}'
            server.fault(NebulaFault(status=400, body=words, headers={"retry-after": "0.01"}))
            assert await bot.answer("two", DIRECT) == "Fine."
        assert [len(received.messages) for received in server.requests] == [2, 4, 4]


async def test_an_answer_limit_that_does_not_fit_is_lowered(redis_client: Redis) -> None:
    """vLLM refuses a prompt and a limit that exceed the window together; the question with a shorter limit fits."""
    async with NebulaServer(answer=lambda messages: "Fine.") as server:

        def refuse(received: Received) -> web.Response | None:
            prompt = sum(poorly(message.content) + 4 for message in received.messages)
            return numbers(2000, prompt) if prompt + (received.max_tokens or 0) > 2000 else None

        server.refuse = refuse
        async with process(redis_client, server, NEBULA_MODEL=MODEL, NEBULA_MAX_TOKENS=4000) as bot:
            assert await bot.answer("some words of a question " * 60, DIRECT) == "Fine."


async def test_what_another_version_wrote_is_ignored(redis_client: Redis) -> None:
    """Values that can't be read count as unknown."""
    await redis_client.hset("nb:m:m", mapping={"tokens": "many", "ratio": "nan"})
    assert await ModelWindows(redis_client).of("m") == ModelWindow()


async def test_a_fallback_with_a_smaller_window_gets_less_history(redis_client: Redis) -> None:
    """Its refusal makes the request shorter, and teaches nothing about the model that is set."""
    async with NebulaServer(answer=lambda messages: "Fine.") as server:
        small = refusing(600, numbers)

        def refuse(received: Received) -> web.Response | None:
            down = any(message.content == "short" for message in received.messages)
            if received.model == MODEL:
                return web.json_response({"error": "down"}, status=500) if down else None
            return small(received)

        server.refuse = refuse
        async with process(redis_client, server, NEBULA_MODEL=MODEL, NEBULA_FALLBACK_MODEL="Llama3.3-70B") as bot:
            for _ in range(4):
                await bot.answer("some words " * 100, DIRECT)
            assert alone(await bot.answer("short", DIRECT)).startswith("Fine.")
        known = await ModelWindows(redis_client).of(MODEL)
        assert (known.tokens, known.ratio) == (None, None)


async def test_what_answers_teach_serves_the_first_turn_of_a_new_process(redis_client: Redis) -> None:
    """A model that counts a third of what we guess: after a restart, its first request has as much history as before,
    three times what we would guess to fit."""
    async with NebulaServer(answer=lambda messages: "会" * 2000) as server:
        for many in (40, 1):
            async with process(redis_client, server, NEBULA_MODEL="Qwen/Qwen2.5-Coder-32B-Instruct") as bot:
                for number in range(many):
                    await bot.answer(f"{number}", DIRECT)
        assert len(server.requests[-1].messages) == 2 + 2 * 40


async def test_answers_that_teach_nothing_new_are_not_written(redis_client: Redis) -> None:
    """The ratio is in Redis after the first answer, and then only if it moves."""
    async with (
        NebulaServer(answer=lambda messages: "some words " * 100) as server,
        process(redis_client, server, NEBULA_MODEL=MODEL) as bot,
    ):
        await bot.answer("some words " * 100, DIRECT)
        async with asyncio.timeout(HANG_SECONDS):
            while not (known := await ModelWindows(redis_client).of(MODEL)).usual:
                await asyncio.sleep(0.005)
        await redis_client.delete(f"nb:m:{MODEL}")
        for _ in range(5):
            await bot.answer("some words " * 100, DIRECT)
        assert known.tokens is None
        assert not await redis_client.exists(f"nb:m:{MODEL}")
