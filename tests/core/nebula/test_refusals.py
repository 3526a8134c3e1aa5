"""Refusals in the words of many servers: what they are about, what they name, and what is sent after them."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bots.sandbox.nebula.faults import NebulaFault, Received
from bots.sandbox.nebula.server import NebulaServer
from core.domain.chat import ChatMessage, ChatRequest, Picture
from core.domain.errors import (
    BadKey,
    BadRequest,
    Blocked,
    CantSee,
    ContextTooLong,
    Filtered,
    ModelError,
    NoCredits,
    RateLimited,
    ServerTrouble,
    UnknownModel,
    WrongAddress,
)
from core.nebula.catalog import BUILT_IN
from core.nebula.client import Nebula
from core.nebula.failures import from_response, from_stream, retry_after
from tests.bounds import HANG_SECONDS

ASK = ChatRequest("Llama3.1-8B", (ChatMessage("system", "Be brief."), ChatMessage("user", "why?")), top_p=0.9)


@pytest.fixture
async def server() -> AsyncIterator[NebulaServer]:
    async with NebulaServer(answer=lambda messages: "Fine.") as server:
        yield server


@pytest.fixture
async def model(server: NebulaServer) -> AsyncIterator[Nebula]:
    async with Nebula(
        api_key="k",
        base_url=server.base_url,
        platform_url=server.platform_url,
        backoff=0.0,
        first_token=HANG_SECONDS,
        between_tokens=HANG_SECONDS,
    ) as model:
        yield model


async def text(model: Nebula, request: ChatRequest = ASK) -> str:
    async with model.stream(request) as deltas:
        return "".join([delta.text async for delta in deltas])


# The words of servers, with the window and the prompt that they name.
OVERFLOWS = [
    ("This model's maximum context length is 4097 tokens. However, your messages resulted in 9000 tokens.", 4097, 9000),
    (
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, "
        "1000 in the completion). Please reduce the length of the messages or completion.",
        *(8192, 8000),
    ),
    (
        "You passed 9001 input tokens and requested 100 output tokens. However, the model's context length is only 8192"
        " tokens, resulting in a maximum input length of 8092 tokens. Please reduce the length of the input prompt.",
        *(8192, 9001),
    ),
    ("The decoder prompt (length 9001) is longer than the maximum model length of 8192.", 8192, 9001),
    ("This model's maximum context length is 800 tokens and your request has 900 input tokens", 800, 900),
    ("Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", 1024, 2000),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1900 `inputs` tokens and"
        " 512 `max_new_tokens`",
        *(2048, 1900),
    ),
    ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192, 9000),
    (
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000"
        " tokens: 8000 tokens from the input messages and 1000 tokens for the completion.",
        *(8192, 8000),
    ),
    ("Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens).", 8192, 9000),
    ("request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192, 9000),
    ("Requested tokens (5000) exceed context window of 4096", 4096, 5000),
    ("the request exceeds the available context size. try increasing the context size", None, None),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576, 1200000),
    ("input token count is 32771 but the model only supports up to 32768. exceeds the maximum", 32768, 32771),
    ("prompt token count of 70000 exceeds the limit of 64000", 64000, 70000),
    ("Input is too long for requested model.", None, None),
    ("input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000", 200000, 198000),
    ("prompt is too long: 210000 tokens > 200000 maximum", 200000, 210000),
    ("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", 30720, None),
    (
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        32768,
        40000,
    ),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter "
        "prompt",
        *(4081, 5000),
    ),
    ("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", 8192, 9000),
    ("Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", 8192, 9000),
    ("tokens in request more than max tokens allowed", None, None),
    ("Prompt length 9000 is greater than max_seq_len 8192", 8192, 9000),
    ("failed to process prompt: context is full", None, None),
    ("inputs tokens + max_new_tokens must be <= 8192", None, None),
    ("\u8f93\u5165\u5185\u5bb9\u8fc7\u957f", None, None),
    ("invalid params, context window exceeds limit (2013)", 2013, None),
    ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131072, 537812),
    ("the input length exceeds the context length", None, None),
    (
        "This model's maximum context length is 4096 tokens. However, your prompt contains 30000031 characters (more"
        " than 53248 characters, which is the upper bound for 4096 input tokens).",
        *(4096, None),
    ),
    ("input exceeds the maximum allowed input length 4096", 4096, None),
    (
        "Token indices sequence length is longer than the specified maximum sequence length for this model (900 > 512)",
        512,
        900,
    ),
    ("Prompt length (9000) exceeds maximum input length (8192).", 8192, 9000),
    ("the input prompt is too long", None, None),
    (
        "Trying to keep the first 4096 tokens when context the overflows; the context length is only 2048 tokens",
        2048,
        None,
    ),
    ("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000", 6000, 9000),
    ("Prompt \u8d85\u957f", None, None),
    ("string too long. code: string_above_max_length", None, None),
    ("input_too_long", None, None),
    ("tokens_limit_reached: Request body too large for the model. Max size: 8000 tokens.", 8000, None),
    ("Input length of input_ids is 9000, but `max_length` is set to 8192.", 8192, 9000),
    ("The prompt does not fit in the context", None, None),
    ("You exceeded the maximum context", None, None),
    ("Number of input tokens exceeds the maximum allowed", None, None),
    ("litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException", None, None),
]


@pytest.mark.parametrize(("words", "window", "prompt"), OVERFLOWS)
def test_an_overflow_is_recognised_with_its_numbers(words: str, window: int | None, prompt: int | None) -> None:
    """As an HTTP error of several statuses, and as an error in a stream."""
    body = json.dumps({"error": {"message": words}}).encode()
    failures = [from_response(status, body, {}, "m", 0) for status in (400, 413, 422, 500)]
    failures += [from_stream({"message": words}, "m"), from_stream(words, "m")]
    for failed in failures:
        assert isinstance(failed.error, ContextTooLong)
        assert (failed.error.window, failed.error.prompt) == (window, prompt)
        assert not failed.again


def test_numbers_of_their_own_are_read() -> None:
    """llama.cpp gives them in fields."""
    error = {"code": 400, "message": "too big", "type": "exceed_context_size_error", "n_prompt_tokens": 90, "n_ctx": 64}
    failed = from_response(400, json.dumps({"error": error}).encode(), {}, "m", 0)
    assert isinstance(failed.error, ContextTooLong)
    assert (failed.error.window, failed.error.prompt) == (64, 90)


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "ThrottlingException: Too many tokens, please wait before trying again.", RateLimited),
        (400, "Too many requests, please slow down", RateLimited),
        (400, "Too many tokens per day, please wait before trying again.", RateLimited),
        (400, "Too many concurrent requests", RateLimited),
        (400, "Range of max_tokens should be [1, 8192]", BadRequest),
        (400, "max_tokens must be less than or equal to 4096", BadRequest),
        (400, "temperature must be in [0, 2]", BadRequest),
        (400, "<html><title>400 Request Header Or Cookie Too Large</title></html>", ServerTrouble),
        (503, "The request queue exceeds its maximum size", ServerTrouble),
        (503, "no balancer available", ServerTrouble),
        (500, "insufficient balance (1008)", NoCredits),
        (403, '{"error":{"code":"insufficient_user_quota","message":"user quota is not enough"}}', NoCredits),
        (429, '{"error":{"code":"billing_hard_limit_reached"}}', NoCredits),
        (403, "You have exceeded your monthly included credits", NoCredits),
        (403, "Key limit exceeded (total limit)", NoCredits),
        (403, "The free quota has been exhausted", NoCredits),
        (400, "Access denied, please make sure your account is in good standing: Arrearage", NoCredits),
        (429, '{"error":{"code":"1113","message":"\u4f59\u989d\u4e0d\u8db3"}}', NoCredits),
        (403, "<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>", Blocked),
        (403, "<html>\r\n<head><title>403 Forbidden</title></head></html>", Blocked),
        (403, "error code: 1020", Blocked),
        (407, "", Blocked),
        (451, "", Blocked),
        (403, '{"error":{"message":"forbidden"}}', BadKey),
        (401, '{"error":"Unauthorized"}', BadKey),
        (404, '{"detail":"Not Found"}', WrongAddress),
        (405, "", WrongAddress),
        (308, "", WrongAddress),
        (404, '{"error":{"message":"No endpoints found for x/y."}}', UnknownModel),
        (404, '{"error":{"message":"The API deployment for this resource does not exist."}}', UnknownModel),
        (404, '{"error":{"message":"models/foo is not found for API version v1beta"}}', UnknownModel),
        (404, '{"error":{"type":"not_found_error","message":"model: claude-2"}}', UnknownModel),
        (400, "The model `x` has been decommissioned and is no longer supported.", UnknownModel),
        (400, "Unable to access non-serverless model x. Please create a new dedicated endpoint", UnknownModel),
        (400, '{"message":"Invalid model: foo","type":"invalid_model"}', UnknownModel),
        (400, "The model does not support Chat Completions API", UnknownModel),
        (400, "No models loaded. Please load a model in the developer page", UnknownModel),
        (410, "This model is retired", UnknownModel),
        (400, '{"error":{"code":"content_filter","message":"content management policy"}}', Filtered),
        (400, '{"error":{"code":"data_inspection_failed","message":"inappropriate content"}}', Filtered),
        (400, '{"error":{"message":"Content Exists Risk","code":"invalid_request_error"}}', Filtered),
        (403, "x requires moderation on y. Your input was flagged. No credits were charged.", Filtered),
        (400, "litellm.ContentPolicyViolationError: litellm.BadRequestError", Filtered),
        (400, "The request was rejected because it was considered high risk", Filtered),
        (
            400,
            "\u7cfb\u7edf\u68c0\u6d4b\u5230\u8f93\u5165\u6216\u751f\u6210\u5185\u5bb9\u53ef\u80fd\u5305\u542b\u654f\u611f\u5185\u5bb9",
            Filtered,
        ),
        (403, '{"error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}', Filtered),
        (403, "Country, region, or territory not supported", Blocked),
        (400, '[{"error":{"message":"User location is not supported for the API use."}}]', Blocked),
        (403, '{"error":{"message":"Access denied. Please check your network settings."}}', Blocked),
        (401, '{"error":{"code":"ip_not_authorized"}}', Blocked),
        (400, '[{"error":{"message":"API key not valid. Please pass a valid API key."}}]', BadKey),
        (424, '{"error":"Request failed during generation","error_type":"generation"}', ServerTrouble),
        (409, "", ServerTrouble),
        (498, "capacity exceeded", RateLimited),
        (429, "You exceeded your current quota, please check your plan. Please retry in 34.07s.", RateLimited),
        (429, "You exceeded your current quota, please check your plan and billing details.", NoCredits),
        (429, '{"error":{"message":"Too many tokens","n_ctx":"' + "9" * 5000 + '"}}', RateLimited),
        (400, '{"error":{"message":"prompt is too long","n_ctx":"' + "9" * 5000 + '"}}', ContextTooLong),
        (500, 'data: {"error":{"message":"prompt is too long","code":400}}\n\n', ContextTooLong),
    ],
)
def test_refusals_are_told_apart(status: int, words: str, kind: type[ModelError]) -> None:
    """Speed is not length, a page of a CDN says nothing about the key, and money is the operator's affair."""
    failed = from_response(status, words.encode(), {}, "m", 0)
    assert type(failed.error) is kind
    passing = status >= 500 or status in (409, 424)
    soon = kind is RateLimited and "per day" not in words
    assert failed.again is (soon or (kind is ServerTrouble and passing))


NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0.0), ("7", 7.0), ("7.5", 7.5), ("7s", 7.0), ("1m30s", 90.0), ("250ms", 0.25), ("60, 60", 60.0)),
        *((' "5" ', 5.0), (str(int(NOW) + 9), 9.0), ("2 seconds", 2.0), ("1h", 3600.0)),
        *(("soon", None), ("-5", None), ("nan", None), ("", None), ("1e400", None), ("m", None)),
    ],
)
def test_every_form_of_retry_after_is_read(value: str, seconds: float | None) -> None:
    """Seconds, durations, times; anything else counts as missing."""
    assert retry_after({"retry-after": value}, NOW) == seconds


async def test_attempts_pause_even_if_the_server_asks_for_no_pause(
    server: NebulaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """`Retry-After: 0` must not spend all attempts at once: the backoff holds."""
    server.fault(NebulaFault(status=503, headers={"retry-after": "0"}), times=2)
    async with Nebula(api_key="k", base_url=server.base_url, platform_url=server.platform_url, backoff=0.2) as model:
        assert await text(model) == "Fine."
    pauses = [float(pause) for pause in re.findall(r"retrying in ([\d.]+) s", caplog.text)]
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4


SYSTEM = [
    "System role not supported",
    "Jinja error: TemplateError: System role not supported",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Only user and assistant roles are supported!",
    "Please use a valid role: user, model.",
    "Developer instruction is not enabled for models/gemma-3",
    "This model does not support system messages",
    "Unexpected role 'system' after role 'user'",
    "Only user, assistant and tool roles are supported, got system.",
    "messages.0.role: Input should be 'user' or 'assistant'",
    "Invalid value: 'system'. Supported values are: 'user', 'assistant'",
    "Invalid message role: system",
    "The prompt template does not accept a system turn",
]


@pytest.mark.parametrize("words", SYSTEM)
@pytest.mark.parametrize("status", [400, 422, 500])
async def test_a_model_without_a_system_role_gets_the_rules_with_the_question(
    server: NebulaServer, model: Nebula, words: str, status: int
) -> None:
    """One refusal, which is remembered; then the rules are in front of the first message."""

    def refuse(received: Received) -> web.Response | None:
        if any(message.role == "system" for message in received.messages):
            return web.json_response({"error": {"message": words}}, status=status)
        return None

    server.refuse = refuse
    assert [await text(model), await text(model)] == ["Fine.", "Fine."]
    assert len(server.requests) == 3
    assert server.requests[-1].messages == (ChatMessage("user", "Be brief.\n\nwhy?"),)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        (
            "stream_options",
            "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]",
        ),
        ("stream_options", "Unknown parameter"),
        ("top_p", "Unsupported parameter: 'top_p' is not supported with this model."),
        ("top_p", "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) is supported.",
        ),
        ("max_tokens", "max_tokens: Input should be a valid integer"),
        ("max_tokens", "none is not an allowed value"),
        ("max_tokens", "invalid type: null, expected u32 at line 1 column 90"),
    ],
)
async def test_a_field_that_a_server_refuses_is_left_out(
    server: NebulaServer, model: Nebula, field: str, words: str
) -> None:
    """One refusal for each such field; the server is asked without it, and so are later requests."""

    def refuse(received: Received) -> web.Response | None:
        return web.json_response({"error": {"message": words}}, status=400) if field in received.fields else None

    server.refuse = refuse
    request = ChatRequest(ASK.model, ASK.messages, 0.5, 0.9)
    assert [await text(model, request), await text(model, request)] == ["Fine.", "Fine."]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported value: 'stream' does not support true with this model. Only the default is supported.",
        "Streaming is not supported for this model.",
        "This model does not support streaming",
        "Your organization must be verified to stream this model.",
    ],
)
async def test_a_model_that_can_not_stream_is_asked_for_a_whole_answer(
    server: NebulaServer, model: Nebula, words: str
) -> None:
    """One refusal, which is remembered."""

    def refuse(received: Received) -> web.Response | None:
        return web.json_response({"error": {"message": words}}, status=400) if received.stream else None

    server.refuse = refuse
    assert [await text(model), await text(model)] == ["Fine.", "Fine."]
    assert [request.stream for request in server.requests] == [True, False, False]


@pytest.mark.parametrize(
    "words",
    ["User location is not supported for the API use.", "The model `x` is no longer supported; model not found"],
)
async def test_no_attempt_is_wasted_on_another_dialect(server: NebulaServer, model: Nebula, words: str) -> None:
    """What is refused for another reason is not asked again with fewer fields."""
    server.fault(NebulaFault(status=400, body=json.dumps({"error": {"message": words}})), times=None)
    with pytest.raises(ModelError):
        await text(model)
    assert len(server.requests) == 1


async def test_the_other_name_of_the_limit_is_used(server: NebulaServer, model: Nebula) -> None:
    """Newer models know max_completion_tokens only."""

    def refuse(received: Received) -> web.Response | None:
        words = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return web.json_response({"error": {"message": words}}, status=400) if "max_tokens" in received.fields else None

    server.refuse = refuse
    assert await text(model, ChatRequest(ASK.model, ASK.messages, max_tokens=50)) == "Fine."
    assert "max_completion_tokens" in server.requests[-1].fields


async def test_a_wrong_value_is_still_told(server: NebulaServer, model: Nebula) -> None:
    """What people set is not dropped silently."""
    server.fault(
        NebulaFault(status=400, body='{"error":{"message":"temperature must be between 0 and 2"}}'), times=None
    )
    with pytest.raises(BadRequest):
        await text(model)
    assert len(server.requests) == 1


@pytest.mark.parametrize("encoding", ["none", "identity", "UTF-8"])
async def test_an_encoding_that_is_none_is_read(server: NebulaServer, model: Nebula, encoding: str) -> None:
    """`none` keeps proxies from compressing a stream; others name the character set. A status of 201 is a success."""
    body = 'data: {"choices":[{"delta":{"content":"Fine."},"finish_reason":"stop"}]}\n\n'
    headers = {"content-encoding": encoding, "content-type": "text/event-stream"}
    server.fault(NebulaFault(status=201, body=body, headers=headers))
    assert await text(model) == "Fine."
    assert len(server.requests) == 1


async def test_an_encoded_answer_is_refused(server: NebulaServer, model: Nebula) -> None:
    """We accept no encoding: a small body could become a huge one."""
    body = gzip.compress(b'data: {"choices":[{"delta":{"content":"' + b"x" * 1_000_000 + b'"}}]}\n\n')
    server.fault(NebulaFault(body=body, headers={"content-encoding": "gzip", "content-type": "text/event-stream"}))
    with pytest.raises(ServerTrouble):
        await text(model)
    assert len(server.requests) == 1


async def serve(response: bytes) -> tuple[asyncio.Server, str]:
    """A server that answers each request with these bytes and closes the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b'{"data":[{"id":"m"}]}'),
        b'HTTP/1.1 200 OK\r\n\r\n{"data":["' + b"x" * (9 << 20) + b'"]}',
    ],
    ids=["encoded", "endless"],
)
async def test_a_list_of_models_is_bounded(response: bytes) -> None:
    """Neither an encoded list nor an endless one is read."""
    listening, url = await serve(response)
    async with listening, Nebula(api_key="k", base_url=url, platform_url=url) as model:
        assert await model.catalog() == BUILT_IN


async def test_a_lost_connection_is_named_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The transport between the HTTP libraries calls it a timeout while connecting."""
    listening, url = await serve(b"")
    async with listening, Nebula(api_key="k", base_url=url, platform_url=url, backoff=0.0) as model:
        with pytest.raises(ServerTrouble) as caught:
            await text(model)
    assert "Timeout" not in caplog.text + str(caught.value)
    assert "Disconnected" in str(caught.value)


async def test_text_after_an_early_finish_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finish with the first chunk, or in several, ends nothing, however long the silence after it."""
    monkeypatch.setattr("core.nebula.client.AFTER_FINISH_SECONDS", 0.0)
    said = ""
    read = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece, finish in (("", "stop"), ("a ", None), ("b ", "stop"), ("c", "stop")):
            chunk = {"choices": [{"delta": {"content": piece}, "finish_reason": finish}]}
            writer.write(b"data: %b\n\n" % json.dumps(chunk).encode())
            await writer.drain()
            while piece not in said:
                read.clear()
                await read.wait()
        writer.write(b"data: [DONE]\n\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with Nebula(api_key="k", base_url=url, platform_url=url) as model, model.stream(ASK) as deltas:
            async for delta in deltas:
                said += delta.text
                read.set()
    assert said == "a b c"


@pytest.mark.parametrize(
    ("status", "message", "most"),
    [
        (400, "meta-llama/Llama-3.3-70B-Instruct is not a multimodal model", 0),
        (500, "X is not a multimodal model None", 0),
        (400, "At most 0 image(s) may be provided in one prompt.", 0),
        (400, "At most 2 image(s) may be provided in one request.", 2),
        (400, "Failed to deserialize: messages[1]: unknown variant `image_url`, expected `text`", 0),
        (404, "No endpoints found that support image input", 0),
        (400, "This model does not support image inputs.", 0),
        (400, "image input is not supported - hint: you may need to provide the mmproj", 0),
    ],
)
async def test_a_refusal_of_pictures_is_known(server: NebulaServer, status: int, message: str, most: int) -> None:
    """In the words of several servers. A request without pictures can't be refused for them."""
    server.fault(NebulaFault(status=status, body=json.dumps({"error": {"message": message}})), None)
    seen = ChatRequest("gpt-4o", (ChatMessage("user", "what?", (Picture("a.png", b"a"),)),))
    async with Nebula(api_key="k", base_url=server.base_url, platform_url=server.platform_url, retries=1) as nebula:
        with pytest.raises(CantSee) as refused:
            await nebula.complete(seen)
        assert refused.value.most == most
        with pytest.raises(ModelError) as other:
            await nebula.complete(ASK)
        assert not isinstance(other.value, CantSee)


@pytest.mark.parametrize("model", ["llama-3.2-90b-vision-instruct", "meta-llama/Llama-3.2-11B-Vision", "my-vision"])
@pytest.mark.parametrize("quote", ["`", '"', ""])
@pytest.mark.parametrize("status", [400, 404])
def test_the_name_of_a_model_says_nothing_about_pictures(model: str, quote: str, status: int) -> None:
    """A model that is not there is not one that does not see, whatever its name says; and others may be named, too."""
    message = f"The model {quote}{model}{quote} is not available"
    body = json.dumps({"error": {"message": message}}).encode()
    assert type(from_response(status, body, {}, model, NOW).error) is UnknownModel
    if any(map(str.isdigit, model)):
        assert type(from_response(status, body, {}, "alias", NOW).error) is UnknownModel


async def test_a_stream_without_pictures_is_not_refused_for_them(server: NebulaServer) -> None:
    """Also where the refusal comes as an error in a stream, or in an answer with status 200."""
    error = {"error": {"message": "Image input is not supported"}}
    seen = ChatRequest("gpt-4o", (ChatMessage("user", "what?", (Picture("a.png", b"a"),)),))
    for body in (json.dumps(error), f"data: {json.dumps(error)}\n\n"):
        server.fault(NebulaFault(status=200, body=body), None)
        async with Nebula(api_key="k", base_url=server.base_url, platform_url=server.platform_url, retries=1) as nebula:
            with pytest.raises(CantSee):
                await nebula.complete(seen)
            for ask in (text(nebula), nebula.complete(ASK)):
                with pytest.raises(ModelError) as refused:
                    await ask
                assert type(refused.value) is BadRequest
