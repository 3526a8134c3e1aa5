"""The two transports over which Slack's requests reach Bolt: Socket Mode and HTTP."""

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

from bots.http_port import http_port
from bots.proxy import proxy_for
from bots.slack.api.client import sdk_log
from bots.slack.api.connection import SocketConnections
from bots.slack.api.private_api import background_tasks, set_address
from bots.slack.api.signature import signed

log = logging.getLogger(__name__)

PATH = "/slack/events"
UNSIGNED = "This request is not signed by Slack."
# Time between pings, and between checks for sockets that ended silently.
PING_SECONDS = 5.0
# Checks that must find all sockets down before the log says so.
CHECKS_UNTIL_ERROR = 6
# Closing may hang on a dead peer (slackapi/bolt-python#1529, NousResearch/hermes-agent#91630).
_CLOSE_TIMEOUT_SECONDS = 3.0
# More than any request of Slack's has.
_MAX_BODY_BYTES = 2**20
# SDK messages, some with a traceback, for failed connections and acknowledgements; our own log lines say as much.
_REDUNDANT = (
    "Failed to connect (",
    "Failed to retrieve WSS URL",
    "Failed to check the current session",
    "The current session (",
)
# The SDK logs this, with a traceback, when Slack wants a socket replaced but provides no new one: the old socket keeps
# working, and when Slack closes it we ask for another. (Errors in listeners are logged with a different message.)
_NOT_REPLACED = "Failed to run message listeners"

# Bolt logs this, with a traceback, when a request lacks a field that it looks at. (What our own middleware does is done
# in tasks, which log their failures themselves.)
_NOT_READ = "Failed to run a middleware function"


def _condense(record: logging.LogRecord) -> bool:
    """Log filter: drop redundant SDK lines, and drop the traceback where only the connection failed."""
    message = record.getMessage()
    if message.startswith(_NOT_REPLACED):
        cause = type(record.exc_info[1]).__name__ if record.exc_info else ""
        record.msg, record.args, record.exc_info = "Slack: a socket could not be replaced yet (%s)", (cause,), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    if message.startswith(_NOT_READ):
        cause = type(record.exc_info[1]).__name__ if record.exc_info else ""
        record.msg, record.args, record.exc_info = "Slack: a request has a form that can't be read (%s)", (cause,), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return not message.startswith(_REDUNDANT)


sdk_log.addFilter(_condense)


class _Handler(AsyncSocketModeHandler):
    """Bolt behind one socket. The SDK would log 30 lines for an acknowledgement on a closed socket."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        try:
            await super().handle(client, req)
        except (ConnectionError, aiohttp.ClientError) as error:
            # Nothing is lost: Slack sends an event again and we recognize its id; a person who gave a command or
            # pressed a button sees that it failed.
            log.warning("Slack: the socket closed before a request was acknowledged (%s)", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - listeners raise nothing, so Bolt could not read it
            log.warning("Slack: a request has a form that can't be read (%s)", type(error).__name__)


class Sockets:
    """Socket Mode over several connections; Slack sends each event over one of them. Calls `on_connected` each time a
    connection opens."""

    def __init__(
        self,
        app: AsyncApp,
        web_client: AsyncWebClient,
        token: str,
        url: str,
        count: int,
        connections: SocketConnections,
        on_connected: Callable[[], None],
    ) -> None:
        """The first connection uses `url`; for the others the SDK requests addresses, as it does to reconnect.
        `connections` tracks their state."""
        self._connections, self._on_connected = connections, on_connected
        self._handlers = [
            _Handler(app, token, logger=sdk_log, web_client=web_client, ping_interval=PING_SECONDS)
            for _ in range(count)
        ]
        self._clients: list[SocketModeClient] = [handler.client for handler in self._handlers]
        set_address(self._clients[0], url)
        for client in self._clients:
            # The SDK sends everything through HTTP(S)_PROXY and ignores NO_PROXY.
            client.proxy = proxy_for(url)
            client.message_listeners.append(self._on_message)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Stay connected while the context is open, from its first moment; the SDK reconnects by itself."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._watch())]
            watched = ExitStack()
            try:
                for client in self._clients:
                    watched.enter_context(self._connections.of(client))
                await self._handlers[0].connect_async()  # type: ignore[no-untyped-call]
                tasks += [group.create_task(each.connect_async()) for each in self._handlers[1:]]  # type: ignore[no-untyped-call]
                yield
            finally:
                watched.close()
                for task in tasks:
                    task.cancel()
                await self._close()

    async def _on_message(self, client: object, message: dict[str, Any], raw: str | None) -> None:
        if message.get("type") == "hello":
            self._on_connected()

    async def _watch(self) -> None:
        """Discard used addresses, and log lost connections."""
        down = 0
        while True:
            await asyncio.sleep(PING_SECONDS)
            for client in self._clients:
                if client.current_session is None or client.current_session.closed:
                    set_address(client, None)
            if not self._connections.connection().up:
                down += 1
            elif down:
                if down >= CHECKS_UNTIL_ERROR:
                    log.warning("Slack: connected again")
                down = 0
            if down == CHECKS_UNTIL_ERROR:
                log.error("Slack: no connection; retrying until there is one. Check that Socket Mode is on in your app")

    async def _close(self) -> None:
        tasks = [task for each in self._clients for task in background_tasks(each)]
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                # A client that is still connecting has no session yet, and ends by itself.
                await asyncio.gather(*(handler.close_async() for handler in self._handlers), return_exceptions=True)  # type: ignore[no-untyped-call]
                await asyncio.gather(*tasks, return_exceptions=True)
        except TimeoutError:
            log.warning("Slack: a socket did not close in time")


@asynccontextmanager
async def http(app: AsyncApp, secret: str, host: str, port: int) -> AsyncIterator[None]:
    """Serve HTTP: Slack posts to us, signed with `secret`. Raises like `http_port`."""

    async def serve(request: web.Request) -> web.Response:
        body = await request.read()
        # The port is open to the internet: nothing is read, and nothing logged, that Slack did not sign.
        if not signed(secret, request.headers, body):
            return web.Response(status=401, text=UNSIGNED)
        try:
            return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))
        except Exception as error:  # noqa: BLE001 - listeners raise nothing, so Bolt could not read it
            log.warning("Slack: a request has a form that can't be read (%s)", type(error).__name__)
            return web.Response(status=400, text="This request can't be read.")

    async with http_port(
        [web.post(PATH, serve)],
        "SLACK_PORT",
        host,
        port,
        body_bytes=_MAX_BODY_BYTES,
        closing_seconds=_CLOSE_TIMEOUT_SECONDS,
    ):
        log.info("Slack: listening on http://%s:%d%s", host, port, PATH)
        yield
