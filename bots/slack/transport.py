"""Transport: the two ways in which Slack's requests reach Bolt."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bots.proxy import proxy_for
from bots.slack.pulse import Pulse
from bots.slack.web import sdk_log
from core.config import WrongConfig

log = logging.getLogger(__name__)

PATH = "/slack/events"
# Seconds between pings, and between looks at a socket that ended without a word.
PING = 5.0
# Closing may hang on a dead peer (slackapi/bolt-python#1529, NousResearch/hermes-agent#91630). Seconds.
_CLOSING = 3.0


@asynccontextmanager
async def socket(app: AsyncApp, client: AsyncWebClient, token: str, url: str, pulse: Pulse) -> AsyncIterator[None]:
    """Socket Mode: we connect to Slack, first to `url`; the SDK reconnects by itself. `pulse` watches the socket."""
    handler = AsyncSocketModeHandler(app, token, logger=sdk_log, web_client=client, ping_interval=PING)
    sockets = handler.client
    sockets.wss_uri = url
    # The SDK sends everything through HTTP(S)_PROXY and does not know NO_PROXY.
    sockets.proxy = proxy_for(url)
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]
        with pulse.of(sockets):
            yield
    finally:
        tasks = [sockets.message_processor, sockets.current_session_monitor, sockets.message_receiver]
        try:
            async with asyncio.timeout(_CLOSING):
                await handler.close_async()  # type: ignore[no-untyped-call]
                # close_async cancels these and goes; left alone they would outlive us
                await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        except TimeoutError:
            log.warning("Slack: the socket did not close in time")


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
