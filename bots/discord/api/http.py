"""One call of Discord's REST API: sent once, bounded in time, with an error class for each cause of a refusal.

Replies do not use discord.py's own client, because it waits while holding outdated text: it retries a 429 up to five
times, retries a 5xx for 25 s, and waits for the end of the window when a bucket is exhausted, with new posts queued
behind. The reply's publisher needs to hear of a failure at once, and then sends the newest text.
"""

import json
import mimetypes
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import aiohttp

from bots.discord.api.limits import LIMITS, Limits
from bots.proxy import proxy_for
from core import metrics
from core.domain.errors import Forbidden, Gone, PlatformError, Rejected, SlowDown, TooLong, Unreachable
from core.domain.rates import RateLimitStatus
from core.ratelimit.window import SlidingWindow

# Time limit for one call. Discord itself specifies none.
CALL_SECONDS = 15.0
# For a 429 without a time to come back, as a proxy in front of Discord may send it.
BANNED_SECONDS = 60.0
_DESCRIPTION = 1024  # characters (docs.discord.com, Attachment Structure)


class TokenExpired(Gone):
    """The interaction's token has expired or was never valid; ordinary messages may still work."""


class Answered(Rejected):
    """The interaction has already been acknowledged, perhaps by another process with the same token."""


class ReplyRefused(Forbidden):
    """A reply needs the permission to read the history; a message without a reference does not."""


class ThreadExists(Rejected):
    """The message already has a thread; the thread's id is the message's id."""


class ThreadArchived(Rejected):
    """Nothing in the thread can be edited until somebody writes in it or reopens it."""


class NotPermitted(Forbidden):
    """The bot may not write in this channel."""


# Discord's error codes (docs.discord.com, Opcodes and Status Codes) where the HTTP status alone is not enough.
_CODES: dict[int, type[PlatformError]] = {
    10015: TokenExpired,  # unknown webhook
    10062: TokenExpired,  # unknown interaction
    50027: TokenExpired,  # invalid webhook token
    40060: Answered,
    50083: ThreadArchived,
    160002: ReplyRefused,
    160004: ThreadExists,
    # It passes: the same call may succeed later.
    20016: Unreachable,  # slow mode
    20022: Unreachable,  # edits of announcements
    20028: Unreachable,  # the channel's limit on writing
    20029: Unreachable,  # the server's limit on writing
    40003: Unreachable,  # direct messages opened too fast
    40004: Unreachable,  # sending messages is switched off for a while
    40006: Unreachable,  # this feature is switched off for a while
    40062: Unreachable,  # the service is rate limited
    40333: Unreachable,  # blocked on the way, by Cloudflare
    130000: Unreachable,  # the API is overloaded
    # This message is refused.
    20009: Rejected,  # explicit content
    40005: Rejected,  # the file is too large
    50006: Rejected,  # empty
    200000: Rejected,  # AutoMod
    200001: Rejected,  # AutoMod, the title
    240000: Rejected,  # a harmful link
    # This channel is closed to the bot.
    40058: NotPermitted,  # a forum post that its author has not begun
    50001: NotPermitted,
    50008: NotPermitted,  # not a channel for text
    50009: NotPermitted,  # the server's verification level
    50013: NotPermitted,
    160005: NotPermitted,  # the thread is locked
    # This person, or this interaction.
    20026: Forbidden,  # the app may open no direct messages, because it was taken for spam
    40094: Forbidden,  # an app that is not in the guild has no followups left
    50007: Forbidden,  # this person accepts no direct messages
    50278: Forbidden,  # this person shares no server with the bot
}
_INVALID = 50035  # a field of the body
_LENGTHS = ("BASE_TYPE_MAX_LENGTH", "BASE_TYPE_BAD_LENGTH")
# Any other 4xx is Rejected: the same call would be refused again.
_STATUSES: dict[int, type[PlatformError]] = {
    401: Forbidden,
    403: Forbidden,
    404: Gone,
    408: Unreachable,
    409: Unreachable,
    423: Unreachable,
    425: Unreachable,
}
# The limit on edits of old messages. The headers that come with it describe another bucket.
_OLD_EDITS = 30046


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach. `description`: what a picture shows, for people who can't see it."""

    name: str
    content: bytes
    description: str = ""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An answer of the API: its JSON (None if empty), and what the headers say about the rate limit."""

    json: Any
    rate_limit: RateLimitStatus | None


class Http:
    """The connections to the API; all calls raise PlatformError.

    Keeps the limit of the whole bot: a call that would exceed it is not sent but raises SlowDown at once.
    """

    def __init__(self, base: str, token: str, limits: Limits = LIMITS) -> None:
        """`base`: address of the API with its version, without a slash at the end."""
        self._base = base
        self._proxy = proxy_for(base)
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._limit = limits.everything
        self._everything = SlidingWindow(self._limit.calls, self._limit.seconds)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the connections; calls work inside this context."""
        agent = f"DiscordBot (https://www.nebulablock.com, {version('nebula-bot')})"
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with aiohttp.ClientSession(headers={"User-Agent": agent}, timeout=timeout) as self._session:
            yield

    async def call(self, method: str, path: str, body: Any = None, *, bot: bool = True) -> Any:
        """Return the answer's JSON, None if empty. `bot`: sign with the bot's token; interactions carry their own."""
        return (await self.send(method, path, body, bot=bot)).json

    async def send(
        self, method: str, path: str, body: Any = None, *, bot: bool = True, files: Sequence[File] = ()
    ) -> ApiResponse:
        """Like `call`, but can attach files, and also returns what the answer says about rate limits."""
        clock, budget = time.monotonic, self._everything
        left, headers = clock(), {"Authorization": f"Bot {self._token}"} if bot else {}
        if bot:
            wait = budget.free_at(left, final=True) - left
            if wait > 0:
                raise SlowDown("the bot's own count of all calls", min(wait, self._limit.seconds), everywhere=True)
            budget.take(left, interim=False)
        try:
            return await self._request(method, path, body, headers, files)
        except SlowDown as slow:
            if slow.everywhere:
                budget.hold(clock() + slow.retry_after)
            raise
        finally:
            if bot:
                budget.land(left, clock())

    async def _request(
        self, method: str, path: str, body: Any, headers: dict[str, str], files: Sequence[File]
    ) -> ApiResponse:
        if self._session is None:
            raise Unreachable("the connection to Discord is not open yet")
        what = f"{method} {_without_token(path)}"
        content = {"data": _form(body, files)} if files else {"json": body}
        try:
            async with self._session.request(
                method, self._base + path, headers=headers, proxy=self._proxy, **content
            ) as response:
                answer = await _json(response)
                if response.status < 400:
                    return ApiResponse(answer, _rate_limit_status(response.headers))
                raise _error(what, response, answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{what}: {type(error).__name__}") from error
        except RuntimeError as error:  # "Session is closed": the process is shutting down
            raise Unreachable(f"{what}: {error}") from error


async def _json(response: aiohttp.ClientResponse) -> Any:
    try:
        return await response.json(content_type=None)
    except ValueError:
        return None


def _error(what: str, response: aiohttp.ClientResponse, answer: Any) -> PlatformError:
    body = answer if isinstance(answer, dict) else {}
    code = body.get("code")
    code = code if isinstance(code, int) else 0
    detail = f"{what}: HTTP {response.status}, code {code}"
    if response.status == 429:
        metrics.PLATFORM_429S.labels("discord").inc()
        headers = response.headers
        mine = headers.get("X-RateLimit-Scope", "user") == "user"
        return SlowDown(
            detail,
            _seconds(body.get("retry_after"), headers.get("Retry-After")),
            # An answer that is not from Discord is Cloudflare's: it bans the address for every call.
            everywhere=not body or body.get("global") is True,
            shared=not mine,
            rate_limit=_rate_limit_status(headers) if mine and code != _OLD_EDITS else None,
        )
    if response.status >= 500:
        return Unreachable(detail)
    if fields := ", ".join(_fields(body.get("errors"))):
        detail = f"{detail}, {fields}"
    if code == _INVALID and _too_long((body.get("errors") or {}).get("content")):
        return TooLong(detail)
    # What has no code of Discord's comes from a proxy on the way, which knows nothing of rights, messages or channels.
    if not code and response.status != 413 and (response.status == 403 or not body):
        return Unreachable(detail)
    kind = _CODES.get(code) or _STATUSES.get(response.status, Rejected)
    return kind(detail)


def _too_long(field: Any) -> bool:
    """Whether Discord refuses a field for its length (docs.discord.com, Error Messages)."""
    problems = field.get("_errors") if isinstance(field, dict) else None
    found = problems if isinstance(problems, list) else []
    return any(isinstance(each, dict) and each.get("code") in _LENGTHS for each in found)


def _fields(errors: Any, path: str = "", depth: int = 10) -> Iterator[str]:
    """The refused fields with the codes that say why, without what was written in them (docs: Error Messages)."""
    if not isinstance(errors, dict) or not depth:
        return
    for name, inner in errors.items():
        if name != "_errors":
            yield from _fields(inner, f"{path}.{name}" if path else str(name), depth - 1)
        elif isinstance(inner, list):
            codes = [str(each.get("code")) for each in inner if isinstance(each, dict)]
            yield f"{path}: {' '.join(codes)}"


def _form(body: Any, files: Sequence[File]) -> aiohttp.FormData:
    """A body with files (docs.discord.com, Uploading Files)."""
    described = [
        {"id": number, "filename": each.name, "description": each.description[:_DESCRIPTION]}
        for number, each in enumerate(files)
        if each.description
    ]
    form = aiohttp.FormData()
    body = body | {"attachments": described} if described else body
    form.add_field("payload_json", json.dumps(body), content_type="application/json")
    for number, each in enumerate(files):
        form.add_field(f"files[{number}]", each.content, filename=each.name, content_type=_kind(each.name))
    return form


def _kind(name: str) -> str:
    """The MIME type for a file name; all our texts are UTF-8."""
    kind = mimetypes.guess_type(name)[0] or ("text/markdown" if name.endswith(".md") else "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _rate_limit_status(headers: Mapping[str, str]) -> RateLimitStatus | None:
    """The rate limit in an answer's headers (docs.discord.com, Rate Limits); None if they do not mention one."""
    try:
        return RateLimitStatus(
            int(headers["X-RateLimit-Limit"]),
            int(headers["X-RateLimit-Remaining"]),
            float(headers["X-RateLimit-Reset-After"]),
        )
    except (KeyError, ValueError):
        return None


def _seconds(*candidates: Any) -> float:
    for candidate in candidates:
        try:
            return max(0.0, float(candidate))
        except (TypeError, ValueError):
            continue
    return BANNED_SECONDS


def _without_token(path: str) -> str:
    """The path for logs, without the token that answers an interaction."""
    parts = path.split("/")
    if len(parts) > 3 and parts[1] in ("webhooks", "interactions"):
        parts[3] = "…"
    return "/".join(parts)
