"""The JSON of the Nebula API as typed values: the body of a request, a chunk of a stream, a whole answer.

The reader is tolerant: nearly every field may be missing, null or empty with servers of this family.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from core.domain.chat import ChatRequest, Finish, Usage

_FINISH = {"length": Finish.LENGTH, "max_tokens": Finish.LENGTH, "content_filter": Finish.FILTER}
_BROKEN = ("abort", "error")  # of vLLM and OpenRouter: the server gave up, and the answer is incomplete


@dataclass(frozen=True, slots=True)
class Chunk:
    """The content of one chunk or one whole answer. `broken`: the server says that it gave up."""

    text: str = ""
    thought: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    error: object = None
    broken: bool = False


class _Delta(msgspec.Struct):
    content: str
    reasoning_content: None = None
    reasoning: None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    index: Literal[0] | None = None
    finish_reason: None = None
    error: None = None


class _Words(msgspec.Struct):
    """The usual chunk: some words of the answer and nothing else. Any other chunk fails to decode as one."""

    choices: tuple[_Choice]
    usage: None = None
    error: None = None


# One pass without a dict for each level: this takes a fifth of the time of json.loads and a look into its result.
_WORDS = msgspec.json.Decoder(_Words)


def request_body(request: ChatRequest, model: str, *, stream: bool, usage: bool) -> bytes:
    """The request as JSON in UTF-8. `usage`: ask a stream for its token counts."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": _clean(message.content)} for message in request.messages],
        "max_tokens": request.max_tokens,
        "stream": stream,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if stream and usage:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body, ensure_ascii=False).encode()


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
    if data.lstrip()[:1] != "{":
        return None
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _chunk(value) if isinstance(value, dict) else None


def _chunk(value: dict[str, object]) -> Chunk:
    error = value.get("error") or None
    choices = value.get("choices")
    if error is None and "choices" not in value and ("detail" in value or value.get("object") == "error"):
        error = value
    usage = _usage(value.get("usage"))
    if not isinstance(choices, list):
        return Chunk(usage=usage, error=error)
    for choice in choices:
        if isinstance(choice, dict) and choice.get("index") in (0, None):
            break
    else:
        return Chunk(usage=usage, error=error)
    said = choice.get("delta") or choice.get("message")
    text = thought = ""
    if isinstance(said, dict):
        content = said.get("content")
        text = content if isinstance(content, str) else _parts(content, "text")
        # if both names are present, they hold the same words (https://github.com/vllm-project/vllm/issues/27755)
        for name in ("reasoning_content", "reasoning"):
            field = said.get(name)
            if isinstance(field, str) and field:
                thought = field
                break
        else:
            thought = _parts(content, "thinking") if isinstance(content, list) else ""
    elif isinstance(choice.get("text"), str):
        text = choice["text"]
    text, thought, error = _clean(text), _clean(thought), error or choice.get("error")
    reason = choice.get("finish_reason")
    if not isinstance(reason, str) or not reason:
        return Chunk(text, thought, usage=usage, error=error)
    return Chunk(text, thought, _FINISH.get(reason, Finish.STOP), usage, error, broken=reason in _BROKEN)


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
    prompt, completion = value.get("prompt_tokens"), value.get("completion_tokens")
    return Usage(
        prompt if isinstance(prompt, int) else 0,
        completion if isinstance(completion, int) else 0,
    )
