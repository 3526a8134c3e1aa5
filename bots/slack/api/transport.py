"""Transport: the two ways in which Slack's requests reach Bolt."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bots.proxy import proxy_for
from bots.slack.api.client import sdk_log
from bots.slack.api.connection import SocketPulse
from core.settings.config import WrongConfig

log = logging.getLogger(__name__)

PATH = "/slack/events"
# Seconds between pings, and between looks at a socket that ended without a word.
PING = 5.0
# Looks at sockets that are all down, before the log says so.
LOOKS = 6
# Closing may hang on a dead peer (slackapi/bolt-python#1529, NousResearch/hermes-agent#91630). Seconds.
_CLOSING = 3.0
# What the SDK says, partly with a traceback, when it can't connect, or can't acknowledge: a line of ours tells as much.
_TOLD = (
    "Failed to connect (",
    "Failed to retrieve WSS URL",
    "Failed to check the current session",
    "The current session (",
)
# What it says, with a traceback, when Slack wants a socket replaced and no other can be had: the old one serves on, and
# when Slack closes it another is asked for. (What its listeners raise has words of its own.)
_NOT_REPLACED = "Failed to run message listeners"


def _plain(record: logging.LogRecord) -> bool:
    """Whether the SDK's line tells something; without its traceback where only the connection failed."""
    message = record.getMessage()
    if message.startswith(_NOT_REPLACED):
        cause = type(record.exc_info[1]).__name__ if record.exc_info else ""
        record.msg, record.args, record.exc_info = "Slack: a socket could not be replaced yet (%s)", (cause,), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return not message.startswith(_TOLD)


sdk_log.addFilter(_plain)


class _Handler(AsyncSocketModeHandler):
    """Bolt behind one socket. The SDK would write 30 lines for an acknowledgement that finds its socket closed."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        try:
            await super().handle(client, req)
        except (ConnectionError, aiohttp.ClientError) as error:
            # Nothing is lost: an event comes again and is known by its id then; who gave a command or pressed a button
            # sees that it failed.
            log.warning("Slack: its socket closed before a request was acknowledged (%s)", type(error).__name__)


class Sockets:
    """Socket Mode over several connections; Slack hands each event to one of them. `greeted` is called each time that
    one was opened."""

    def __init__(
        self,
        app: AsyncApp,
        web_client: AsyncWebClient,
        token: str,
        url: str,
        count: int,
        pulse: SocketPulse,
        greeted: Callable[[], None],
    ) -> None:
        """The first connection goes to `url`; all others are asked for by the SDK, as it does to reconnect. `pulse`
        watches them."""
        self._pulse, self._greeted = pulse, greeted
        self._handlers = [
            _Handler(app, token, logger=sdk_log, web_client=web_client, ping_interval=PING) for _ in range(count)
        ]
        self._clients: list[SocketModeClient] = [handler.client for handler in self._handlers]
        self._clients[0].wss_uri = url
        for client in self._clients:
            # The SDK sends everything through HTTP(S)_PROXY and does not know NO_PROXY.
            client.proxy = proxy_for(url)
            client.message_listeners.append(self._said)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connected once the context is entered, for as long as it is open; the SDK reconnects by itself."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._watch())]
            watched = ExitStack()
            try:
                for client in self._clients:
                    watched.enter_context(self._pulse.of(client))
                await self._handlers[0].connect_async()  # type: ignore[no-untyped-call]
                tasks += [group.create_task(each.connect_async()) for each in self._handlers[1:]]  # type: ignore[no-untyped-call]
                yield
            finally:
                watched.close()
                for task in tasks:
                    task.cancel()
                await self._close()

    async def _said(self, client: object, message: dict[str, Any], raw: str | None) -> None:
        if message.get("type") == "hello":
            self._greeted()

    async def _watch(self) -> None:
        """Do what the SDK leaves out: it would try an address that did not open for ever, though one serves once and
        not for long (docs.slack.dev/apis/events-api/using-socket-mode)."""
        down = 0
        while True:
            await asyncio.sleep(PING)
            for client in self._clients:
                if client.current_session is None or client.current_session.closed:
                    client.wss_uri = None  # a fresh one is asked for
            if not self._pulse.connection().up:
                down += 1
            elif down:
                if down >= LOOKS:
                    log.warning("Slack: connected again")
                down = 0
            if down == LOOKS:
                log.error("Slack: no connection; trying until there is one. Check that Socket Mode is on in your app")

    async def _close(self) -> None:
        tasks = [
            task
            for each in self._clients
            for task in (each.message_processor, each.current_session_monitor, each.message_receiver)
        ]
        try:
            async with asyncio.timeout(_CLOSING):
                # One that is in the middle of connecting has no session yet, and ends by itself.
                await asyncio.gather(*(handler.close_async() for handler in self._handlers), return_exceptions=True)  # type: ignore[no-untyped-call]
                # close_async cancels these and goes; left alone they would outlive us
                await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        except TimeoutError:
            log.warning("Slack: a socket did not close in time")


@asynccontextmanager
async def http(app: AsyncApp, host: str, port: int) -> AsyncIterator[None]:
    """HTTP: Slack posts to us; Bolt checks the signature. Raises WrongConfig when the port can't be opened."""

    async def serve(request: web.Request) -> web.Response:
        try:
            asked = await to_bolt_request(request)  # reads the body, before any signature is looked at
        except (ValueError, AttributeError, TypeError, LookupError):
            return web.Response(status=400, text="not a request of Slack's")
        return await to_aiohttp_response(await app.async_dispatch(asked))

    server = web.Application()
    server.router.add_post(PATH, serve)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=_CLOSING)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise WrongConfig((f"SLACK_PORT {port} can't be opened on {host}: {error.strerror}.",)) from error
        log.info("Slack: listening on http://%s:%d%s", host, port, PATH)
        yield
    finally:
        await runner.cleanup()
