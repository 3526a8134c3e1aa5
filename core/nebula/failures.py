"""Maps failures of the Nebula API (statuses, headers, error bodies and lost connections) to the error tree.

The status decides first, then the error's type and code, then its wording: servers of this family disagree on all
three. The server's wording never enters our errors, because it may quote messages, keys and addresses. What may be a
wrong address names the variable.
"""

import email.utils
import json
import math
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import urlsplit

import httpx

from core.domain.errors import (
    BadKey,
    BadRequest,
    Blocked,
    CantSee,
    ContextTooLong,
    Filtered,
    ModelError,
    ModelTimeout,
    NoCredits,
    RateLimited,
    ServerTrouble,
    UnknownModel,
    WrongAddress,
)
from core.nebula.overflow import overflows, read

DAY_SECONDS = 86400.0  # a longer Retry-After is a mistake of the server
PARALLEL_SLOT_SECONDS = 1.5  # LiteLLM says 60 for a parallel slot, but one is free as soon as another answer ends

_CREDITS = re.compile(
    r"budget_exceeded|budget has been exceeded|exceeded budget|budget ?exceeded"
    r"|insufficient[ _]?(credit|balance|fund|quota)"
    r"|(not enough|no|out of|run out of) (remaining )?(credits?|balance)\b|credit balance|exceeded your current quota"
    r"|payment required|top up your|balance (is )?(not enough|insufficient|too low)|recharge|arrear|overdue|unpaid"
    r"|credits? (?:is |are |has been |have been )?(?:exhausted|used up|depleted)|included credits"
    r"|insufficient_user_quota|quota is not enough|free (?:tier|quota|trial)\b[^\n]{0,20}?(?:exhausted|expired|used up)"
    r"|billing_(?:not_active|hard_limit)|hard limit has been reached|spend(?:ing)?[ _]limit|key limit exceeded"
    r"|余额不足|欠费|充值"
)
_KEY = re.compile(
    r"no_db_connection|auth_error|expired_key|invalid_api_key|token_not_found|authentication error|unauthorized"
    r"|(invalid|incorrect|wrong|expired|missing|no) (api[ _-]?key|proxy server token|access token)"
    r"|api[ _-]?key not valid|login fail"
)
# A filter refuses the question. Azure, OpenAI, DashScope, DeepSeek, OpenRouter, GLM, Moonshot, Gemini, xAI, Bedrock.
_FILTERED = re.compile(
    r"content[ _-]?filter|content[ _-]?(?:management |usage )?polic|contentpolicyviolation|responsibleaipolicy"
    r"|data_?inspection_?failed|inappropriate content|content exists risk|requires moderation|moderation_blocked"
    r"|\b(?:input|prompt|request|content|message)s? (?:was |were |is |has been |have been )flagged"
    r"|safety[ _](?:system|check)|prohibited_content|guardrail|violat\w+ (?:\w+ ){0,3}(?:guidelines|polic)"
    r"|considered high risk|\bnsfw\b|prompts? (?:was |is |has been |have been )?(?:rejected|blocked)"
    r"|(?:unsafe|sensitive|disallowed) (?:content|prompt)|敏感内容|敏感信息|不安全|违规"
)
# A refusal of the place where the bot runs.
_PLACE = re.compile(
    r"unsupported_country"
    r"|(?:country|region|territory|location)\b[^\n]{0,40}?\b(?:not|is un)[ -]?(?:supported|available)"
    r"|not (?:supported|available) in your (?:country|region)|network settings"
    r"|ip_not_authorized|\bip(?: address)?\b[^\n]{0,40}?not (?:authorized|allowed|permitted)"
)
_MODEL = re.compile(
    r"model_not_found|key_model_access_denied|team_model_access_denied|invalid model name|model_not_supported"
    r"|models?\b.{0,120}?\b(does ?n[o']t exist|not exist|not found|is not available|not allowed|no access)"
    r"|\bmodel\b.{0,120}?\b(is |been )(decommissioned|retired|deprecated|discontinued)|model identifier is invalid"
    r"|(invalid|unsupported)[ _]model\b|not a chat model|does not support (the )?chat completions"
    r"|deploymentnotfound|deployment\b.{0,60}?does not exist|unable to access (non-serverless )?model"
    r"|model_not_available"
    r"|no endpoints found|no allowed providers|on-demand throughput|no models? (is |are )?(currently )?loaded"
    r"|(^|\n)model: \S+(\n|\Z)"
    r"|model [`'\"]?\S{1,100} is not supported|not a valid model|no such model|unknown model"
    r"|(not allowed to access|(don't|do not) have access to) (this |the )?model"
    r"|no (healthy )?deployments? (found |available )?for"
)
# nginx, Go and Apache, of a request without TLS.
_PLAIN = re.compile(
    r"plain http request was sent to https port|http request to an https server|speaking plain http to an ssl"
)
# A refusal for asking too often that comes with another status than 429.
_THROTTLED = re.compile(
    r"throttlingexception|throttling[._]|too many (?:concurrent )?requests|rate[ _-]?limit[ _-]?(?:exceeded|reached)"
    r"|too many tokens\b[^\n]{0,40}?(?:please wait|slow down)|(?:tokens|requests) per (?:minute|day)\b"
)
# A refusal of pictures: vLLM, DeepSeek, OpenRouter, LiteLLM, llama.cpp, SGLang, Groq, Mistral and many proxies.
_BLIND = re.compile(
    r"not a multi-?modal model|at most (?P<most>\d{1,3}) (?:image|picture)|unknown variant `image_url`"
    r"|no endpoints found that support image|(?:image|vision|multi-?modal)[^\n]{0,40}?"
    r"(?:(?:is|are|was) not|isn't|aren't|un)[ -]?(?:supp|allow|accept|enabl|avail)"
    r"|(?:does not|doesn't|do not|cannot|can't|not) (?:support|accept|take|process|handle|have)\b[^\n]{0,30}?"
    r"\b(?:image|vision|picture|multi-?modal)|content must be a string|image input is not"
)
_WORD = re.compile(r"(?<![^\s`'\"<>=,()\[\]])[a-z0-9][^\s`'\"<>=,()\[\]]+")
_DURATION = re.compile(
    r"(?=.*\d)(?:(\d+(?:\.\d+)?)h(?:ours?)?)?(?:(\d+(?:\.\d+)?)m(?:in(?:utes?)?)?)?"
    r"(?:(\d+(?:\.\d+)?) ?s(?:ec(?:onds?)?)?)?(?:(\d+(?:\.\d+)?) ?ms)?"
)
_AGAIN_IN = re.compile(r"(?:try|retry)(?: again)? (?:in|after) ((?:\d+(?:\.\d+)? ?(?:ms|h|m|s)(?:ec\w*|in\w*)? ?)+)")
# The page of a CDN, a firewall or a proxy: it says nothing about our key.
_PAGE = re.compile(
    r"(?i)^\s*<(?:!doctype|html|head|body|\?xml|h1|center|title)|cloudflare|error code: 1\d{3}|cf-ray|just a moment"
    r"|attention required|akamai|incapsula|sucuri|request unsuccessful"
)
_SIZES, _SIZE = ("n_ctx", "n_prompt_tokens"), re.compile(r"[0-9]{1,12}")
VARIABLE = "NEBULA_BASE_URL"
USUAL_END = "/v1"
# What people copy along with the base of the API.
_ENDS = ("/chat/completions", "/completions", "/chat", "/models", "/embeddings", "/responses")
_STATUS = re.compile(r"[45]\d\d")
_DAILY = re.compile(r"per[ _-]?day|daily|requests?/day|\brpd\b|\btpd\b")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_SECRET = re.compile(r"(?i)^(sk|ak|pk|key|bearer)[-_]|[0-9a-f]{16}")
_PASSING = (408, 409, 424, 425)  # of the client errors, those that another attempt may not meet; 424 is TGI's
# The status that an error object without one stands for; the first match counts.
_GUESSES = (
    (_FILTERED, 400),
    (_CREDITS, 402),
    (re.compile(rf"{_THROTTLED.pattern}|rate[ _-]?limit|throttl|\bqps\b|request limit"), 429),
    (_KEY, 401),
    (re.compile(r"time[ds]?[ _-]?out"), 408),
    (_MODEL, 404),
)


class WebPage(ServerTrouble):
    """A web page came in place of an answer, although the status is a success."""


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
    error = _decode(error) if isinstance(error, str) else error
    words = _words(error)
    if overflows(words):
        return _failed(400, error, None, model)
    for name, text in _strings(error):
        if name in ("code", "status", "status_code", "statusCode", "http_code") and _STATUS.fullmatch(text):
            # our address is right: some of what is behind it is not
            found = text not in ("404", "405", "410") or _MODEL.search(words)
            return _failed(int(text) if found else 500, error, None, model)
    return _failed(next((status for guess, status in _GUESSES if guess.search(words)), 500), error, None, model)


def refusal_words(body: bytes) -> str:
    """The words of a refusal, in lower case, with the names of the fields that it speaks of."""
    return _words(_decode(body))


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


def _seconds(value: str, unit: float, now: float) -> float | None:
    value = value.strip("\"' ").partition(",")[0] if value[:1] in "\"'0123456789." else value
    try:
        seconds = float(value) * unit
    except ValueError:
        if spelled := _DURATION.fullmatch(value.lower()):
            hours, minutes, whole, thousandths = (float(part or 0) for part in spelled.groups())
            seconds = 3600 * hours + 60 * minutes + whole + thousandths / 1000
        else:
            try:
                return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
            except (ValueError, OverflowError):
                return None
    if unit == 1.0 and now - DAY_SECONDS < seconds < now + DAY_SECONDS and now > 10 * DAY_SECONDS:
        seconds = max(0.0, seconds - now)  # a time of day, in epoch seconds
    return seconds if math.isfinite(seconds) else None


def _failed(status: int, error: object, wait: float | None, model: str) -> AttemptFailed:
    words = _words(error)
    cause = _classify(status, words, _detail(status, error), wait, model, error)
    if isinstance(cause, RateLimited):
        if wait is None and (found := _AGAIN_IN.search(words)):
            cause.retry_after = wait = _seconds(found[1].replace(" ", ""), 1.0, 0.0)
        # Each attempt counts against the limit, and no turn can wait for a daily limit to end.
        return AttemptFailed(cause, again=not _DAILY.search(words), once=True, wait=wait)
    again = (status >= 500 or status in _PASSING) and isinstance(cause, ServerTrouble | ModelTimeout)
    return AttemptFailed(cause, again=again, wait=wait)


def _classify(status: int, words: str, detail: str, wait: float | None, model: str, error: object) -> ModelError:
    page = isinstance(error, str) and _PAGE.search(error[:2000]) is not None
    if status == 400 and _PLAIN.search(words):
        return WrongAddress(f"{detail}: it expects https://")
    if status not in (401, 402, 429) and (blind := _BLIND.search(_without_names(words, model))):
        return CantSee(f"{detail}: no pictures", int(blind["most"] or 0))
    if status not in (401, 402, 404, 429) and _FILTERED.search(words):
        return Filtered(detail)
    if status == 429 and _AGAIN_IN.search(words):
        return RateLimited(detail, wait)  # Gemini says "quota" for each limit, and when to come again if time helps
    if status == 402 or (status not in (401, 404) and _CREDITS.search(words)):
        return NoCredits(detail)
    if status == 413 or (status not in (401, 402) and overflows(words, surely=status in (403, 429))):
        said = read(
            words, {name: int(text) for name, text in _strings(error) if name in _SIZES and _SIZE.fullmatch(text)}
        )
        return ContextTooLong(detail, said.window, said.prompt)
    if status in (429, 498) or (status < 500 and _THROTTLED.search(words)):  # 498: Groq's capacity
        return RateLimited(detail, wait)
    if status in (400, 401, 403) and _PLACE.search(words):
        return Blocked(f"{detail}: not from here")
    if status in (403, 407, 451) and (page or status != 403):
        return Blocked(f"{detail}: refused by a web page")
    if status == 401 or (status == 400 and _KEY.search(words)):
        return BadKey(detail)
    if status in (408, 504, 524):
        return ModelTimeout(detail)
    if status in (400, 403, 404, 410, 422) and (_MODEL.search(words) or (status == 410 and "model" in words)):
        return UnknownModel(detail, model)
    if status == 403:
        return BadKey(detail)
    if status < 400 or status in (404, 405, 410):
        return WrongAddress(f"{detail}: no such endpoint")
    if page:
        return ServerTrouble(f"{detail}: a web page")
    return BadRequest(detail) if status < 500 and status not in _PASSING else ServerTrouble(detail)


def _without_names(words: str, model: str) -> str:
    """The words without names of models: some have "vision" or "image" in them, and see or not."""
    named = model.lower() if any(not each.isalpha() for each in model) else ""
    words = words.replace(named, "") if named else words
    return _WORD.sub(lambda word: "" if _names_model(word[0]) else word[0], words)


def _names_model(word: str) -> bool:
    return any(map(str.isdigit, word)) and ("-" in word or "/" in word)


def _words(error: object) -> str:
    return "\n".join(text for _, text in _strings(error))[:20_000].lower()


def _decode(body: bytes | str) -> object:
    text = body if isinstance(body, str) else body.decode("utf-8-sig", "replace")
    # an error may come as an event, or in lines of JSON, whatever the status
    for each in (text, *(line.removeprefix("data:").strip() for line in text.splitlines()[:20] if "{" in line)):
        try:
            found = json.loads(each)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict | list):
            return found
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


def base_of(url: str) -> str:
    """The base of the API: one sample of the API page gives the address of a method as the base."""
    return url.strip().rstrip("/").removesuffix("/chat/completions")


def wrong_path(url: str, status: int = 404) -> str:
    """A sentence about an address where something else than the API answers, with this status."""
    parts = urlsplit(url)
    if 300 <= status < 400 and parts.scheme == "http":
        return f"{VARIABLE} leads to another address: begin it with https://"
    if ended := next((each for each in _ENDS if parts.path.endswith(each)), ""):
        return f"{VARIABLE} must end before {ended}"
    names = [name for name in parts.path.split("/") if name]
    if doubled := next((name for name, after in pairwise(names) if name == after), ""):
        return f"{VARIABLE} has /{doubled} twice: leave one out"
    if "v1" not in names:
        return f"{VARIABLE} lacks the {USUAL_END} with which it usually ends"
    return f"{VARIABLE} leads to something else than the API: check it, up to its end (usually {USUAL_END})"


def unreachable(url: str, error: BaseException) -> tuple[str, bool]:
    """Why no response came from an address, from what the HTTP library raised; and whether nothing answers there at
    all, so that the address may be wrong."""
    causes = _causes(error)
    kind = type(error.__cause__ or error).__name__
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = str(getattr(cause, "verify_message", "")) or "it is not trusted"
            return f"the server's certificate is refused ({why}): check the host in {VARIABLE}, and the clock", True
        if isinstance(cause, ssl.SSLError):
            return f"the server does not speak TLS ({kind}): check the port in {VARIABLE}, or write http://", True
        if isinstance(cause, socket.gaierror):
            return f"the name of the host in {VARIABLE} is not known (DNS)", True
        if isinstance(cause, ConnectionRefusedError):
            return f"nobody listens at the host and port in {VARIABLE} (connection refused)", True
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"{VARIABLE} is no address ({kind})", True
    if isinstance(error, httpx.ConnectTimeout) and isinstance(causes[-1], TimeoutError):
        return f"the host in {VARIABLE} does not answer ({kind})", True
    hint = "" if url.lower().startswith("https") else f": if it expects TLS, begin {VARIABLE} with https://"
    return f"the connection was lost ({kind}){hint}", False


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it came from, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found and len(found) < 10:
        found.append(error)
        inner = getattr(error, "os_error", None)  # aiohttp keeps what the system said here
        error = error.__cause__ or error.__context__ or (inner if isinstance(inner, BaseException) else None)
    return found
