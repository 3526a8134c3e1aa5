"""The sandbox's Nebula as any client sees it: the formats of real servers, and faults on demand."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bots.sandbox.nebula.faults import NebulaFault, Thought
from bots.sandbox.nebula.server import NebulaServer

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"


@pytest.fixture
async def server() -> AsyncIterator[NebulaServer]:
    async with NebulaServer(keys={"ak_1"}) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer ak_1"}) as http:
        yield http


def body(content: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": LLAMA, "messages": [{"role": "user", "content": content}], **more}


async def ask(http: aiohttp.ClientSession, server: NebulaServer, **more: Any) -> tuple[int, Any]:
    async with http.post(f"{server.base_url}/chat/completions", json=body(**more)) as response:
        return response.status, await response.json()


async def raw(http: aiohttp.ClientSession, server: NebulaServer, **more: Any) -> bytes:
    async with http.post(f"{server.base_url}/chat/completions", json=body(stream=True, **more)) as response:
        assert response.content_type == "text/event-stream"
        return await response.read()


async def chunks(http: aiohttp.ClientSession, server: NebulaServer, **more: Any) -> list[dict[str, Any]]:
    lines = (await raw(http, server, **more)).decode().splitlines()
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def test_the_fake_model_says_that_it_is_no_ai(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """It names itself, quotes the question and the prompt, and counts what it received."""
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "And two?"},
    ]
    _, answer = await ask(http, server, messages=messages)
    text = answer["choices"][0]["message"]["content"]
    for words in ("stand-in model", "no AI", "> And two?", "> Be kind.", "2 earlier messages", "```python"):
        assert words in text
    assert answer["object"] == "chat.completion"


async def test_a_stream_has_the_format_of_the_real_one(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """A role first, then words, a finish, usage without choices on request, and [DONE]."""
    server.answer_next("one two")
    got = await chunks(http, server, stream_options={"include_usage": True})
    assert [chunk["choices"][0]["delta"] for chunk in got[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": " two"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in got[:-1]] == [None, None, None, "stop"]
    assert got[-1]["choices"] == []
    assert got[-1]["usage"]["completion_tokens"] == 2


async def test_the_time_of_each_token_is_recorded(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """There is one time per token, in order, even if the stream broke off."""
    server.answer_next("one two")
    await raw(http, server)
    server.fault(NebulaFault(cut_after=1))
    server.answer_next("one two")
    with pytest.raises(aiohttp.ClientError):
        await raw(http, server)
    (first, second), (third,) = (received.written for received in server.requests)
    assert server.requests[0].at <= first <= second <= third


async def test_r1_thinks_aloud(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """A model with R1 in its name opens and closes a thought before its answer."""
    _, answer = await ask(http, server, model=R1)
    thought, _, text = answer["choices"][0]["message"]["content"].partition("</think>")
    assert thought.startswith("<think>\n")
    assert "stand-in" in text


async def test_a_reasoning_field_can_carry_the_thought(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """As with a reasoning parser on the server."""
    server.answer_next("b", thought="a", style=Thought.REASONING)
    got = await chunks(http, server)
    assert [chunk["choices"][0]["delta"].get("reasoning") for chunk in got] == [None, "a", None, None]


async def test_max_tokens_cuts_the_answer(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """Then the finish is `length`."""
    server.answer_next("one two three")
    _, answer = await ask(http, server, max_tokens=2)
    assert answer["choices"][0]["message"]["content"] == "one two"
    assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"model": "no/such"}, 400, "Invalid model name"),
        ({"temperature": 9}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x " * 140_000}]}, 400, "maximum context length"),
    ],
)
async def test_refusals_are_those_of_real_servers(
    server: NebulaServer, http: aiohttp.ClientSession, change: dict[str, Any], status: int, words: str
) -> None:
    """Wrong parameters, unknown models and prompts that are too long are refused in their wording."""
    got, answer = await ask(http, server, **change)
    assert got == status
    assert words in answer["error"]["message"]


async def test_a_wrong_key_is_refused(server: NebulaServer) -> None:
    """This includes the lists of models, and requests without a key."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer no"}) as http:
        assert (await ask(http, server))[0] == 401
        async with http.get(f"{server.platform_url}/serverless/models") as response:
            assert response.status == 401
    async with aiohttp.ClientSession() as http:
        assert (await ask(http, server))[0] == 401


async def test_the_rate_limit_is_a_window(http: aiohttp.ClientSession) -> None:
    """A request beyond the limit learns when to come back."""
    async with NebulaServer(requests_per_minute=1) as server:
        assert (await ask(http, server))[0] == 200
        async with http.post(f"{server.base_url}/chat/completions", json=body()) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "60")


async def test_the_catalog_has_the_documented_envelope(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """`data.models` has names, types and sizes, and also models for other things than text."""
    async with http.get(f"{server.platform_url}/serverless/models") as response:
        listed = await response.json()
    items = {item["model_name"]: item for item in listed["data"]["models"]}
    assert items[R1]["context_length"] == 32768
    assert {item["model_type"] for item in items.values()} == {"Text", "Image", "Embedding"}
    async with http.get(f"{server.base_url}/models") as response:
        assert R1 in {item["id"] for item in (await response.json())["data"]}


async def test_faults_come_in_order_and_end(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """Twice one fault, once the other, then none; `None` lasts until `heal`."""
    server.fault(NebulaFault(status=500, body="{}"), times=2)
    server.fault(NebulaFault(status=402, body="{}"))
    assert [(await ask(http, server))[0] for _ in range(4)] == [500, 500, 402, 200]
    server.fault(NebulaFault(status=503, body="{}"), times=None)
    assert [(await ask(http, server))[0] for _ in range(3)] == [503, 503, 503]
    server.heal()
    assert (await ask(http, server))[0] == 200


async def test_the_faults_of_a_stream_reach_the_client(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """CRLF, no [DONE], an error object, nothing at all, pings and empty chunks."""
    server.fault(NebulaFault(crlf=True, done=False))
    got = await raw(http, server)
    assert b"\r\n\r\n" in got
    assert b"[DONE]" not in got
    server.fault(NebulaFault(error_after=1))
    assert b'{"error":' in (await raw(http, server)).splitlines()[-2]
    server.fault(NebulaFault(empty=True))
    assert [chunk["choices"][0]["delta"].get("content") for chunk in await chunks(http, server)] == ["", None]
    server.fault(NebulaFault(noise=True))
    got = await raw(http, server)
    assert b": ping\n\n" in got
    assert b'"choices":[]' in got


async def test_a_cut_is_a_reset(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """The connection ends before the body does."""
    server.fault(NebulaFault(cut_after=2))
    with pytest.raises(aiohttp.ClientError):
        await raw(http, server)


async def test_a_held_stream_continues_when_released(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """The rest comes at once at any pace, even if the stream was only paced and not yet held."""
    server.pace = 0.001
    for after in (1, None):
        held = server.hold(after)
        server.answer_next("one two three")
        async with http.post(f"{server.base_url}/chat/completions", json=body(stream=True)) as response:
            got = b""
            while b"one" not in got:
                got += await response.content.readany()
            held.release()
            got += await response.read()
        assert b"three" in got
        assert got.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_hangs_up_is_recorded(server: NebulaServer, http: aiohttp.ClientSession) -> None:
    """This works even while nothing is being written."""
    server.fault(NebulaFault(stall_after=1))
    async with http.post(f"{server.base_url}/chat/completions", json=body(stream=True)) as response:
        await response.content.readany()
    await server.until(lambda: server.requests[0].closed_early)
    assert not server.requests[0].finished
    await ask(http, server)
    assert (server.requests[1].closed_early, server.requests[1].finished) == (False, True)


async def test_until_gives_up(server: NebulaServer) -> None:
    """A condition that never becomes true ends in a TimeoutError."""
    with pytest.raises(TimeoutError):
        await server.until(lambda: False, timeout=0.05)


async def test_stopping_does_not_wait_for_stalled_clients() -> None:
    """A stalled stream ends with the server."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as http:
        async with NebulaServer() as server:
            server.fault(NebulaFault(stall_after=0))
            task = asyncio.create_task(raw(http, server))
            await server.until(lambda: len(server.requests) == 1)
        with pytest.raises(aiohttp.ClientError):
            await task
