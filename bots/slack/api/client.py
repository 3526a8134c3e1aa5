"""Calls Slack's Web API over one session and translates its errors into ours."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TypeVar

import aiohttp
from cachetools import FIFOCache
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bots.proxy import proxy_for
from bots.slack.api.private_api import upload_content
from core import metrics
from core.domain.errors import Forbidden, Frozen, Gone, PlatformError, Rejected, SlowDown, Unreachable

# At DEBUG the SDK logs whole messages; what people write must not appear there, whatever LOG_LEVEL says.
sdk_log = logging.getLogger("bots.slack.sdk")
sdk_log.setLevel(logging.WARNING)

T = TypeVar("T")

# For one call as a whole, and for the part in which it connects.
_CALL_TIMEOUT_SECONDS = 20
_CONNECT_TIMEOUT_SECONDS = 5
# How long `close` waits for running calls.
_CLOSE_TIMEOUT_SECONDS = 3.0

# docs.slack.dev/reference/methods: the error lists of chat.postMessage, chat.update, chat.delete and others.
_SLOW_DOWN = {"ratelimited", "rate_limited", "message_limit_exceeded"}
_GONE = {
    "message_not_found",
    "channel_not_found",
    "is_archived",
    "thread_not_found",
    "cannot_reply_to_message",
    "is_inactive",
}
_FROZEN = {"cant_update_message", "edit_window_closed", "block_mismatch", "streaming_state_conflict"}
_REJECTED = {
    "msg_too_long",
    "msg_blocks_too_long",
    "msg_blocks_too_many",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "invalid_arguments",
    "invalid_arg_name",
    "invalid_array_arg",
    "invalid_json",
    "json_not_object",
    "no_text",
    "too_many_attachments",
    "markdown_text_conflict",
    "slack_connect_blocked_file_type",
    "slack_connect_file_link_sharing_blocked",
}
_TEMPORARY = {
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "accesslimited",
    "rollup_error",
}
# Used when Slack slows us down without saying for how long.
_DEFAULT_RETRY_AFTER_SECONDS = 5.0
# Deletions kept in memory; the event follows the call within seconds.
_MAX_DELETIONS = 1_000


class OwnDeletions:
    """The messages that this process deleted, by channel and ts: Slack reports them as if a person had done it."""

    def __init__(self) -> None:
        self._messages: FIFOCache[tuple[str, str], None] = FIFOCache(_MAX_DELETIONS)

    def note(self, channel: str, message: str) -> None:
        """Call this before deleting the message: the event may arrive before the response to the call."""
        self._messages.setdefault((channel, message))

    def __contains__(self, message: tuple[str, str]) -> bool:
        return message in self._messages


class Web:
    """The bot's own client. The first call opens the session; after `close` every call opens its own."""

    def __init__(self, base_url: str, token: str) -> None:
        # No retry handlers: one that sleeps would delay an outdated frame, one that resends could post a frame twice.
        self.client = AsyncWebClient(
            token, base_url=base_url, timeout=_CALL_TIMEOUT_SECONDS, logger=sdk_log, retry_handlers=[]
        )
        # The SDK sends everything through HTTP(S)_PROXY and ignores NO_PROXY.
        self.client.proxy = proxy_for(base_url)
        self.own_deletions = OwnDeletions()
        self._calls = 0
        self._quiet = asyncio.Event()
        self._closed = False

    async def call(self, request: Awaitable[T]) -> T:
        """Await one call of a method of `client` and return the response. Raises PlatformError."""
        if self.client.session is None and not self._closed:
            timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS)
            self.client.session = aiohttp.ClientSession(timeout=timeout)
        self._calls += 1
        self._quiet.clear()
        try:
            return await request
        except SlackApiError as error:
            raise translated(error) from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackClientError) as error:
            raise Unreachable(type(error).__name__) from error
        except (AttributeError, TypeError, ValueError) as error:
            # The SDK fails on a body that is not JSON, such as an error page of a proxy.
            raise Unreachable("the response did not come from Slack") from error
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()

    async def respond(self, url: str, body: dict[str, object]) -> None:
        """Post to a response_url, which works five times within 30 minutes. Raises PlatformError.

        docs.slack.dev/interactivity/handling-user-interaction
        """
        hook = AsyncWebhookClient(
            url, timeout=_CALL_TIMEOUT_SECONDS, session=self.client.session, logger=sdk_log, retry_handlers=[]
        )
        hook.proxy = proxy_for(url)
        try:
            answer = await hook.send_dict(body)
        except (aiohttp.ClientError, OSError, TimeoutError, SlackClientError) as error:
            raise Unreachable(type(error).__name__) from error
        refusal = _refusal(answer.body)
        if answer.status_code != 200 or refusal:
            raise _error(refusal, answer.status_code, answer.headers, refusal or f"HTTP {answer.status_code}")

    async def upload(self, url: str, content: bytes) -> None:
        """Send a file's content to the address that Slack assigned to it. Raises Unreachable."""
        sent = upload_content(
            self.client, url, content, logger=sdk_log, seconds=_CALL_TIMEOUT_SECONDS, proxy=proxy_for(url)
        )
        status = (await self.call(sent)).status
        if status != 200:
            raise Unreachable(f"HTTP {status}")

    async def close(self) -> None:
        """Close the session when all running calls have ended, or after `_CLOSE_TIMEOUT_SECONDS`."""
        self._closed = True
        if self._calls:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                    await self._quiet.wait()
        session, self.client.session = self.client.session, None
        if session is not None:
            await session.close()


def translated(error: SlackApiError) -> PlatformError:
    """Translate Slack's refusal into one of our errors."""
    response = error.response
    # if the body is not JSON this is aiohttp's response, otherwise the SDK's
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    code = code_of(error)
    detail = f"missing_scope: {response.get('needed')}" if code == "missing_scope" else code or f"HTTP {status}"
    return _error(code, status, response.headers, detail)


def code_of(error: BaseException | None) -> str:
    """Return Slack's error code behind an error of ours or of the SDK, "" if there is none."""
    if isinstance(error, PlatformError):
        error = error.__cause__
    data = getattr(error.response, "data", None) if isinstance(error, SlackApiError) else None
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def details_of(error: BaseException) -> str:
    """Return what Slack says is wrong with the arguments, such as which block is invalid."""
    cause = error.__cause__ if isinstance(error, PlatformError) else error
    data = getattr(cause.response, "data", None) if isinstance(cause, SlackApiError) else None
    if not isinstance(data, dict):
        return ""
    return f"{data.get('errors', '')} {(data.get('response_metadata') or {}).get('messages', '')}"


def _error(code: str, status: int, headers: Mapping[str, str], detail: str) -> PlatformError:
    """Return our error for Slack's code ("" if there is none) and the HTTP status."""
    if code in _SLOW_DOWN or status == 429:
        metrics.PLATFORM_429S.labels("slack").inc()
        given = headers.get("Retry-After", "")
        return SlowDown(detail, float(given) if given.isdigit() else _DEFAULT_RETRY_AFTER_SECONDS)
    if code in _TEMPORARY or status >= 500 or (not code and status < 400):
        return Unreachable(detail)
    if code in _GONE:
        return Gone(detail)
    if code in _FROZEN:
        return Frozen(detail)
    return Rejected(detail) if code in _REJECTED or not code else Forbidden(detail)


def _refusal(body: str) -> str:
    """Return the error code in the body of a response, "" if there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("error", "unknown")) if isinstance(found, dict) and found.get("ok") is False else ""
