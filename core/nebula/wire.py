"""The JSON of the Nebula API as typed values: the body of a request, a chunk of a stream, a whole answer.

The reader is tolerant: nearly every field may be missing, null or empty with servers of this family.
"""

import json
import math
import re
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from core.domain.chat import ChatMessage, ChatRequest, Finish, Usage
from core.nebula.dialect import Dialect, messages

# The words of servers for why a model stopped, in lower case. OpenAI, vLLM, SGLang, llama.cpp, TGI, Ollama, Anthropic,
# Gemini, Bedrock, Cohere, Mistral, GLM, Qwen, DeepSeek and OpenRouter each have their own.
_STOPPED = re.compile(
    r"stop(ped|_sequence|_word|_str|_token)?|end(_turn|_of_turn|_of_text|oftext)?|turn_end|eos(_token)?|eot(_id)?|word"
    r"|complet(e|ed|ion)|finish(ed)?|fin|done|success|normal"
)
# What other words speak of; the first match counts. A server that gave up leaves an answer that is not complete.
_SPOKEN = (
    (
        re.compile(r"context|length|max_?(?:new_|output_|completion_)?tokens|token_?limit|truncat|^limit$|incomplete"),
        Finish.LENGTH,
    ),
    (
        re.compile(r"filter|safety|block|recitation|prohibited|spii|refus|sensitiv|guardrail|moderat|flagged|policy"),
        Finish.FILTER,
    ),
    (
        re.compile(
            r"error|abort|cancel|time_?out|fail|interrupt|overload|insufficient|disconnect|network|closed|killed"
        ),
        None,
    ),
)
_REASONS = ("finish_reason", "finishReason", "done_reason")
# A second field, in which some servers say more; it counts only if we know its word (in vLLM it may be a stop string).
_MORE_REASONS = (
    *("native_finish_reason", "nativeFinishReason", "stop_reason", "stopReason", "stop_type"),
    *("finish_details", "incomplete_details"),
)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details", "thinking_blocks")
_WORDS_OF_PARTS = ("text", "thinking", "summary", "content")
_MAX_DEPTH = 8  # of lists of parts
# The names of the token counts: OpenAI and most, Anthropic, Ollama's own form, llama.cpp without usage, Gemini.
_PROMPT_TOKENS = ("prompt_tokens", "input_tokens", "prompt_eval_count", "prompt_n", "promptTokenCount")
_COMPLETION_TOKENS = ("completion_tokens", "output_tokens", "eval_count", "predicted_n", "candidatesTokenCount")
_ERROR_FIELDS = (
    *("errors", "error_code", "errorCode", "errcode", "error_msg", "error_message", "errorMessage", "errmsg", "errMsg"),
    *("err", "fault", "detail"),
)
_FAILED = ("error", "fail", "failed", "failure")  # words for the state of a request


@dataclass(frozen=True, slots=True)
class Chunk:
    """The content of one chunk or one whole answer.

    `text`: as it came; it may begin or end with half a character (see `clean`). `broken`: the server says that it gave
    up. `message`: the content is a whole message, not a piece of one.
    """

    text: str = ""
    thought: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    error: object = None
    broken: bool = False
    message: bool = field(default=False, compare=False)


class _Delta(msgspec.Struct):
    content: str
    reasoning_content: None = None
    reasoning: None = None
    thinking: None = None
    reasoning_text: None = None
    reasoning_details: None = None
    thinking_blocks: None = None
    extra_content: None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    index: Literal[0] | None = None
    finish_reason: None = None
    finishReason: None = None
    native_finish_reason: None = None
    stop_reason: None = None
    error: None = None
    usage: None = None


class _Words(msgspec.Struct):
    """The usual chunk: some words of the answer and nothing else. Any other chunk fails to decode as one."""

    choices: tuple[_Choice]
    usage: None = None
    error: None = None
    x_groq: None = None
    timings: None = None


# One pass without a dict for each level: this takes a fifth of the time of json.loads and a look into its result.
_WORDS = msgspec.json.Decoder(_Words)


def request_fields(request: ChatRequest, model: str, dialect: Dialect, *, stream: bool) -> dict[str, object]:
    """The fields of a request in this dialect."""
    fields: dict[str, object] = {
        "model": model,
        "messages": [{"role": each.role, "content": _written(each)} for each in messages(request, dialect)],
        dialect.output: request.max_tokens,
        "stream": stream,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream_options": {"include_usage": True} if stream else None,
    }
    nulls = (dialect.output,) if dialect.nulls else ()
    return {
        name: value
        for name, value in fields.items()
        if name not in dialect.omitted and (value is not None or name in nulls)
    }


def _written(message: ChatMessage) -> str | list[dict[str, object]]:
    """The text of a message; with pictures a list of parts, as many servers take it only then. The server could not
    fetch a picture from Slack or Discord, so it comes in the address."""
    if not message.pictures:
        return clean(message.content)
    parts: list[dict[str, object]] = [{"type": "text", "text": clean(message.content)}]
    for each in message.pictures:
        data = b2a_base64(each.data, newline=False).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{each.mime};base64,{data}"}})
    return parts


def request_body(fields: Mapping[str, object]) -> bytes:
    """The fields of a request as JSON in UTF-8."""
    return json.dumps(fields, ensure_ascii=False).encode()


def words(data: str) -> str | None:
    """Read the usual chunk in one pass: returns its words of the answer, or None if the chunk says anything else."""
    try:
        return _WORDS.decode(data).choices[0].delta.content
    except (msgspec.MsgspecError, RecursionError):
        return None


def parse(data: str) -> Chunk | None:
    """Read a chunk of a stream or a whole answer. Returns None for anything but a JSON object (a misplaced ping).

    Raises ValueError if the object is malformed.
    """
    if data.lstrip("\ufeff \t\r\n")[:1] != "{":
        return None
    try:
        value = json.loads(data.lstrip("\ufeff"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _chunk(value) if isinstance(value, dict) else None


def _chunk(value: dict[str, object]) -> Chunk:
    choices = value.get("choices")
    choice: dict[str, object] | None = None
    if isinstance(choices, list):
        found = (each for each in choices if isinstance(each, dict) and each.get("index") in (0, None, "0"))
        choice = next(found, None)
    elif isinstance(value.get("delta"), dict) or isinstance(value.get("message"), dict):
        choice = value  # Ollama's own form
    more = value.get("x_groq")
    groq: dict[str, object] = more if isinstance(more, dict) else {}
    places = (value.get("usage"), (choice or {}).get("usage"), groq.get("usage"), value.get("timings"), value)
    usage = next(filter(None, map(_usage, places)), None)
    error = value.get("error") or (choice or {}).get("error") or groq.get("error")
    error = error or (None if choice else _refusal(value))
    if choice is None:
        return Chunk(usage=usage, error=error)
    said, whole = choice.get("delta"), False
    message = choice.get("message")
    if isinstance(message, dict) and not (isinstance(said, dict) and _content(said)):
        # some servers repeat the whole message beside an empty delta; Ollama's messages are pieces
        said, whole = message, "done" not in value
    text = thought = ""
    if isinstance(said, dict):
        text, thought = _content(said) or ("", "")
    elif isinstance(choice.get("text"), str):
        text = str(choice["text"])
    finish, broken = _finish(choice, value)
    return Chunk(text, clean(thought), finish, usage, error, broken, whole)


def _refusal(value: dict[str, object]) -> object:
    """The value itself, if it has no choices and is an error: each family of servers has its own form."""
    code = value.get("code")
    base = value.get("base_resp")  # MiniMax
    failed = (
        any(value.get(name) for name in _ERROR_FIELDS)
        or value.get("object") == "error"
        or value.get("type") == "error"
        or any(value.get(name) is False for name in ("success", "ok"))
        or any(isinstance(word := value.get(name), str) and word.lower() in _FAILED for name in ("status", "result"))
        or any(_tokens(value.get(name)) >= 400 for name in ("statusCode", "status_code", "status"))
        or (isinstance(base, dict) and base.get("status_code") not in (None, 0, "0"))
        or (
            isinstance(code, int | str)
            and code not in (0, "", "0", 200, "200")
            and ("msg" in value or "message" in value)
        )
    )
    return value if failed else None


def _content(said: dict[str, object]) -> tuple[str, str] | None:
    """The text and the thought of a delta or a message; None if it has neither."""
    content = said.get("content")
    if content is None:
        content = said.get("text")  # Anthropic's own form
    text = _parts(content, ("text",))
    # if several names are present, they hold the same words (https://github.com/vllm-project/vllm/issues/27755)
    fields = (_parts(said.get(name), _WORDS_OF_PARTS) for name in _THOUGHTS)
    thought = next(filter(None, fields), "")
    if not thought and isinstance(content, list):
        thought = _parts([part for part in content if isinstance(part, dict)], ("thinking",))
    if text and not thought and _is_thought(said) and not text.lstrip().startswith("<thought"):
        text, thought = "", text
    if not text and isinstance(refusal := said.get("refusal"), str):
        text = refusal  # OpenAI: what the model says in place of an answer
    return (text, thought) if text or thought else None


def _is_thought(said: dict[str, object]) -> bool:
    """Whether Gemini marks this content as a thought. Its first piece may have a tag as well."""
    more = said.get("extra_content")
    google = more.get("google") if isinstance(more, dict) else None
    return isinstance(google, dict) and google.get("thought") is True


def _finish(choice: dict[str, object], value: dict[str, object]) -> tuple[Finish | None, bool]:
    """Why the model stopped, None if it has not, and whether the server gave up."""
    first = next(filter(None, (_reason(choice, name) for name in _REASONS)), "")
    if not first and value.get("type") == "message_delta" and isinstance(said := value.get("delta"), dict):
        first = _reason(said, "stop_reason")  # Anthropic's own form
    if not first and "choices" not in value and value.get("done") is True:
        first = "stop"
    finish, broken = _meaning(first)
    for each in (choice, value) if first else ():
        for name in _MORE_REASONS:
            more, gave_up = _meaning(_reason(each, name))
            if gave_up or more in (Finish.LENGTH, Finish.FILTER):
                return more, gave_up
            if more is Finish.STOP and finish is Finish.UNKNOWN:
                finish = more
    return finish, broken


def _reason(holder: dict[str, object], name: str) -> str:
    reason = holder.get(name)
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason")
    return reason if isinstance(reason, str) else ""


def _meaning(reason: str) -> tuple[Finish | None, bool]:
    """What a server's word for the end means: the finish, and whether the server gave up."""
    word = re.sub(r"[^a-z]+", "_", reason[:200].lower()).strip("_").removeprefix("finishreason_")
    word = word.removeprefix("finish_reason_")
    if not word or word in ("null", "none", "unspecified"):
        return None, False
    if _STOPPED.fullmatch(word):
        return Finish.STOP, False
    for spoken, finish in _SPOKEN:
        if spoken.search(word):
            return finish or Finish.UNKNOWN, finish is None
    return Finish.UNKNOWN, False


def clean(text: str) -> str:
    """Replace lone surrogates with U+FFFD: JSON and platforms can deliver them, but UTF-8 cannot encode them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _parts(content: object, kinds: tuple[str, ...], depth: int = 0) -> str:
    """The words of these kinds in a content: a string, a part, or a list of both."""
    if isinstance(content, str):
        return content
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(content, list):
        return "".join(_parts(part, kinds, depth + 1) for part in content)
    if not isinstance(content, dict):
        return ""
    found = next((word for kind in kinds if (word := content.get(kind))), None)
    return _parts(found, ("text",), depth + 1)


def _usage(value: object) -> Usage | None:
    """The token counts under any of their names; None if there are none, or only zeros, which say nothing."""
    if not isinstance(value, Mapping):
        return None
    prompt = next(filter(None, (_tokens(value.get(name)) for name in _PROMPT_TOKENS)), 0)
    completion = next(filter(None, (_tokens(value.get(name)) for name in _COMPLETION_TOKENS)), 0)
    if "prompt_n" in value:
        prompt += _tokens(value.get("cache_n"))
    return Usage(prompt, completion) if prompt or completion else None


def _tokens(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
