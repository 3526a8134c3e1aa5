"""The Slack platform: connects to Slack, listens to its events and opens surfaces for replies."""

import asyncio
import hmac
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain, repeat

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.adapter import Examination
from bots.slack.api import transport
from bots.slack.api.client import Web, sdk_log
from bots.slack.api.connection import SocketConnections
from bots.slack.api.download import Downloads
from bots.slack.api.lookups import CallBudget
from bots.slack.api.people import People
from bots.slack.api.tasks import TaskSupervisor
from bots.slack.api.workspace import PATIENCE, Capabilities, Identity, Patience
from bots.slack.components import buttons, forms, menus, votes
from bots.slack.config import SlackConfig
from bots.slack.examine import MEND_APP_TOKEN, MEND_BOT_TOKEN, examine, failed, granted, identity, scopes
from bots.slack.greetings import Greetings
from bots.slack.inbound.backfill import SlackBackfill
from bots.slack.inbound.collaborators import Collaborators
from bots.slack.inbound.commands import Commands
from bots.slack.inbound.menus import SlackMenus
from bots.slack.inbound.messages import Listeners
from bots.slack.inbound.presence import SlackPresence
from bots.slack.inbound.presses import ButtonPresses
from bots.slack.inbound.surroundings import CALLS, SlackSurroundings
from bots.slack.inbound.text import IncomingText
from bots.slack.manifest import ASK_ABOUT, FOR_HISTORY, SCOPES, SUMMARISE_THREAD
from bots.slack.outbound.agent_pane import AgentPane
from bots.slack.outbound.ephemeral_surface import EphemeralSurface
from bots.slack.outbound.private_file import share_privately
from bots.slack.outbound.status import Eyes
from bots.slack.outbound.streaming_surface import StreamingSurface
from bots.slack.outbound.surface import SlackSurface
from core.domain.conversation import Address, Attachment, Place
from core.domain.errors import PlatformError
from core.domain.options import Memory, Placement, PlatformDefaults, Streaming, Switch
from core.domain.ports import Connection, Surface
from core.domain.question import Question
from core.domain.retry import retried
from core.domain.surroundings import Reach, Surroundings
from core.finding import Finding, Verdict
from core.inbound.dispatcher import Dispatcher
from core.ratelimit.limiter import RateLimiter
from core.settings.environment import WrongConfig

log = logging.getLogger(__name__)

# In a thread older than this, no question begins a chat. For as long it is known that it has a title.
NEW_CHAT_SECONDS = 1800.0
# Pauses between attempts to reach Slack at the start; the last one repeats without end.
_RETRY_SECONDS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)

# Bolt reads SLACK_BOT_TOKEN from the environment and then warns about the client that we pass to it.
sdk_log.addFilter(lambda record: "`token` will be unused" not in record.getMessage())

_ANYTHING = re.compile(r".*", re.DOTALL)


class Slack:
    """Implements `bots.adapter.Adapter` over slack-bolt, with Socket Mode or, if configured, HTTP."""

    name = "slack"
    defaults = PlatformDefaults(
        memory=Memory.CHANNEL,
        replies=Placement.THREAD,
        suggestions=(
            "What can you help me with?",
            "Help me write a clear message to my team.",
            "Explain an error message to me.",
            "Turn my notes into a list of tasks.",
        ),
    )

    def __init__(self, config: SlackConfig, *, patience: Patience = PATIENCE) -> None:
        """`patience`: time limits other than Slack's own, for tests."""
        token = config.slack_bot_token
        self._config = config
        self._web = Web(config.slack_api_url, token.get_secret_value() if token else "")
        self._eyes = Eyes(self._web, config.slack_statuses)
        self._limiter = self._eyes.limiter
        self._capabilities = Capabilities()
        self._downloads = Downloads(self._web, self._capabilities)
        self._pane = AgentPane(self._web, self._eyes, self._capabilities)
        self._connections = SocketConnections()
        self._patience = patience
        self._me: Identity | None = None
        self._report: list[Finding] = []  # what signing in has shown
        self._reported = False  # the report of the start is out: what comes later has to be logged
        self._trouble: Finding | None = None  # why there is no connection yet
        self._surroundings: SlackSurroundings | None = None
        self._signed_in = asyncio.Event()  # set once there are surroundings
        self.ready = asyncio.Event()  # set while events can arrive

    def open(self, address: Address) -> Surface:
        """Return the surface for a reply to this address. Does no IO."""
        if address.private:
            return EphemeralSurface(self._web, self._eyes, self._capabilities, address)
        return self._open(address)

    def _open(self, address: Address) -> SlackSurface:
        """Return the surface for a reply that everybody in the place may read.

        By default only direct messages prefer Slack's streaming: in a channel only the person who asked would see the
        reply grow (agentconnect-md/agentconnect#1494). There a reply streams in its thread if edits are short.
        """
        direct, auto = address.place.direct, address.streaming is Streaming.AUTO
        wanted = auto or address.streaming is Streaming.NATIVE
        able = self._config.slack_streams is Switch.ON and self._capabilities.streams(direct=direct)
        instead = auto and not direct
        threaded = address.placement is Placement.THREAD or bool(address.place.thread)
        if wanted and able and address.message and (threaded or not instead):
            return StreamingSurface(self._web, self._eyes, self._capabilities, address, instead=instead)
        return SlackSurface(self._web, self._eyes, self._capabilities, address)

    def chat(self, address: Address) -> str:
        """The thread of a direct message in which a reply goes, if it is new: only the agent pane shows titles."""
        place, message = address.place, address.message
        if not (place.direct and message and self._pane.works):
            return ""
        thread = place.thread or (message if isinstance(self._open(address), StreamingSurface) else "")
        return thread if thread and float(message) - float(thread) < NEW_CHAT_SECONDS else ""

    async def entitle(self, address: Address, title: str, *, begun: bool = False) -> None:
        await self._pane.entitle(address.place.channel, address.place.thread or address.message, title)

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        """Return what was said around a question; it waits until we know who we are."""
        await self._signed_in.wait()
        assert self._surroundings
        return await self._surroundings.around(question, reach)

    async def channel_name(self, place: Place) -> str:
        """Return the name of a channel within about a second; it waits until we know who we are."""
        await self._signed_in.wait()
        assert self._surroundings
        return await self._surroundings.channel_name(place)

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """Return the content of a file; it waits until we know which rights we have. Raises PlatformError."""
        await self._signed_in.wait()
        return await self._downloads.fetch(attachment, most)

    def share(self, limiter: RateLimiter) -> None:
        """Count statuses, reactions and the search for missed questions together with other processes."""
        self._limiter = self._eyes.limiter = limiter

    def connection(self) -> Connection:
        """Return the state of the sockets; over HTTP, whether we listen."""
        return Connection(self.ready.is_set()) if self._config.over_http else self._connections.connection()

    def report(self, about: Examination) -> Sequence[Finding]:
        """Return who the bot is and which scopes the app lacks, or why Slack has not answered yet."""
        self._reported = True
        return [*self._report, *([self._trouble] if self._trouble else [])]

    def examine(self, about: Examination) -> AsyncGenerator[Finding, None]:
        """Look at everything; see `bots.slack.examine`."""
        return examine(self._config, about)

    async def sign_in(self) -> tuple[str, str]:
        """The scope of the workspace and the bot's id there, which a new token does not change. Raises WrongConfig."""
        me = await self._identity()
        return f"slack/{me.team}", me.user

    async def run(self, dispatcher: Dispatcher) -> None:
        """Serve until cancelled, then close within a few seconds.

        Replies that are still running may continue to edit afterwards. Raises WrongConfig when Slack permanently
        refuses the tokens; while Slack is unreachable, keeps trying.
        """
        try:
            me = await self._identity()
            tasks = TaskSupervisor()
            managers, patience = self._config.slack_managers, self._patience
            people = People(self._web, me, dispatcher.rate_limits, tasks.start, managers, patience)
            incoming_text = IncomingText(people, me.user, self._downloads.described)
            self._read_along(dispatcher, me, people, incoming_text)
            share_file = partial(share_privately, self._web, self._capabilities)
            # All processes know the token, and nobody else does.
            token = self._config.slack_bot_token
            form_key = hmac.digest(token.get_secret_value().encode() if token else b"", b"nebula form", "sha256")
            greetings = Greetings(dispatcher, me, self._capabilities, self._pane, self._open, tasks)
            listeners = Listeners(
                dispatcher,
                me,
                people,
                incoming_text,
                tasks,
                self._open,
                share_file,
                self._web.own_deletions,
                # the search comes later: by then there is a presence
                lambda seconds: presence.withheld(min(seconds, dispatcher.look_back)),
                form_key,
                greetings.opened,
                greetings.joined,
                self._eyes.sign,
            )
            collaborators = Collaborators(
                dispatcher,
                me,
                self._web,
                self._capabilities,
                people,
                incoming_text,
                tasks,
                share_file,
                patience,
                form_key,
            )
            commands = Commands(collaborators, self._open)
            button_presses, message_menus = ButtonPresses(collaborators), SlackMenus(collaborators)
            backfill = SlackBackfill(
                dispatcher, me, self._web, self._capabilities, self._limiter, listeners.accepts, listeners.question
            )
            presence = SlackPresence(dispatcher, f"slack/{me.team}", self.connection, backfill.look_back)
            app = self._app(me, listeners, commands, button_presses, message_menus)
            async with self._transport(app, presence), tasks.open(), presence.running():
                self.ready.set()
                log.info("Slack: connected as %s in %s", me.user, me.team)
                await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            self.ready.clear()
            await self._web.close()

    async def work(self, dispatcher: Dispatcher) -> None:
        """Show replies without listening for events, until cancelled."""
        try:
            me, tasks = await self._identity(), TaskSupervisor()
            managers, patience = self._config.slack_managers, self._patience
            people = People(self._web, me, dispatcher.rate_limits, tasks.start, managers, patience)
            async with tasks.open():
                self._read_along(dispatcher, me, people, IncomingText(people, me.user, self._downloads.described))
                await asyncio.get_running_loop().create_future()
        finally:
            await self._web.close()

    def _read_along(self, dispatcher: Dispatcher, me: Identity, people: People, incoming_text: IncomingText) -> None:
        """From now on, what was said around a question can be read."""
        replies, history = (
            CallBudget(dispatcher.rate_limits, f"slack/{me.team}/conversations.{each}", CALLS)
            for each in ("replies", "history")
        )
        self._surroundings = SlackSurroundings(
            self._web, me, people, incoming_text, self._capabilities, replies, history, self._patience
        )
        self._signed_in.set()

    async def _identity(self) -> Identity:
        """Ask Slack, once, whom the bot token belongs to, and which scopes it has."""
        if self._me:
            return self._me
        token = self._config.slack_bot_token
        # Over a session of its own: `run`, which closes the other one, may never come.
        web = Web(self._config.slack_api_url, token.get_secret_value() if token else "")
        try:
            answer = await self._patiently(web, web.client.auth_test, "SLACK_BOT_TOKEN", MEND_BOT_TOKEN)
        finally:
            await web.close()
        self._report = [identity(str(answer.get("team") or answer["team_id"]), str(answer.get("user") or ""))]
        if given := granted(answer):
            self._report += [each for each in scopes(given) if each.verdict is not Verdict.OK]
            self._capabilities.scopes = given
            for each in self._report if self._reported else ():
                if each.verdict is Verdict.BAD:
                    log.warning("Slack: %s; %s", each.text, each.mend)
            if SCOPES.keys() & FOR_HISTORY - given:
                log.info(
                    "Slack: the app can't read channel messages: it misses follow-ups, edits, deletions, and mentions "
                    "while offline"
                )
        self._capabilities.me, self._capabilities.name = str(answer["user_id"]), str(answer.get("user") or "")
        self._capabilities.url = str(answer.get("url") or "")
        enterprise = str(answer.get("enterprise_id") or "")
        bot = str(answer.get("bot_id") or "")
        self._eyes.scope = f"slack/{answer['team_id']}"
        self._me = Identity(str(answer["team_id"]), self._capabilities.me, bot, enterprise)
        return self._me

    async def _socket_address(self) -> str:
        """Ask Slack for a new Socket Mode address; the SDK itself would retry a refused token forever."""
        token = self._config.slack_app_token
        answer = await self._patiently(
            self._web,
            lambda: self._web.client.apps_connections_open(app_token=token.get_secret_value() if token else ""),
            "SLACK_APP_TOKEN",
            MEND_APP_TOKEN,
        )
        return str(answer["url"])

    async def _patiently(
        self, web: Web, call: Callable[[], Awaitable[AsyncSlackResponse]], variable: str, mend: str
    ) -> AsyncSlackResponse:
        """Retry a call for as long as Slack is unreachable. Raises WrongConfig if Slack refuses the token in
        `variable`, with its `mend`, or if there is no API at the address."""

        def waits(error: Exception, attempt: int) -> None:
            if attempt == 1 and isinstance(error, PlatformError):
                self._trouble = failed(error, variable, mend)
                log.warning("%s; %s. Trying again until it answers", self._trouble.text, self._trouble.mend)

        pauses = chain(_RETRY_SECONDS, repeat(_RETRY_SECONDS[-1]))
        try:
            answer = await retried(lambda: web.call(call()), pauses, failed=waits)
        except PlatformError as error:
            found = failed(error, variable, mend)
            raise WrongConfig((f"{found.text}: {found.mend}.",)) from error
        if self._trouble:
            self._trouble = None
            log.warning("Slack answers now")
        return answer

    def _app(
        self,
        me: Identity,
        listeners: Listeners,
        commands: Commands,
        button_presses: ButtonPresses,
        message_menus: SlackMenus,
    ) -> AsyncApp:
        """Create the Bolt app with our listeners; both transports use the same one."""
        token = self._config.slack_bot_token
        known = AuthorizeResult(
            enterprise_id=None,
            team_id=me.team,
            bot_token=token.get_secret_value() if token else "",
            bot_user_id=me.user,
            bot_id=me.bot or None,
        )

        async def authorize() -> AuthorizeResult:
            # By default Bolt calls auth.test for the first events, and drops them if that call fails. With
            # SLACK_CLIENT_ID and SLACK_CLIENT_SECRET set it would even look for installations on disk.
            return known

        app = AsyncApp(
            logger=sdk_log,
            name="nebula-bot",
            client=AsyncWebClient(base_url=self._config.slack_api_url, logger=sdk_log, retry_handlers=[]),
            authorize=authorize,
            request_verification_enabled=False,  # the transport has done it
            ignoring_self_events_enabled=False,  # somebody may delete one of our answers
        )
        app.middleware(listeners.event)
        app.command(_ANYTHING)(commands.slash)
        app.action(forms.OPEN)(commands.asked_for_form)
        app.action(buttons.PRESSED)(button_presses.pressed)
        app.action(buttons.RATED)(button_presses.rated)
        app.action(votes.ASKED)(button_presses.asked_why)
        app.view(forms.CALLBACK)(commands.submitted)
        app.view(votes.CALLBACK)(button_presses.explained)
        app.message_shortcut(ASK_ABOUT)(message_menus.ask)
        app.message_shortcut(SUMMARISE_THREAD)(message_menus.summarise)
        app.view(menus.CALLBACK)(message_menus.submitted)
        for anything_else in (app.action, app.view, app.shortcut, app.options):
            anything_else(_ANYTHING)(commands.ignored)
        return app

    @asynccontextmanager
    async def _transport(self, app: AsyncApp, presence: SlackPresence) -> AsyncIterator[None]:
        config = self._config
        if config.over_http:
            secret = config.slack_signing_secret.get_secret_value() if config.slack_signing_secret else ""
            async with transport.http(app, secret, config.slack_host, config.slack_port or 0):
                yield
            return
        token = config.slack_app_token.get_secret_value() if config.slack_app_token else ""
        first, client = await self._socket_address(), self._web.client
        sockets = transport.Sockets(
            app, client, token, first, config.slack_sockets, self._connections, presence.connected
        )
        async with sockets.open():
            yield
