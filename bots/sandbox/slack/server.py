"""A simulated Slack on loopback: one workspace with its Web API, Socket Mode, request URLs, people and limits."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp import web

from bots.sandbox.slack.delivery.deliverer import Deliverer, RequestUrl
from bots.sandbox.slack.delivery.events import SUBSCRIPTIONS, Events
from bots.sandbox.slack.delivery.socket import SlackSockets
from bots.sandbox.slack.methods.api import CONNECT, Api, Method
from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.methods.chat import Chat
from bots.sandbox.slack.methods.faults import SlackFaults
from bots.sandbox.slack.methods.files import Files
from bots.sandbox.slack.methods.info import Info
from bots.sandbox.slack.methods.limits import SLACK_LIMITS, SlackLimit, SlackLimiter
from bots.sandbox.slack.methods.response_urls import ResponseUrls
from bots.sandbox.slack.methods.streaming import Streams
from bots.sandbox.slack.methods.views import Views
from bots.sandbox.slack.people import SlackPeople
from bots.sandbox.slack.scenario import Crowd
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Delivery, Json, SlackCall, SlackMessage, View

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SlackServer(Crowd):
    """The server, as an async context manager. Ids name people, channels and messages.

    `app`: what the ids of the app end with, where several are in one workspace and each has a server of its own;
    `limits`: rate limits per method (limits.NO_SLACK_LIMITS for none); `scopes`: the app's scopes, None for all;
    `tells_scopes`: whether its answers name them, as Slack's do not always;
    `subscriptions`: the events it subscribes to; `ack_timeout`, `retry_delays`, the lifetimes of streams, of
    trigger_ids and of response_urls in seconds; `ack_growth`: see SlackSockets; `stream_cap` in UTF-8 bytes;
    `unknown_blocks`: types of blocks that this Slack refuses; `replaces`: see ResponseUrls.
    """

    def __init__(
        self,
        *,
        bot_name: str = "nebula",
        app: str = "NEBULA",
        limits: Mapping[str, SlackLimit] = SLACK_LIMITS,
        scopes: frozenset[str] | None = None,
        tells_scopes: bool = True,
        subscriptions: frozenset[str] = SUBSCRIPTIONS,
        ack_timeout: float = 3.0,
        ack_growth: float = 1.0,
        retry_delays: Sequence[float] = (0.0, 60.0, 300.0),
        stream_cap: int = 10_600,
        stream_lifetime: float = 300.0,
        trigger_seconds: float = 3.0,
        response_seconds: float = 1800.0,
        unknown_blocks: frozenset[str] = frozenset(),
        replaces: bool = True,
    ) -> None:
        self.bot_token = "xoxb-sandbox-bot"
        self.app_token = "xapp-sandbox-app"
        self.signing_secret = "sandbox-signing-secret"
        self.api_url = ""
        self.faults = SlackFaults()
        self._ws = ws = Workspace(bot_name, scopes, app)
        self.team, self.bot_user, self.bot_id = ws.team, ws.bot_user, ws.bot_id
        self._ack_timeout = ack_timeout
        self._sockets = SlackSockets(ws, ack_timeout, ack_growth)
        self._deliverer = Deliverer(ws, self._sockets, retry_delays)
        self._events = Events(ws, self._deliverer, subscriptions)
        self._streams = streams = Streams(ws, self._events, stream_cap, stream_lifetime)
        chat = Chat(ws, self._events, streams)
        info = Info(ws, self._events)
        self.files = Files(ws, self._events)
        views = Views(ws)
        self._responses = ResponseUrls(ws, chat, replaces=replaces)
        self._responses.seconds = response_seconds
        ws.trigger_seconds = trigger_seconds
        ws.tells_scopes = tells_scopes
        methods: dict[str, Method] = {CONNECT: self._connect, **chat.methods, **streams.methods, **info.methods}
        methods |= self.files.methods | views.methods
        tokens = {self.bot_token: False, self.app_token: True}
        self._limiter = SlackLimiter(limits)
        self._api = Api(ws, self.faults, self._limiter, methods, tokens, unknown_blocks)
        self._people = SlackPeople(ws, self._events, self._deliverer, self._responses, views, info, streams)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        app.router.add_get("/link/", self._faulty("socket", self._sockets.handle))
        app.router.add_post("/response/{address}", self._faulty("response_url", self._responses.handle))
        app.router.add_post("/upload/{file}", self._faulty("files.upload", self.files.upload))
        app.router.add_get("/files-pri/{file}/{name}", self._faulty("files.download", self._download))
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self._base = f"http://127.0.0.1:{port}"
        self.api_url = f"{self._base}/api/"
        self._events.base = self.files.base = self._responses.base = self._base
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._deliverer.background.close()
        finally:
            self._sockets.drop()
            await self._runner.cleanup()
            await self._session.close()

    # --- watching ---

    def messages(self, channel: str, thread: str | None = None) -> tuple[SlackMessage, ...]:
        """All messages of a channel, oldest first, or those of `thread`: the root and its replies."""
        found = self._ws.messages[channel].values() if thread is None else self._ws.thread(channel, thread)
        return tuple(found)

    def ephemerals(self, channel: str = "", user: str = "") -> tuple[SlackMessage, ...]:
        """The messages in a channel, "" for all, that only this person sees."""
        return tuple(m for m in self._ws.hidden if channel in ("", m.channel) and user in ("", m.only_for))

    def status(self, channel: str, thread: str) -> str:
        """The status shown in a thread, "" for none."""
        return self._ws.status(channel, thread)

    def title(self, channel: str, thread: str) -> str:
        """The title of a chat in the agent pane, "" for none."""
        return self._ws.titles.get((channel, thread), "")

    def suggestions(self, channel: str, thread: str = "") -> tuple[str, ...]:
        """What the app suggests to ask in its pane, or in one chat of Slack's older assistant."""
        return tuple(each["message"] for each in self._ws.suggestions.get((channel, thread), ()))

    @property
    def views(self) -> tuple[View, ...]:
        """The open modals and the App Homes, oldest first."""
        return tuple(self._ws.views.values())

    @property
    def limits(self) -> Mapping[str, SlackLimit]:
        """The rate limits in force, by method. They may be replaced at any time; earlier calls still count."""
        return self._limiter.table

    @limits.setter
    def limits(self, limits: Mapping[str, SlackLimit]) -> None:
        self._limiter.table = dict(limits)

    @property
    def calls(self) -> tuple[SlackCall, ...]:
        """All calls of the Web API until now."""
        return tuple(self._ws.calls)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """All attempts to deliver something to the app that have ended."""
        return tuple(self._ws.deliveries)

    @property
    def pending(self) -> int:
        """The number of events that are neither acknowledged nor given up."""
        return self._deliverer.open

    @property
    def sockets(self) -> int:
        """The number of open Socket Mode connections."""
        return self._sockets.count

    async def until(self, predicate: Callable[[], T], timeout: float = 120.0) -> T:
        """Return the first true value of the predicate, which is checked after every change. Raises TimeoutError after
        `timeout` seconds."""
        return await self._ws.until(predicate, timeout)

    def backdate(self, seconds: float) -> None:
        """Date all further messages this many seconds back, but never before an earlier message."""
        self._ws.ago = seconds

    # --- transport and its faults ---

    def deliver_to(self, url: str) -> None:
        """Use HTTP mode: POST everything to this URL, signed, from now on. "" returns to Socket Mode."""
        self._deliverer.http = RequestUrl(url, self.signing_secret, self._session, self._ack_timeout) if url else None

    async def deliver(self, kind: str, payload: Json) -> str:
        """Deliver any payload once, also one that Slack would not send; returns why the app did not acknowledge it, or
        "". `kind`: see Delivery."""
        return (await self._deliverer.ask(kind, "forged", payload)).problem

    async def verify_url(self) -> bool:
        """Perform the url_verification handshake with the request URL."""
        return self._deliverer.http is not None and await self._deliverer.http.verify()

    def redeliver(self, copies: int) -> None:
        """Deliver every later event this many more times, acknowledged or not; 0 ends this."""
        self._deliverer.redeliveries = copies

    def expire_acknowledgements(self) -> None:
        """Let the time for every outstanding acknowledgement on a socket run out, so that Slack redelivers the
        events."""
        self._sockets.give_up()

    def end_streams(self) -> None:
        """End all open streams, as Slack does when their lifetime is over."""
        self._streams.end_all()

    async def disconnect_sockets(self, reason: str = "refresh_requested", *, most: int = 10) -> None:
        """Ask `most` sockets to reconnect: warning, refresh_requested or link_disabled."""
        await self._sockets.disconnect(reason, most)

    def mute_sockets(self) -> None:
        """Answer nothing over the open sockets from now on, like a peer that lost its network."""
        self._sockets.mute()

    def drop_sockets(self) -> None:
        """Cut every socket without a close frame."""
        self._sockets.drop()

    def _connect(self, args: Args) -> Json:
        return {
            "url": f"{self._base.replace('http', 'ws')}/link/?ticket={self._sockets.ticket()}&app_id={self._ws.app_id}"
        }

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self.files.download(request, self.bot_token)

    def _faulty(self, name: str, serve: Handler) -> Handler:
        """Serve a request outside the Web API, with the latency and the faults of this name."""

        async def handle(request: web.Request) -> web.StreamResponse:
            fault = await self._api.delay(name)
            answer = self._api.fault_response(fault) if fault.refuses else await serve(request)
            await self._api.finish(fault, request)
            return answer

        return handle
