"""Maps failures of the Nebula API (statuses, headers and error bodies) to the error tree.

The status decides first, then the error's type and code, then its wording: servers of this family disagree on all
three. The server's wording never enters our errors, because it may quote messages, keys and addresses.
"""

import email.utils
import json
import math
import re
from collections.abc import Iterator, Mapping

from core.domain.errors import (
    BadKey,
    BadRequest,
    ContextTooLong,
    ModelError,
    ModelTimeout,
    NoCredits,
    RateLimited,
    ServerTrouble,
    UnknownModel,
)

DAY_SECONDS = 86400.0  # a longer Retry-After is a mistake of the server
PARALLEL_SLOT_SECONDS = 1.5  # LiteLLM says 60 for a parallel slot, but one is free as soon as another answer ends

_CREDITS = re.compile(
    r"budget_exceeded|budget has been exceeded|exceeded budget|budget ?exceeded"
    r"|insufficient[ _]?(credit|balance|fund|quota)"
    r"|(not enough|no|out of|run out of) (remaining )?(credit|balance)|credit balance|exceeded your current quota"
    r"|payment required|top up your"
)
_KEY = re.compile(
    r"no_db_connection|auth_error|expired_key|invalid_api_key|token_not_found|authentication error|unauthorized"
    r"|(invalid|incorrect|wrong|expired|missing|no) (api[ _-]?key|proxy server token|access token)"
    r"|api[ _-]?key not valid"
)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|contextwindowexceeded|context[ _-]?window|context (length|size)"
    r"|maximum (model|context) length|max(imum)? (input|prompt) (tokens?|length)"
    r"|(prompt|input) (is|was) too long|prompt_too_long"
    r"|longer than the (maximum|model)|too many (input |prompt )?tokens|reduce the length|string_above_max"
)
_OUTPUT = re.compile(r"max_(?:completion_)?tokens.{0,40}is too large: (\d+).{0,80}?length is (\d+)", re.DOTALL)
_MODEL = re.compile(
    r"model_not_found|key_model_access_denied|team_model_access_denied|invalid model name|model_not_supported"
    r"|model\b.{0,120}?\b(does ?n[o']t exist|not exist|not found|is not available|not allowed|no access)"
    r"|model [`'\"]?\S{1,100} is not supported|not a valid model|no such model|unknown model"
    r"|(not allowed to access|(don't|do not) have access to) (this |the )?model"
    r"|no (healthy )?deployments? (found |available )?for"
)
_DAILY = re.compile(r"per[ _-]day|daily|requests?/day|\brpd\b|\btpd\b")
_OPTION = re.compile(
    r"stream_options|include_usage"
    r"|(extra|unknown|unrecognized|unexpected|additional|unsupported)[ _](field|param|argument|propert|input|key)"
    r"|(extra inputs|additional properties) are not|not permitted"
)
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_SECRET = re.compile(r"(?i)^(sk|ak|pk|key|bearer)[-_]|[0-9a-f]{16}")
# The status that an error object without one stands for; the first match counts.
_GUESSES = (
    (_CREDITS, 402),
    (re.compile(r"rate[ _-]?limit|too many requests|throttl"), 429),
    (_KEY, 401),
    (_CONTEXT, 400),
    (re.compile(r"time[ds]?[ _-]?out"), 408),
    (_MODEL, 404),
)


class AttemptFailed(Exception):
    """One attempt at an answer failed with `error`. The other attributes say what to do about it.

    `again`: another attempt may succeed. `once`: but only one more makes sense. `wait`: how long the server asks us to
    wait, in seconds.
    """

    def __init__(
        self, error: ModelError, *, again: bool = False, once: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error, self.again, self.once, self.wait = error, again, once, wait


def from_response(status: int, body: bytes, headers: Mapping[str, str], model: str, now: float) -> AttemptFailed:
    """The meaning of an HTTP response other than 200. `now`: epoch seconds, to compare with a date in Retry-After."""
    return _failed(status, _decode(body), retry_after(headers, now), model)


def from_stream(error: object, model: str) -> AttemptFailed:
    """The meaning of an error object in a response with status 200."""
    for name, text in _strings(error):
        if name in ("code", "status", "status_code") and text.isdecimal() and 400 <= int(text) < 600:
            return _failed(int(text), error, None, model)
    words = _words(error)
    return _failed(next((status for guess, status in _GUESSES if guess.search(words)), 500), error, None, model)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long the server asks us to wait, in seconds; None if it gives no time, or an unreasonable one.

    LiteLLM forwards the headers of the server behind it with a prefix
    (https://github.com/BerriAI/litellm/issues/21553).
    """
    if headers.get("rate_limit_type") == "max_parallel_requests":
        return PARALLEL_SLOT_SECONDS
    for prefix in ("", "llm_provider-"):
        for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            value = headers.get(prefix + name)
            seconds = None if value is None else _seconds(value.strip(), unit, now)
            if seconds is not None and 0 <= seconds <= DAY_SECONDS:
                return seconds
    return None


def refuses_usage_option(status: int, body: bytes) -> bool:
    """Whether a server refuses the request because of `stream_options` or of fields that it does not know."""
    return status in (400, 422) and _OPTION.search(body.decode("utf-8", "replace").lower()) is not None


def _seconds(value: str, unit: float, now: float) -> float | None:
    try:
        seconds = float(value) * unit
    except ValueError:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
        except (ValueError, OverflowError):
            return None
    return seconds if math.isfinite(seconds) else None


def _failed(status: int, error: object, wait: float | None, model: str) -> AttemptFailed:
    words = _words(error)
    cause = _classify(status, words, _detail(status, error), wait, model)
    if isinstance(cause, RateLimited):
        # Each attempt counts against the limit, and no turn can wait for a daily limit to end.
        return AttemptFailed(cause, again=not _DAILY.search(words), once=True, wait=wait)
    again = (status >= 500 or status == 408) and not isinstance(cause, ContextTooLong)
    return AttemptFailed(cause, again=again, wait=wait)


def _classify(status: int, words: str, detail: str, wait: float | None, model: str) -> ModelError:
    if status == 402 or (status in (400, 403, 422, 429) and _CREDITS.search(words)):
        return NoCredits(detail)
    if status == 429:
        return RateLimited(detail, wait)
    if status == 401 or (status == 400 and _KEY.search(words)):
        return BadKey(detail)
    if status in (408, 504, 524):
        return ModelTimeout(detail)
    if status == 413 or (status in (400, 404, 422) and _CONTEXT.search(words) and not _output_too_long(words)):
        return ContextTooLong(detail)
    if status in (400, 403, 404, 422) and _MODEL.search(words):
        return UnknownModel(detail, model)
    if status == 403:
        return BadKey(detail)
    if status == 404:
        return ServerTrouble(f"{detail}: no such endpoint")
    if status >= 500 and re.search(r"contextwindowexceeded|context_length_exceeded|exceed_context_size", words):
        return ContextTooLong(detail)
    return BadRequest(detail) if 400 <= status < 500 and status != 405 else ServerTrouble(detail)


def _output_too_long(words: str) -> bool:
    """vLLM mentions the context length also if max_tokens alone exceeds it; then no shorter prompt helps."""
    found = _OUTPUT.search(words)
    return found is not None and int(found[1]) >= int(found[2])


def _words(error: object) -> str:
    return "\n".join(text for _, text in _strings(error))[:20_000].lower()


def _decode(body: bytes) -> object:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _strings(value: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """All texts of an error body with their field names, outermost first. The texts of `input` are the user's own
    (pydantic quotes them) and must not decide anything."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, int):
        yield name, str(value)
    elif depth < 8 and isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("input", "messages", "body"):
                yield from _strings(inner, str(key), depth + 1)
    elif depth < 8 and isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name, depth + 1)


def _detail(status: int, error: object) -> str:
    """The status, type, code and parameter: single words, never a sentence from the server."""
    words = [f"HTTP {status}"]
    for name, text in _strings(error):
        known = name in ("type", "code", "param", "status") and _TOKEN.fullmatch(text) and not _SECRET.search(text)
        if known and text not in ("None", *words) and len(words) < 5:
            words.append(text)
    return " ".join(words)
