"""What went wrong at the Nebula API: statuses, headers and error bodies to the error tree.

The status decides first, then the error's type and code, then its words: servers of this family disagree on all
three. Words of the server never enter an error of ours, as they may quote messages, keys and addresses.
"""

import email.utils
import json
import math
import re
from collections.abc import Iterator, Mapping

from core.errors import (
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

DAY = 86400.0  # seconds; a longer Retry-After is a server's mistake
PARALLEL_SLOT = 1.5  # seconds; LiteLLM says 60 for a parallel slot, which is free as soon as another answer ends

_CREDITS = re.compile(
    r"budget_exceeded|budget has been exceeded|exceeded budget|budget ?exceeded|insufficient[ _]?(credit|balance|fund|quota)"
    r"|(not enough|no|out of|run out of) (remaining )?(credit|balance)|credit balance|exceeded your current quota"
    r"|payment required|top up your"
)
_KEY = re.compile(
    r"no_db_connection|auth_error|expired_key|invalid_api_key|token_not_found|authentication error"
    r"|(invalid|incorrect|wrong|expired|missing) (api[ _-]?key|proxy server token|token)|no api[ _-]?key|unauthorized"
)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|contextwindowexceeded|context[ _-]?window|maximum (model|context) length"
    r"|max(imum)? (input|prompt) (tokens?|length)|context (length|size)|prompt (is|was) too long|input (is|was) too long"
    r"|longer than the (maximum|model)|too many (input |prompt )?tokens|reduce the length|prompt_too_long|string_above_max"
)
_OUTPUT = re.compile(
    r"max_(completion_)?tokens['`\" ]*(=\d+)?[^.]{0,60}?(cannot be greater|is too large|must be|exceeds)"
    r"|(parameter=|param: ?)max_(completion_)?tokens"
)
_MODEL = re.compile(
    r"model_not_found|key_model_access_denied|team_model_access_denied|invalid model name|model_not_supported|unknown model"
    r"|model\b.{0,120}?\b(does ?n[o']t exist|not exist|not found|is not available|not supported|not allowed|no access)"
    r"|(no such|not allowed to access|don't have access to|do not have access to) (this |the )?model|not a valid model"
    r"|there are no healthy deployments for this model|no deployments? (found|available) for"
)
_DAILY = re.compile(r"per[ _-]day|daily|requests?/day|\brpd\b|\btpd\b")
_OPTION = re.compile(
    r"stream_options|include_usage"
    r"|(extra|unknown|unrecognized|unexpected|additional|unsupported)[ _](field|param|argument|propert|input|key)"
    r"|(extra inputs|additional properties) are not|not permitted"
)
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_SECRET = re.compile(r"(?i)^(sk|ak|pk|key|bearer)[-_]|[0-9a-f]{16}")


def from_answer(status: int, body: bytes, headers: Mapping[str, str], model: str, now: float) -> ModelError:
    """The error behind an HTTP answer that is none. `now`: epoch seconds, against which a Retry-After date counts."""
    return _classify(status, _decode(body), retry_after(headers, now), model)


def from_stream(error: object, model: str) -> ModelError:
    """The error behind an error object in an answer that began well (status 200)."""
    status = 500
    for name, text in _strings(error):
        if name in ("code", "status", "status_code") and text.isdecimal() and 400 <= int(text) < 600:
            status = int(text)
            break
    return _classify(status, error, None, model)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a server asks to wait; None when it does not say, or nothing sensible.

    LiteLLM passes the headers of the server behind it on with a prefix
    (https://github.com/BerriAI/litellm/issues/21553).
    """
    if headers.get("rate_limit_type") == "max_parallel_requests":
        return PARALLEL_SLOT
    for prefix in ("", "llm_provider-"):
        for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            value = headers.get(prefix + name)
            seconds = None if value is None else _seconds(value.strip(), unit, now)
            if seconds is not None and 0 <= seconds <= DAY:
                return seconds
    return None


def daily(error: ModelError) -> bool:
    """Whether this is the limit of a day, which no wait within a turn outlasts."""
    return isinstance(error, RateLimited) and "daily" in str(error)


def refuses_usage_option(status: int, body: bytes) -> bool:
    """Whether a server refuses the request for its `stream_options`, or for fields that it does not know."""
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


def _classify(status: int, error: object, wait: float | None, model: str) -> ModelError:
    words = "\n".join(text for _, text in _strings(error)).lower()[:20_000]
    detail = _detail(status, error)
    if status == 402 or (status in (400, 403, 422, 429) and _CREDITS.search(words)):
        return NoCredits(detail)
    if status == 429:
        return RateLimited(f"{detail} (daily)" if _DAILY.search(words) else detail, wait)
    if status == 401:
        return BadKey(detail)
    if status in (408, 504, 524):
        return ModelTimeout(detail)
    if status == 413:
        return ContextTooLong(detail)
    if status in (400, 403, 404, 422):
        if status == 400 and _KEY.search(words):
            return BadKey(detail)
        if status != 403 and _CONTEXT.search(words) and not _OUTPUT.search(words):
            return ContextTooLong(detail)
        if _MODEL.search(words):
            return UnknownModel(detail, model)
        if status == 403:
            return BadKey(detail)
        return BadRequest(detail) if status != 404 else ServerTrouble(f"{detail}: no such address")
    if status >= 500 and re.search(r"contextwindowexceeded|context_length_exceeded|exceed_context_size", words):
        return ContextTooLong(detail)
    return BadRequest(detail) if 406 <= status < 500 else ServerTrouble(detail)


def _decode(body: bytes) -> object:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _strings(value: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """All texts of an error body with the names they stand under, outermost first; the texts of `input` are the
    user's own (pydantic quotes them) and must not decide."""
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
    """The status, type, code and parameter: single words, never a sentence of the server."""
    words = [f"HTTP {status}"]
    for name, text in _strings(error):
        known = name in ("type", "code", "param", "status") and _TOKEN.fullmatch(text) and not _SECRET.search(text)
        if known and text not in ("None", *words) and len(words) < 5:
            words.append(text)
    return " ".join(words)
