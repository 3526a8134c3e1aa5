"""The JSON of the Nebula API as typed values: the body of a request, a chunk of a stream, a whole answer.

The reader is tolerant: nearly every field may be missing, null or empty with servers of this family.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from core.domain.chat import ChatRequest, Finish, Usage
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
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The content of one chunk or one whole answer.

    `broken`: the server says that it gave up. `message`: the content is a whole message, not a piece of one.
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


class _Choice(msgspec.Struct):
    delta: _Delta
    index: Literal[0] | None = None
    finish_reason: None = None
    finishReason: None = None
    native_finish_reason: None = None
    stop_reason: None = None
    error: None = None


class _Words(msgspec.Struct):
    """The usual chunk: some words of the answer and nothing else. Any other chunk fails to decode as one."""

    choices: tuple[_Choice]
    usage: None = None
    error: None = None


# One pass without a dict for each level: this takes a fifth of the time of json.loads and a look into its result.
_WORDS = msgspec.json.Decoder(_Words)


def request_fields(request: ChatRequest, model: str, dialect: Dialect, *, stream: bool) -> dict[str, object]:
    """The fields of a request in this dialect."""
    fields: dict[str, object] = {
        "model": model,
        "messages": [{"role": each.role, "content": _clean(each.content)} for each in messages(request, dialect)],
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
    choices, usage = value.get("choices"), _usage(value.get("usage"))
    choice: dict[str, object] | None = None
    if isinstance(choices, list):
        found = (each for each in choices if isinstance(each, dict) and each.get("index") in (0, None))
        choice = next(found, None)
    elif isinstance(value.get("delta"), dict) or isinstance(value.get("message"), dict):
        choice = value  # Ollama's own form
    error = value.get("error") or (choice or {}).get("error") or (None if choice else _refusal(value))
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
    return Chunk(_clean(text), _clean(thought), finish, usage, error, broken, whole)


def _refusal(value: dict[str, object]) -> object:
    """The value itself, if it has no choices and is an error: each family of servers has its own form."""
    code = value.get("code")
    base = value.get("base_resp")  # MiniMax
    failed = (
        "detail" in value
        or value.get("object") == "error"
        or value.get("type") == "error"
        or value.get("success") is False
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
    text = content if isinstance(content, str) else _parts(content, "text")
    # if several names are present, they hold the same words (https://github.com/vllm-project/vllm/issues/27755)
    fields = (field for name in _THOUGHTS if isinstance(field := said.get(name), str) and field)
    thought = next(fields, None) or _parts(content, "thinking")
    return (text, thought) if text or thought else None


def _finish(choice: dict[str, object], value: dict[str, object]) -> tuple[Finish | None, bool]:
    """Why the model stopped, None if it has not, and whether the server gave up."""
    first = next(filter(None, (_reason(choice, name) for name in _REASONS)), "")
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


def _clean(text: str) -> str:
    """Replace lone surrogates with U+FFFD: JSON and platforms can deliver them, but UTF-8 cannot encode them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _parts(content: object, kind: str) -> str:
    """The words of one kind, if the content is a list of typed parts."""
    if not isinstance(content, list):
        return ""
    words = (part.get(kind) for part in content if isinstance(part, dict))
    return "".join(word if isinstance(word, str) else _parts(word, "text") for word in words)


def _usage(value: object) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    return Usage(_tokens(value.get("prompt_tokens")), _tokens(value.get("completion_tokens")))


def _tokens(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
