"""The Nebula client with servers on real sockets: what it sends, reads, retries, refuses and closes."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.sandbox.nebula.faults import NebulaFault, Thought
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatMessage, ChatRequest, Completion, Delta, Finish, Usage
from core.domain.errors import (
    BadKey,
    BadRequest,
    BrokenStream,
    ContextTooLong,
    ModelError,
    ModelTimeout,
    NoAnswer,
    NoCredits,
    RateLimited,
    ServerTrouble,
    UnknownModel,
    WrongAddress,
)
from core.nebula.catalog import BUILT_IN
from core.nebula.client import Nebula
from core.nebula.failures import AttemptFailed
from core.nebula.response import ResponseDecoder
from core.reply.state import Phase, Reply
from tests.bounds import HANG_SECONDS
from tests.core.nebula.wrappers.wrapped import in_time

PAYLOADS = Path(__file__).parents[2] / "payloads" / "nebula"
SECRET = "the user's secret words"
PROMPTED_REQUEST = ChatRequest("Llama3.3-70B", (ChatMessage("system", "Be brief."), ChatMessage("user", SECRET)))
ASK_R1 = ChatRequest("DeepSeek-R1-Distill-Qwen-32B", PROMPTED_REQUEST.messages)


@pytest.fixture
async def server() -> AsyncIterator[NebulaServer]:
    async with NebulaServer() as server:
        yield server


@pytest.fixture
async def model(server: NebulaServer) -> AsyncIterator[Nebula]:
    async with client(server) as model:
        yield model


def client(server: NebulaServer, **settings: Any) -> Nebula:
    usual: dict[str, Any] = {
        "api_key": "ak_secret",
        "backoff": 0.0,
        "first_token": HANG_SECONDS,
        "between_tokens": HANG_SECONDS,
        "catalog_patience": HANG_SECONDS,
    }
    return Nebula(base_url=server.base_url, platform_url=server.platform_url, **usual | settings)


async def read(model: Nebula, request: ChatRequest = PROMPTED_REQUEST) -> list[Delta]:
    async with model.stream(request) as deltas:
        return [delta async for delta in deltas]


async def whole(model: Nebula, request: ChatRequest = PROMPTED_REQUEST) -> str:
    return "".join(delta.text for delta in await read(model, request))


async def failing(
    model: Nebula, kind: type[ModelError], request: ChatRequest = PROMPTED_REQUEST
) -> tuple[str, ModelError]:
    """The text before the expected error, and the error."""
    text = ""

    async def ask() -> None:
        nonlocal text
        async with model.stream(request) as deltas:
            async for delta in deltas:
                text += delta.text

    with pytest.raises(kind) as caught:
        await ask()
    assert type(caught.value) is kind
    return text, caught.value


def recorded(name: str) -> NebulaFault:
    """The recorded response of a real server, to be replayed."""
    head, _, body = (PAYLOADS / f"{name}.http").read_bytes().partition(b"\n\n")
    status, *headers = head.decode().split("\n")
    return NebulaFault(
        status=int(status.split()[1]), body=body, headers=dict(header.split(": ", 1) for header in headers)
    )


# Requests


async def test_a_request_carries_the_documented_fields(server: NebulaServer, model: Nebula) -> None:
    """The short name becomes the API's; max_tokens is null when unset; temperature and top_p are left out."""
    await read(model)
    [request] = server.requests
    assert request.key == "ak_secret"
    assert request.model == "meta-llama/Llama-3.3-70B-Instruct"
    assert request.messages == PROMPTED_REQUEST.messages
    assert (request.stream, request.include_usage, request.max_tokens) == (True, True, None)
    assert set(request.fields) == {"model", "messages", "max_tokens", "stream", "stream_options"}


async def test_parameters_are_sent_when_set(server: NebulaServer, model: Nebula) -> None:
    """temperature, top_p and max_tokens arrive as set, even if they are zero."""
    await read(model, ChatRequest("Llama3.1-8B", PROMPTED_REQUEST.messages, temperature=0.0, top_p=0.5, max_tokens=7))
    [request] = server.requests
    assert (request.temperature, request.top_p, request.max_tokens) == (0.0, 0.5, 7)


async def test_other_model_names_pass_through(server: NebulaServer, model: Nebula) -> None:
    """Short names match in any letter case; all other names stay unchanged."""
    await read(model, ChatRequest("llama3.1-8b", PROMPTED_REQUEST.messages))
    await failing(model, UnknownModel, ChatRequest("Vendor/New-Model", PROMPTED_REQUEST.messages))
    assert [request.model for request in server.requests] == ["meta-llama/Llama-3.1-8B-Instruct", "Vendor/New-Model"]


async def test_a_server_that_refuses_stream_options_is_remembered_and_asked_without_them(
    server: NebulaServer, model: Nebula
) -> None:
    """The server refuses once; later requests omit the options."""
    server.fault(NebulaFault(status=400, body='{"error":{"message":"Unrecognized request argument: stream_options"}}'))
    server.answer_next("one")
    server.answer_next("two")
    assert [await whole(model), await whole(model)] == ["one", "two"]
    assert [request.include_usage for request in server.requests] == [True, False, False]


async def test_a_lone_surrogate_does_not_break_a_request_or_an_answer(server: NebulaServer, model: Nebula) -> None:
    """It becomes U+FFFD in both directions; whole characters stay."""
    server.fault(
        NebulaFault(
            body='data: {"choices":[{"delta":{"content":"x\\ud83dy\\ud83d\\ude42"},"finish_reason":"stop"}]}\n\n'
        )
    )
    assert await whole(model, ChatRequest("Llama3.1-8B", (ChatMessage("user", "a\ud83db🙂"),))) == "x\ufffdy🙂"
    assert server.requests[0].messages[0].content == "a\ufffdb🙂"


# Responses


async def test_a_stream_comes_in_pieces_and_ends_with_finish_and_usage(server: NebulaServer, model: Nebula) -> None:
    """The text flows while the server is still writing; the last delta says why it ended and what it cost."""
    held = server.hold(after=2)
    server.answer_next("one two three four")
    deltas: list[Delta] = []
    async with model.stream(PROMPTED_REQUEST) as stream:
        async for delta in stream:
            deltas.append(delta)
            if "".join(each.text for each in deltas) == "one two":
                assert not server.requests[0].finished
                held.release()
    assert "".join(delta.text for delta in deltas) == "one two three four"
    last = deltas[-1]
    assert last.finish is Finish.STOP
    assert last.usage is not None
    assert (last.usage.completion, last.usage.prompt > 0) == (4, True)


@pytest.mark.parametrize(
    "fault",
    [
        NebulaFault(noise=True),
        NebulaFault(crlf=True),
        NebulaFault(bytewise=True),
        NebulaFault(done=False),
        NebulaFault(noise=True, crlf=True, bytewise=True, done=False),
    ],
)
async def test_odd_streams_lose_nothing(server: NebulaServer, model: Nebula, fault: NebulaFault) -> None:
    """Pings, empty chunks, CRLF, single bytes and a missing [DONE] change nothing."""
    server.fault(fault)
    text = "Grüße 🙂\u2028 日本語 `code`"
    server.answer_next(text)
    assert await whole(model) == text


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        *((word, Finish.LENGTH) for word in ("length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded")),
        *((word, Finish.LENGTH) for word in ("max_new_tokens", "model_length", "FinishReason.MAX_TOKENS", "limit")),
        *((word, Finish.FILTER) for word in ("content_filter", "SAFETY", "RECITATION", "sensitive", "refusal")),
        *((word, Finish.STOP) for word in ("eos", "eos_token", "end_turn", "STOP", "COMPLETE", "stop_sequence")),
        *((word, Finish.UNKNOWN) for word in ("tool_calls", "OTHER", "repetition", "something new")),
    ],
)
async def test_finish_reasons_are_mapped(server: NebulaServer, model: Nebula, reason: str, finish: Finish) -> None:
    """The words of all servers; after a reason that we do not know the answer may be incomplete."""
    server.answer_next("a", finish=reason)
    assert (await read(model))[-1].finish is finish


async def test_done_without_a_finish_reason_is_an_end(server: NebulaServer, model: Nebula) -> None:
    """[DONE] alone is a normal end."""
    server.answer_next("all of it", finish=None)
    assert (await read(model))[-1].finish is Finish.STOP


@pytest.mark.parametrize("style", list(Thought))
@pytest.mark.parametrize("bytewise", [False, True])
async def test_thought_is_separated(server: NebulaServer, model: Nebula, style: Thought, bytewise: bool) -> None:
    """Tags, a missing opening tag and both field names give the same thought and the same clean answer."""
    server.fault(NebulaFault(bytewise=bytewise))
    server.answer_next("It is 42.", thought="Okay, let me think.", style=style)
    deltas = await read(model, ASK_R1)
    assert "".join(delta.text for delta in deltas) == "It is 42."
    assert "".join(delta.thought for delta in deltas).strip() == "Okay, let me think."


def events(*pieces: str, thought: str = "") -> bytes:
    """A stream with these pieces of content and a normal end."""
    chunks = [{"choices": [{"index": 0, "delta": {"reasoning": thought}, "finish_reason": None}]}] if thought else []
    chunks += [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def total(deltas: Iterable[Delta]) -> tuple[str, str]:
    """The text and the thought of these deltas, combined as a reply combines them."""
    reply, thought = Reply(phase=Phase.THINKING), ""
    for delta in deltas:
        reply = reply.add(delta, 0)
        thought += delta.thought
    return reply.text, thought


def added(body: bytes, cuts: list[int]) -> tuple[str, str]:
    """The text and the thought of a body that arrives in these reads, from an unknown model."""
    answer = ResponseDecoder("vendor/model")
    deltas = [answer.feed(body[start:stop]) for start, stop in pairwise([0, *sorted(cuts), len(body)]) if start < stop]
    return total([*filter(None, deltas), answer.close()])


UNOPENED_THOUGHT = ["Okay so ", "first. hmm …\n", "</think>", "\n\n", "The answer ", "is 43."]


@pytest.mark.parametrize("bytewise", [False, True])
async def test_a_model_that_thinks_unexpectedly_ends_with_its_answer(
    server: NebulaServer, model: Nebula, bytewise: bool
) -> None:
    """A closing tag alone, from a model not known to think aloud, turns the text before it into thought."""
    server.fault(NebulaFault(body=events(*UNOPENED_THOUGHT), bytewise=bytewise))
    assert total(await read(model)) == ("The answer is 43.", "Okay so first. hmm …\n")


@given(st.lists(st.integers(0, len(events(*UNOPENED_THOUGHT))), max_size=12))
def test_reads_of_any_size_give_the_same_answer(cuts: list[int]) -> None:
    """Many pieces in one read, or one piece in many reads: the thought and the answer are the same."""
    assert added(events(*UNOPENED_THOUGHT), cuts) == ("The answer is 43.", "Okay so first. hmm …\n")


async def test_an_answer_without_its_thought_grows(server: NebulaServer, model: Nebula) -> None:
    """Old LiteLLM drops the thought; the answer of a model known to think aloud then streams from its first word."""
    server.answer_next("\n\none two three")
    server.fault(NebulaFault(error_after=3))
    text, _ = await failing(model, ServerTrouble, ASK_R1)
    assert text.startswith("one")


@pytest.mark.parametrize(
    "body",
    [
        events("Hm.\n", "</think>", "\n\n"),
        events("Hm.\n", "</think>"),
        events("<think>", "Hm.", "</think>", "\n"),
        events(thought="Hm.").replace(b'"stop"', b"null"),
        json.dumps({"choices": [{"message": {"content": "Hm.\n</think>\n\n"}, "finish_reason": "stop"}]}).encode(),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_thought_alone_is_no_answer(body: bytes, size: int) -> None:
    """A normal end after nothing but thought is a failure, however much of the thought was shown."""
    with pytest.raises(AttemptFailed) as caught:
        added(body, list(range(0, len(body), size)))
    assert type(caught.value.error) is NoAnswer


def test_a_thought_that_takes_the_whole_limit_is_no_text() -> None:
    """Cut off right after the closing tag: the text shown is taken back at the end, and the limit is the reason."""
    answer = ResponseDecoder("vendor/model")
    shown = answer.feed(events("Hm.\n", "</think>").replace(b'"stop"', b'"length"'))
    assert shown == Delta("Hm.\n")
    assert answer.close() == Delta("", "Hm.\n", Finish.LENGTH, restart=True)


async def test_json_instead_of_a_stream_is_read(server: NebulaServer, model: Nebula) -> None:
    """A server that ignores `stream` still answers, even with blank lines before the object."""
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "<think>a</think>\n\nb"}}]}
    server.fault(NebulaFault(body="\n\n" + json.dumps(body)))
    deltas = await read(model)
    assert ("".join(d.text for d in deltas), "".join(d.thought for d in deltas)) == ("b", "a")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vllm_stream_badutf", "bad byte: \ufffd after bad"),
        ("vllm_stream_cututf", "cut: "),
        ("vllm_stream_emoji", "Emoji: 🙂 cjk: 中 accent: é over"),
        ("vllm_stream_md", "Mentions: @everyone and <@123> code:\n```py\nprint(1)\n``` end"),
        ("vllm_stream_stop", "loop0 loop1 loop2 loop3 "),
    ],
)
async def test_an_answer_in_the_reasoning_field_alone_is_the_answer(
    server: NebulaServer, model: Nebula, name: str, text: str
) -> None:
    """vLLM's parser of thoughts puts an answer without a closing tag wholly into that field, and says "stop"."""
    server.fault(recorded(name))
    assert await whole(model) == text


async def test_complete_does_not_stream(server: NebulaServer, model: Nebula) -> None:
    """One request, one answer with its thought and its usage."""
    server.answer_next("It is 42.", thought="Hm.", style=Thought.UNOPENED)
    completion = await model.complete(ASK_R1)
    assert completion == Completion("It is 42.", "Hm.\n", Finish.STOP, completion.usage)
    assert completion.usage.completion > 0
    assert server.requests[0].stream is False
    assert server.requests[0].include_usage is False


VLLM_THOUGHT = "Okay, let me think about this question for some time;"
MOCK = "Hello from LiteLLM's mock of Llama-3.3-70B. It streams a few words at a time."


@pytest.mark.parametrize(
    ("name", "text", "thought", "finish", "usage"),
    [
        ("vllm_stream", "The final answer is 42!", VLLM_THOUGHT, Finish.STOP, None),
        ("vllm_stream_usage", "The final answer is 42!", VLLM_THOUGHT, Finish.STOP, Usage(8, 21)),
        ("vllm_stream_usage_every", "The final answer is 42!", VLLM_THOUGHT, Finish.STOP, Usage(8, 21)),
        ("vllm_stream_n2", "The final answer is 42!", VLLM_THOUGHT, Finish.STOP, None),
        ("vllm_stream_length", "", " loop0 loop1 loop2 loop3 loop4 loop5", Finish.LENGTH, Usage(8, 6)),
        ("vllm_nonstream", "The final answer is 42!", VLLM_THOUGHT, Finish.STOP, Usage(8, 21)),
        ("litellm_stream", MOCK, "", Finish.STOP, None),
        ("litellm_stream_length", MOCK, "", Finish.STOP, Usage(8, 27)),
        ("litellm_stream_n2", MOCK, "", Finish.STOP, None),
        ("litellm_nonstream", MOCK, "", Finish.STOP, Usage(10, 20)),
    ],
)
async def test_recorded_answers(
    server: NebulaServer, model: Nebula, name: str, text: str, thought: str, finish: Finish, usage: Usage | None
) -> None:
    """Answers of real servers are read to the last word."""
    server.fault(recorded(name))
    deltas = await read(model)
    assert "".join(delta.text for delta in deltas) == text
    assert "".join(delta.thought for delta in deltas) == thought
    assert (deltas[-1].finish, deltas[-1].usage) == (finish, usage)


# Failures

RECORDED_ERRORS = {
    BadKey: "litellm_bad_key litellm_key_expired litellm_key_wrong vllm_bad_key vllm_no_key",
    NoCredits: "litellm_key_budget",
    RateLimited: "litellm_par_2 litellm_rpm_4 litellm_rpm_stream litellm_tpm_3",
    ContextTooLong: "vllm_ctx_overflow vllm_ctx_overflow_stream vllm_huge_body",
    UnknownModel: "litellm_key_models litellm_unknown_model litellm_unknown_model_stream vllm_unknown_model "
    "vllm_unknown_model_stream",
    BadRequest: "litellm_bad_json litellm_no_messages vllm_bad_json vllm_content_null vllm_ctype vllm_empty_messages "
    "vllm_image_part vllm_maxtokens_0 vllm_maxtokens_huge vllm_maxtokens_neg vllm_no_messages vllm_temp_bad "
    "vllm_topp_bad",
    ServerTrouble: "litellm_no_key vllm_engine_dead_next",
    WrongAddress: "litellm_get_method litellm_path404 vllm_get_method vllm_path404",
    NoAnswer: "vllm_nonstream_empty vllm_stream_empty",
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in RECORDED_ERRORS.items() for name in names.split()]
)
async def test_recorded_errors(server: NebulaServer, kind: type[ModelError], name: str) -> None:
    """Refusals of real servers map to the error tree; a stop after nothing but thought is a failure."""
    server.fault(recorded(name), times=None)
    async with client(server, retries=1) as model:
        text, _ = await failing(model, kind)
    assert text == ""


def wrapped(message: object, **more: object) -> str:
    return json.dumps({"error": {"message": message, **more}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", BadKey),
        (403, wrapped("forbidden"), BadKey),
        (400, wrapped("API key not valid. Please pass a valid API key."), BadKey),
        (402, "", NoCredits),
        (400, wrapped("Budget has been exceeded! Current cost: 1", type="budget_exceeded"), NoCredits),
        (429, wrapped("You exceeded your current quota", type="insufficient_quota"), NoCredits),
        (403, wrapped("Insufficient credits in your account"), NoCredits),
        (429, "<html>Too Many Requests</html>", RateLimited),
        (
            400,
            wrapped("This model's maximum context length is 8 tokens. However, you want 9"),
            ContextTooLong,
        ),
        (400, wrapped("litellm.ContextWindowExceededError: litellm.BadRequestError"), ContextTooLong),
        (400, wrapped("request exceeds the available context size", type="exceed_context_size_error"), ContextTooLong),
        (400, wrapped("too long", code="context_length_exceeded"), ContextTooLong),
        (400, wrapped({"error": "prompt is too long: 9 tokens"}), ContextTooLong),
        (413, "<html>", ContextTooLong),
        (
            400,
            wrapped("max_tokens is too large: 900. This model's maximum context length is 800 tokens and you have 8"),
            BadRequest,
        ),
        (
            400,
            wrapped("max_tokens is too large: 500. This model's maximum context length is 800 tokens and you have 700"),
            ContextTooLong,
        ),
        (400, wrapped({"error": "Invalid model name passed in model=x"}), UnknownModel),
        (404, wrapped("The model `x` does not exist", code="model_not_found"), UnknownModel),
        (404, json.dumps({"detail": "Not Found"}), WrongAddress),
        (422, json.dumps({"detail": [{"loc": ["body", "top_p"], "input": "the model does not exist"}]}), BadRequest),
        (400, wrapped("temperature must be non-negative"), BadRequest),
        (400, json.dumps({"error": "nope"}), BadRequest),
        (400, "", BadRequest),
        (408, wrapped("litellm.Timeout", type="invalid_request_error"), ModelTimeout),
        (504, "<html>", ModelTimeout),
        (500, wrapped("Connection error."), ServerTrouble),
        (503, wrapped("Loading model"), ServerTrouble),
        (302, "", WrongAddress),
    ],
)
async def test_refusals_are_mapped(server: NebulaServer, status: int, body: str, kind: type[ModelError]) -> None:
    """By status, then type and code, then wording, however the body is wrapped."""
    server.fault(NebulaFault(status=status, body=body))
    async with client(server, retries=1) as model:
        await failing(model, kind)


async def test_an_unknown_model_is_named(model: Nebula) -> None:
    """The error has the requested name."""
    _, error = await failing(model, UnknownModel, ChatRequest("no/such", PROMPTED_REQUEST.messages))
    assert isinstance(error, UnknownModel)
    assert error.model == "no/such"


async def test_errors_and_log_hold_no_message_text_and_no_key(
    server: NebulaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if a server quotes the request, we do not repeat it."""
    for status in (400, 500, 500):
        server.fault(NebulaFault(status=status, body=wrapped(f"{SECRET} ak_secret", type=SECRET, code="ak_secret")))
    caplog.set_level("DEBUG", "core")
    async with client(server, retries=2) as model:
        _, refused = await failing(model, BadRequest)
        _, broken = await failing(model, ServerTrouble)
    said = caplog.text + str(refused) + str(broken) + repr(refused)
    assert "retrying in" in said
    assert SECRET not in said
    assert "ak_secret" not in said


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ('{"error":{"message":"litellm.APIConnectionError","type":null,"code":"500"}}', ServerTrouble),
        ('{"error":{"message":"x","code":408}}', ModelTimeout),
        ('{"error":"rate limit reached"}', RateLimited),
        ('{"object":"error","message":"the prompt is too long","type":"BadRequestError","code":400}', ContextTooLong),
        (
            '{"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"error":{"message":"x","code":502}}',
            ServerTrouble,
        ),
        ('{"choices":[{"index":0,"delta":{},"finish_reason":"abort"}]}', BrokenStream),
        ('{"choices":[', BrokenStream),
    ],
)
async def test_an_error_inside_a_stream_keeps_the_text(
    server: NebulaServer, model: Nebula, error: str, kind: type[ModelError]
) -> None:
    """The words before the error are delivered, then it is raised, and there is no other request."""
    server.answer_next("one two three")
    server.fault(NebulaFault(error_after=2, error=error))
    text, _ = await failing(model, kind)
    assert text == "one two"
    assert len(server.requests) == 1


async def test_a_recorded_crash_in_a_stream_keeps_the_text(server: NebulaServer, model: Nebula) -> None:
    """vLLM's engine was killed in the middle of an answer."""
    server.fault(recorded("vllm_engine_killed_midstream"))
    text, _ = await failing(model, ServerTrouble)
    assert text.startswith("loop0 loop1")


@pytest.mark.parametrize("fault", [NebulaFault(cut_after=2), NebulaFault(error_after=2, error=": nothing more")])
async def test_a_stream_that_ends_too_early_is_broken(server: NebulaServer, model: Nebula, fault: NebulaFault) -> None:
    """A reset connection, and a clean end without finish_reason and [DONE]."""
    server.answer_next("one two three")
    server.fault(fault)
    text, _ = await failing(model, BrokenStream)
    assert "one two three".startswith(text)
    assert len(server.requests) <= 2


async def closed_after(fault: NebulaFault, seconds: float) -> int:
    """The number of requests without a first token, closed after these seconds. 0 if they passed before one arrived."""
    async with NebulaServer() as server:
        async with client(server, first_token=seconds) as model:
            await model.catalog()  # connected: the request itself needs none of the time
            server.fault(fault)
            await failing(model, ModelTimeout)
        if server.requests:
            await server.until(lambda: any(each.closed_early for each in server.requests))
        return len(server.requests)


@pytest.mark.parametrize(
    "fault", [NebulaFault(stall_after=0), NebulaFault(first_token=10 * HANG_SECONDS)], ids=["pings", "no headers"]
)
async def test_the_wait_for_the_first_token_is_bounded(fault: NebulaFault) -> None:
    """Role-only chunks and comments do not count as signs of life, and a proxy may withhold its headers until the first
    token."""
    assert await in_time(partial(closed_after, fault)) == 1


async def test_the_wait_between_tokens_has_its_own_bound(server: NebulaServer) -> None:
    """A stall in mid-stream ends the answer and keeps its text."""
    server.answer_next("one two three")
    server.fault(NebulaFault(stall_after=2))
    async with client(server, between_tokens=0.5) as model:
        text, _ = await failing(model, ModelTimeout)
    assert text == "one two"
    await server.until(lambda: server.requests[0].closed_early)


async def test_an_address_at_which_nothing_ever_answered_may_be_wrong() -> None:
    """Nobody listens on the port: people are not asked to try again in a moment, and the log names the variable."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with Nebula(api_key="k", base_url=url, platform_url=url, backoff=0.0) as model:
            _, wrong = await failing(model, WrongAddress)
            assert await model.catalog() == BUILT_IN
    assert "NEBULA_BASE_URL" in str(wrong)
    assert "in a moment" not in wrong.notice


async def test_an_unreachable_server_that_has_answered_is_server_trouble() -> None:
    """Its address is right: it will come back."""
    async with NebulaServer() as server:
        model = client(server, backoff=0.0)
        await model.__aenter__()
        await model.check()
    await failing(model, ServerTrouble)
    await model.__aexit__(None, None, None)


async def test_the_list_of_models_shows_that_the_address_is_right(server: NebulaServer, model: Nebula) -> None:
    """It has the text models that the server offers."""
    assert "meta-llama/Llama-3.3-70B-Instruct" in {info.name for info in await model.check()}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "lacks the /v1"),
        ("/v1/v1", "has /v1 twice"),
        ("/v1/models", "must end before /models"),
        ("/v1/chat/completions/chat/completions", "must end before /chat/completions"),
        ("/other/v1", "leads to something else"),
    ],
)
async def test_a_wrong_path_is_recognised(server: NebulaServer, path: str, said: str) -> None:
    """The sentence for the log says what is wrong with NEBULA_BASE_URL, for a question and for the list of models."""
    url = server.base_url.removesuffix("/v1") + path
    async with Nebula(api_key="k", base_url=url, platform_url=url, backoff=0.0) as model:
        _, wrong = await failing(model, WrongAddress)
        assert f"NEBULA_BASE_URL {said}" in str(wrong)
        with pytest.raises(WrongAddress, match=f"NEBULA_BASE_URL {said}"):
            await model.check()


async def test_a_name_that_nobody_knows_is_recognised() -> None:
    """DNS has no such host (RFC 6761 keeps .invalid free)."""
    async with Nebula(api_key="k", base_url="http://nowhere.invalid/v1", backoff=0.0) as model:
        with pytest.raises(WrongAddress, match="host in NEBULA_BASE_URL is not known"):
            await model.check()


async def test_tls_where_there_is_none_is_recognised(server: NebulaServer) -> None:
    """The scheme or the port is wrong."""
    async with Nebula(api_key="k", base_url=server.base_url.replace("http", "https"), backoff=0.0) as model:
        with pytest.raises(WrongAddress, match=r"does not speak TLS .*NEBULA_BASE_URL"):
            await model.check()


@pytest.mark.parametrize("asked", [True, False])
async def test_a_web_page_is_a_wrong_address_until_the_api_has_answered(
    server: NebulaServer, model: Nebula, asked: bool
) -> None:
    """Some gateways send HTML with status 200. Later it is a page of maintenance."""
    if asked:
        await read(model)
    server.fault(NebulaFault(body="<html>Welcome</html>", headers={"Content-Type": "text/html"}), times=None)
    await failing(model, ServerTrouble if asked else WrongAddress)


@pytest.mark.parametrize("reset", [False, True])
async def test_no_failure_after_the_finish_affects_the_answer(monkeypatch: pytest.MonkeyPatch, reset: bool) -> None:
    """If the server then falls silent or resets the connection, the answer is still complete."""
    monkeypatch.setattr("core.nebula.client.AFTER_FINISH_SECONDS", 0.05)
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        chunk = b'data: {"choices":[{"delta":{"content":"all"},"finish_reason":"stop"}]}\n\n'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + chunk)
        await writer.drain()
        if not reset:
            await reader.read()
            while not reader.at_eof():
                await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with Nebula(api_key="k", base_url=url, platform_url=url) as model:
            assert await whole(model) == "all"
            async with asyncio.timeout(HANG_SECONDS):
                await gone.wait()


async def test_an_endless_event_is_a_broken_stream(server: NebulaServer) -> None:
    """A server that never ends a line cannot fill the memory."""
    server.fault(NebulaFault(body=b"data: " + b"x" * (2 << 20), headers={"content-type": "text/event-stream"}))
    async with client(server) as model:
        await failing(model, BrokenStream)
    assert len(server.requests) == 1


async def test_a_proxy_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY gets the requests to the API."""
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 402 Payment Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with Nebula(api_key="k", base_url="http://nebula.invalid/v1") as model:
            await failing(model, NoCredits)
    assert asked == [b"POST http://nebula.invalid/v1/chat/completions HTTP/1.1\r\n"]


# Attempts


@pytest.mark.parametrize(
    "fault",
    [
        NebulaFault(status=500),
        NebulaFault(status=503, headers={"llm_provider-retry-after": "0.01"}),
        NebulaFault(status=408),
        NebulaFault(status=429, headers={"retry-after": "0.01"}),
        NebulaFault(cut_after=0),
        NebulaFault(error_after=0),
        NebulaFault(empty=True),
        NebulaFault(body='data: {"error":{"message":"x","code":"429"}}\n\ndata: [DONE]\n\n'),
    ],
)
async def test_a_failure_before_the_first_token_is_retried(
    server: NebulaServer, model: Nebula, fault: NebulaFault
) -> None:
    """People do not notice a temporary failure."""
    server.fault(fault)
    server.answer_next("fine")
    if fault.cut_after == 0 or fault.error_after == 0:
        server.answer_next("fine")  # the failed attempt uses up an answer too
    assert await whole(model) == "fine"
    assert len(server.requests) == 2


async def test_complete_retries_too(server: NebulaServer, model: Nebula) -> None:
    """The same rules hold without a stream."""
    server.fault(NebulaFault(status=502))
    server.answer_next("fine")
    assert (await model.complete(PROMPTED_REQUEST)).text == "fine"


async def test_attempts_are_bounded(server: NebulaServer, model: Nebula) -> None:
    """Three attempts, then the error is shown."""
    server.fault(NebulaFault(status=500), times=None)
    await failing(model, ServerTrouble)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (NebulaFault(status=429, headers={"retry-after": "0"}), 2),
        (NebulaFault(status=429, body=wrapped("200 requests per day")), 1),
        (NebulaFault(empty=True), 2),
        (NebulaFault(status=401), 1),
        (NebulaFault(status=400), 1),
    ],
)
async def test_pointless_retries_are_not_made(
    server: NebulaServer, model: Nebula, fault: NebulaFault, requests: int
) -> None:
    """A second rate limit or a second empty answer is final; a daily limit and a refusal are final at once."""
    server.fault(fault, times=None)
    with pytest.raises(ModelError):
        await read(model)
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "60"}, 60, 60),
        ({"retry-after": "25.803083"}, 25.8, 25.9),
        ({"retry-after-ms": "90000", "retry-after": "1"}, 90, 90),
        ({"llm_provider-retry-after": "61"}, 61, 61),
    ],
)
async def test_a_long_retry_after_is_reported_instead_of_waited_out(
    server: NebulaServer, model: Nebula, headers: dict[str, str], least: float, most: float
) -> None:
    """Every number in Retry-After is understood; above 20 s people see the error at once."""
    server.fault(NebulaFault(status=429, headers=headers), times=None)
    _, error = await failing(model, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert least <= error.retry_after <= most
    assert len(server.requests) == 1


async def test_a_date_in_retry_after_is_understood_as_a_time(server: NebulaServer, model: Nebula) -> None:
    """What is left until then is reported, seen from a moment while the request ran."""
    date = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    server.fault(NebulaFault(status=429, headers={"retry-after": format_datetime(date, usegmt=True)}), times=None)
    before = time.time()
    _, error = await failing(model, RateLimited)
    after = time.time()
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert date.timestamp() - after <= error.retry_after <= date.timestamp() - before
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "Wed, 21 Oct 2337 07:28:00 GMT", "1e400"])
async def test_an_invalid_retry_after_is_ignored(server: NebulaServer, model: Nebula, value: str) -> None:
    """It counts as missing: there is one more attempt after a short pause."""
    server.fault(NebulaFault(status=429, headers={"retry-after": value}))
    server.answer_next("fine")
    assert await whole(model) == "fine"


# Closing


async def test_leaving_the_context_closes_the_request(server: NebulaServer, model: Nebula) -> None:
    """A stopped answer stops on the server too, even while the server is silent."""
    server.answer_next("one two three")
    server.fault(NebulaFault(stall_after=2))
    async with model.stream(PROMPTED_REQUEST) as deltas:
        async for delta in deltas:
            if delta.text:
                break
    await server.until(lambda: server.requests[0].closed_early)


async def test_cancelling_closes_the_request(server: NebulaServer, model: Nebula) -> None:
    """Even before the headers have arrived."""
    server.fault(NebulaFault(first_token=10 * HANG_SECONDS))
    task = asyncio.create_task(read(model))
    await server.until(lambda: len(server.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.until(lambda: server.requests[0].closed_early)


async def test_requests_beyond_the_limit_wait_their_turn(server: NebulaServer) -> None:
    """Only `max_streams` run at the same time, and cancelled requests give their slot back."""
    server.fault(NebulaFault(stall_after=0), times=None)
    async with client(server, max_streams=2) as model:
        tasks = [asyncio.create_task(read(model)) for _ in range(6)]
        await server.until(lambda: len(server.requests) == 2)
        for task in tasks[:4]:
            task.cancel()
        await server.until(lambda: len(server.requests) == 4)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        server.heal()
        server.answer_next("fine")
        assert await whole(model) == "fine"


async def test_a_finished_stream_leaves_its_connection_to_the_next(server: NebulaServer, model: Nebula) -> None:
    """Answers that are read to the end share one connection."""
    for _ in range(3):
        await read(model)
    assert server.connections == 1


# Catalog


async def test_the_catalog_comes_from_the_platform_and_is_cached(server: NebulaServer, model: Nebula) -> None:
    """It has only text models, with their sizes; simultaneous callers share one request."""
    catalogs = await asyncio.gather(*(model.catalog() for _ in range(5)))
    info = catalogs[0].find("deepseek-r1-distill-llama-70b")
    assert info is not None
    assert (info.context, info.max_output) == (32768, 10000)
    assert catalogs[0].live
    assert not any("FLUX" in each.name or "bge" in each.name for each in catalogs[0].models)
    assert server.catalog_requests == 1


async def test_the_catalog_falls_back_to_the_inference_server(server: NebulaServer) -> None:
    """Without the platform it lists the models that the API serves, with known short names."""
    platform = f"{server.base_url}/none"
    async with Nebula(
        api_key="k", base_url=server.base_url, platform_url=platform, catalog_patience=HANG_SECONDS
    ) as model:
        found = await model.catalog()
    assert found.live
    assert found.find("Llama3.3-70B") is not None


async def test_the_catalog_falls_back_to_the_built_in_models() -> None:
    """There is a list even if the key is refused."""
    async with NebulaServer(keys={"other"}) as server, client(server) as model:
        found = await model.catalog()
        assert await model.catalog() is found
        assert server.catalog_requests == 2
    assert not found.live
    assert len(found.models) == 5


async def test_an_old_catalog_is_served_when_the_server_fails(server: NebulaServer) -> None:
    """The last live list is better than the built-in one."""
    async with client(server, catalog_seconds=0.0) as model:
        before = await model.catalog()
        server.catalog_status = 503
        assert await model.catalog() == before
        assert server.catalog_requests > 1
