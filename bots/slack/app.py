"""Slack: the platform; connects, listens, and opens surfaces for replies."""

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.slack.api import transport
from bots.slack.api.capabilities import Capabilities
from bots.slack.api.client import Web, sdk_log
from bots.slack.api.connection import SocketPulse
from bots.slack.api.identity import Identity
from bots.slack.api.patience import PATIENCE, Patience
from bots.slack.api.people import People
from bots.slack.components import buttons, forms
from bots.slack.inbound.backfill import Backfill
from bots.slack.inbound.buttons import ButtonPresses
from bots.slack.inbound.commands import Commands
from bots.slack.inbound.messages import Listeners
from bots.slack.inbound.presence import Presence
from bots.slack.inbound.tasks import TaskSupervisor
from bots.slack.inbound.text import IncomingText
from bots.slack.manifest import OF_HISTORY, OPTIONAL, SCOPES
from bots.slack.outbound.private_file import handed
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.streaming_surface import StreamingSurface
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address
from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.domain.options import Memory, Placement, PlatformDefaults, Streaming
from core.domain.ports import Connection
from core.inbound.dispatcher import Dispatcher
from core.settings.config import Config, WrongConfig

log = logging.getLogger(__name__)

# Seconds between attempts to reach Slack at the start; the last one goes on for good.
_PAUSES = (0.2, 1, 2, 5, 10, 30)

# Bolt reads SLACK_BOT_TOKEN by itself and then wonders about the client that it was given.
sdk_log.addFilter(lambda record: "`token` will be unused" not in record.getMessage())

_ANYTHING = re.compile(r".*", re.DOTALL)


class Slack:
    """Implements core.domain.ports.Platform over slack-bolt: Socket Mode, or HTTP if the configuration says so."""

    name = "slack"
    defaults = PlatformDefaults(memory=Memory.CHANNEL, replies=Placement.THREAD)

    def __init__(self, config: Config, *, patience: Patience = PATIENCE) -> None:
        """`patience`: another than Slack itself has."""
        token = config.slack_bot_token
        self._config = config
        self._web = Web(config.slack_api_url, token.get_secret_value() if token else "")
        self._people = People(self._web, config.slack_managers, patience.names)
        self._eyes = Eyes(self._web)
        self._style = Capabilities()
        self._pulse = SocketPulse()
        self._patience = patience
        self.ready = asyncio.Event()  # set while events can arrive

    def open(self, address: Address) -> SlackSurface:
        """The surface for a reply to this address. Does no IO.

        By itself Slack's streaming is used in direct messages: in a channel only the person who asked would see the
        reply grow (agentconnect-md/agentconnect#1494).
        """
        direct = address.place.direct
        native = address.streaming is Streaming.NATIVE or (address.streaming is Streaming.AUTO and direct)
        native = native and self._style.streams(direct=direct)
        kind = StreamingSurface if native and address.message else SlackSurface
        return kind(self._web, self._eyes, self._style, address)

    def connection(self) -> Connection:
        """How the sockets are; over HTTP, whether we listen."""
        return Connection(self.ready.is_set()) if self._config.slack_over_http else self._pulse.connection()

    async def run(self, front: Dispatcher) -> None:
        """Serve until cancelled; then closes within a few seconds.

        Replies that still run may go on editing afterwards. Raises WrongConfig when Slack refuses the tokens for good;
        an unreachable Slack is waited for.
        """
        try:
            me = await self._identity()
            work = TaskSupervisor()
            words = IncomingText(self._people, me.user)
            hand = partial(handed, self._web, self._style)
            listeners = Listeners(front, me, self._people, words, work, self.open, hand, self._web.removed)
            commands = Commands(
                front, me, self._web, self._style, self._people, words, work, self.open, hand, self._patience
            )
            presses = ButtonPresses(front, me, self._web, self._style, self._people, work)
            missed = Backfill(front, me, self._web, self._style, listeners.mention)
            presence = Presence(front, f"slack/{me.team}", self.connection, missed.look)
            app = self._app(me, listeners, commands, presses)
            async with self._transport(app, presence), work.open(), presence.kept():
                self.ready.set()
                log.info("Slack: connected as %s in %s", me.user, me.team)
                await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            self.ready.clear()
            await self._web.close()

    async def work(self) -> None:
        """Show replies without listening, until cancelled."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._web.close()

    async def _identity(self) -> Identity:
        """Who the bot token belongs to."""
        answer = await self._patiently(
            lambda: self._web.client.auth_test(),
            "SLACK_BOT_TOKEN is refused by Slack ({}): copy the Bot User OAuth Token from your app's page, "
            "OAuth & Permissions, and install the app again if it was removed.",
        )
        granted = {scope.strip() for scope in str(answer.headers.get("x-oauth-scopes") or "").split(",")} - {""}
        if granted:
            self._style.scopes = frozenset(granted)
            if missing := SCOPES.keys() - OPTIONAL - granted:
                log.warning(
                    "Slack: the app lacks %s; add them under OAuth & Permissions and reinstall it", sorted(missing)
                )
            if SCOPES.keys() & OF_HISTORY - granted:
                log.info("Slack: the app can't read along in channels: edits, deletions and missed mentions go unheard")
        self._style.me = str(answer["user_id"])
        enterprise = str(answer.get("enterprise_id") or "")
        return Identity(str(answer["team_id"]), self._style.me, str(answer.get("bot_id") or ""), enterprise)

    async def _socket_address(self) -> str:
        """A fresh address for Socket Mode. Asked for here because the SDK would try a refused token for ever."""
        token = self._config.slack_app_token
        answer = await self._patiently(
            lambda: self._web.client.apps_connections_open(app_token=token.get_secret_value() if token else ""),
            "SLACK_APP_TOKEN is refused by Slack ({}): create an app-level token with connections:write on your "
            "app's page, Basic Information, and switch Socket Mode on.",
        )
        return str(answer["url"])

    async def _patiently(self, call: Callable[[], Awaitable[AsyncSlackResponse]], refused: str) -> AsyncSlackResponse:
        """The answer, however long Slack can't be reached. Raises WrongConfig with `refused` when it says no."""
        for attempt in itertools.count():
            try:
                return await self._web.call(call())
            except (Unreachable, SlowDown) as error:
                if attempt == 0:
                    log.warning("Slack can't be reached (%s); trying until it can", error)
                pause = error.retry_after if isinstance(error, SlowDown) else _PAUSES[min(attempt, len(_PAUSES) - 1)]
                await asyncio.sleep(pause)
            except PlatformError as error:
                raise WrongConfig((refused.format(error),)) from error
        raise AssertionError

    def _app(self, me: Identity, listeners: Listeners, commands: Commands, presses: ButtonPresses) -> AsyncApp:
        """Bolt with our listeners; the same for both transports."""
        token = self._config.slack_bot_token
        secret = self._config.slack_signing_secret
        known = AuthorizeResult(
            enterprise_id=None,
            team_id=me.team,
            bot_token=token.get_secret_value() if token else "",
            bot_user_id=me.user,
            bot_id=me.bot or None,
        )

        async def authorize() -> AuthorizeResult:
            # Left alone Bolt asks auth.test for the first events, and drops them when that fails. With SLACK_CLIENT_ID
            # and SLACK_CLIENT_SECRET in the environment it would even look for installations on disk.
            return known

        app = AsyncApp(
            logger=sdk_log,
            name="nebula-bot",
            client=AsyncWebClient(base_url=self._config.slack_api_url, logger=sdk_log, retry_handlers=[]),
            authorize=authorize,
            signing_secret=secret.get_secret_value() if secret else "",
            request_verification_enabled=self._config.slack_over_http,
            ignoring_self_events_enabled=False,  # somebody may delete an answer of ours
        )
        app.middleware(listeners.event)
        app.command(_ANYTHING)(commands.slash)
        app.action(forms.OPEN)(commands.asked_for_form)
        app.action(buttons.PRESSED)(presses.pressed)
        app.action(buttons.RATED)(presses.rated)
        app.view(forms.CALLBACK)(commands.submitted)
        for anything_else in (app.action, app.view, app.shortcut, app.options):
            anything_else(_ANYTHING)(commands.ignored)
        return app

    @asynccontextmanager
    async def _transport(self, app: AsyncApp, presence: Presence) -> AsyncIterator[None]:
        config = self._config
        if config.slack_over_http:
            async with transport.http(app, config.slack_host, config.slack_port or 0):
                yield
            return
        token = config.slack_app_token.get_secret_value() if config.slack_app_token else ""
        first, client = await self._socket_address(), self._web.client
        sockets = transport.Sockets(app, client, token, first, config.slack_sockets, self._pulse, presence.greeted)
        async with sockets.open():
            yield
