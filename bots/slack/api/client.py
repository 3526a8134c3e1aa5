"""Calls Slack's Web API over one session and translates its errors into ours."""

import asyncio
import logging
import re
from collections.abc import Awaitable
from contextlib import nullcontext, suppress
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from cachetools import FIFOCache
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bots.proxy import proxy_for
from bots.slack.api.errors import code_in, refusal, translated
from bots.slack.api.private_api import upload_content
from core.domain.errors import Forbidden, PlatformError, Rejected, Unreachable

# At DEBUG the SDK logs whole messages; what people write must not appear there, whatever LOG_LEVEL says.
sdk_log = logging.getLogger("bots.slack.sdk")
sdk_log.setLevel(logging.WARNING)
log = logging.getLogger(__name__)

T = TypeVar("T")

# For one call as a whole, and for the part in which it connects.
_CALL_TIMEOUT_SECONDS = 20
_CONNECT_TIMEOUT_SECONDS = 5
# How long `close` waits for running calls.
_CLOSE_TIMEOUT_SECONDS = 3.0

# How much of an answer to a response is read; it says "ok" or why not.
_MAX_ANSWER_BYTES = 100_000
# Where Slack, and GovSlack, expect responses.
_DOMAINS = (".slack.com", ".slack-gov.com")
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
        self.base_url = base_url
        self.own_deletions = OwnDeletions()
        self._calls = 0
        self._quiet = asyncio.Event()
        self._closed = False

    async def call(self, request: Awaitable[T]) -> T:
        """Await one call of a method of `client` and return the response. Raises PlatformError."""
        if self.client.session is None and not self._closed:
            self.client.session = self.session()
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
        if not self.is_slack(url):
            raise Rejected("this address for a response is not one of Slack's")
        open_session = self.client.session
        try:
            async with nullcontext(open_session) if open_session else self.session() as session:
                # The SDK's client would follow a redirection, to wherever it leads.
                post = session.post(url, json=body, proxy=proxy_for(url), allow_redirects=False)
                async with post as answer:
                    text = (await answer.content.read(_MAX_ANSWER_BYTES)).decode("utf-8", "replace")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error
        code = code_in(text)
        if not code and answer.status in (404, 410):
            raise Forbidden("this address for a response does not work any more")
        if answer.status != 200 or code:
            raise refusal(code, answer.status, answer.headers, code or f"HTTP {answer.status}")

    async def open_form(self, trigger: str, view: dict[str, object]) -> bool:
        """Open a modal, for which the trigger is valid for three seconds; return whether Slack did
        (docs.slack.dev/reference/methods/views.open)."""
        try:
            await self.call(self.client.views_open(trigger_id=trigger, view=view))
        except PlatformError as error:
            log.warning("Slack: could not open a form: %s: %s", type(error).__name__, error)
            return False
        return True

    def is_slack(self, url: str) -> bool:
        """Return whether this is an address of Slack, or of the server that plays it, with the usual port or its."""
        try:
            address, ours = urlsplit(url), urlsplit(self.base_url)
            host = address.hostname or ""
        except ValueError:
            return False
        # nothing that two parsers could read in two ways
        if not re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?", address.netloc) or not re.fullmatch(r"[!-~]+", url):
            return False
        if address.scheme == "https" and f".{host}".endswith(_DOMAINS) and address.netloc == host:
            return True
        return (address.scheme, address.netloc) == (ours.scheme, ours.netloc)

    @property
    def is_slacks_own(self) -> bool:
        """Whether the API is Slack's own, and not that of a server that plays it."""
        return f".{urlsplit(self.base_url).hostname or ''}".endswith(_DOMAINS)

    async def upload(self, url: str, content: bytes) -> None:
        """Send a file's content to the address that Slack assigned to it. Raises Unreachable."""
        sent = upload_content(
            self.client, url, content, logger=sdk_log, seconds=_CALL_TIMEOUT_SECONDS, proxy=proxy_for(url)
        )
        status = (await self.call(sent)).status
        if status != 200:
            raise Unreachable(f"HTTP {status}")

    @staticmethod
    def session() -> aiohttp.ClientSession:
        """Return a session for other calls than those of `client`, to be closed by whoever asked for it."""
        timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS)
        return aiohttp.ClientSession(timeout=timeout)

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
