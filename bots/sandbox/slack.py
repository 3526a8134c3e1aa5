"""A Slack of our own on loopback: one workspace with its Web API, Socket Mode, request URLs, people and limits."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp import web

from bots.sandbox.faults import Faults
from bots.sandbox.slack_api import CONNECT, Api, Method
from bots.sandbox.slack_args import Args
from bots.sandbox.slack_chat import Chat
from bots.sandbox.slack_delivery import Deliverer, Http
from bots.sandbox.slack_events import SUBSCRIPTIONS, Events
from bots.sandbox.slack_files import Files
from bots.sandbox.slack_info import Info
from bots.sandbox.slack_limits import REAL, Limit, Limiter
from bots.sandbox.slack_people import Answer, People, Submission
from bots.sandbox.slack_response import Responses
from bots.sandbox.slack_socket import Sockets
from bots.sandbox.slack_state import Workspace
from bots.sandbox.slack_stream import Streams
from bots.sandbox.slack_values import Call, Channel, Delivery, File, Json, Message, Person, View
from bots.sandbox.slack_views import Views

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SlackServer:
    """The server, as an async context manager. People, channels and messages are named by their ids.

    `limits`: rate limits per method (slack_limits.OFF for none); `scopes`: the app's scopes, None for all;
    `subscriptions`: the events it subscribes to; `ack_timeout`, `retry_delays`, the lifetimes of streams,
    of trigger_ids and of response_urls in seconds; `stream_cap` in UTF-8 bytes; `unknown_blocks`: the types of blocks
    that this Slack does not know.
    """

    def __init__(
        self,
        *,
        bot_name: str = "nebula",
        limits: Mapping[str, Limit] = REAL,
        scopes: frozenset[str] | None = None,
        subscriptions: frozenset[str] = SUBSCRIPTIONS,
        ack_timeout: float = 3.0,
        retry_delays: Sequence[float] = (0.0, 60.0, 300.0),
        stream_cap: int = 10_600,
        stream_lifetime: float = 300.0,
        trigger_seconds: float = 3.0,
        response_seconds: float = 1800.0,
        unknown_blocks: frozenset[str] = frozenset(),
    ) -> None:
        self.bot_token = "xoxb-sandbox-bot"
        self.app_token = "xapp-sandbox-app"
        self.signing_secret = "sandbox-signing-secret"
        self.api_url = ""
        self.faults = Faults()
        self._ws = ws = Workspace(bot_name, scopes)
        self.team, self.bot_user, self.bot_id = ws.team, ws.bot_user, ws.bot_id
        self._ack_timeout = ack_timeout
        self._sockets = Sockets(ws, ack_timeout)
        self._deliverer = Deliverer(ws, self._sockets, retry_delays)
        self._events = Events(ws, self._deliverer, subscriptions)
        streams = Streams(ws, self._events, stream_cap, stream_lifetime)
        chat = Chat(ws, self._events, streams)
        info = Info(ws, self._events)
        self._files = Files(ws, self._events)
        views = Views(ws)
        self._responses = Responses(ws, chat)
        self._responses.seconds = response_seconds
        ws.trigger_seconds = trigger_seconds
        methods: dict[str, Method] = {CONNECT: self._connect, **chat.methods, **streams.methods, **info.methods}
        methods |= self._files.methods | views.methods
        tokens = {self.bot_token: False, self.app_token: True}
        self._limiter = Limiter(limits)
        self._api = Api(ws, self.faults, self._limiter, methods, tokens, unknown_blocks)
        self._people = People(ws, self._events, self._deliverer, self._responses, views, info, streams)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        app.router.add_get("/link/", self._sockets.handle)
        app.router.add_post("/response/{address}", self._faulty("response_url", self._responses.handle))
        app.router.add_post("/upload/{file}", self._faulty("files.upload", self._files.upload))
        app.router.add_get("/files-pri/{file}/{name}", self._faulty("files.download", self._download))
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self._base = f"http://127.0.0.1:{port}"
        self.api_url = f"{self._base}/api/"
        self._events.base = self._files.base = self._responses.base = self._base
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

    # --- people and places ---

    def add_user(self, name: str, *, admin: bool = False, owner: bool = False) -> str:
        """Somebody joins the workspace; returns their id."""
        return self._ws.add_person(Person(self._ws.new_id("U"), name, admin, owner))

    def add_bot(self, name: str) -> str:
        """Another app's bot joins the workspace; returns its user id."""
        return self._ws.add_person(Person(self._ws.new_id("U"), name, bot_id=self._ws.new_id("B")))

    def add_channel(self, name: str, creator: str, *, private: bool = False, bot_in: bool = True) -> str:
        """Everybody is in the new channel; our bot with `bot_in`."""
        members = frozenset(self._ws.people) - (frozenset() if bot_in else {self.bot_user})
        kind = "group" if private else "channel"
        return self._ws.add_channel(Channel(self._ws.new_id("C"), name, kind, creator, members))

    def open_dm(self, user: str) -> str:
        """The direct message between somebody and the bot."""
        return self._ws.open_im(user)

    def add_group_dm(self, users: Iterable[str]) -> str:
        """A group message of these people and the bot."""
        return self._ws.open_group([self.bot_user, *users])

    def join(self, user: str, channel: str) -> None:
        """Somebody, or our bot, enters a channel."""
        self._people.join(user, channel)

    def user(self, user: str) -> Person:
        """Who this is."""
        return self._ws.people[user]

    def channel(self, channel: str) -> Channel:
        """What channel this is."""
        return self._ws.channels[channel]

    # --- what people do ---

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        thread: str = "",
        *,
        files: Iterable[File] = (),
        edited: bool = False,
        client_msg_id: str = "",
        as_both: bool = True,
        mention_first: bool = True,
        dm_mention: bool = False,
    ) -> Message:
        """Somebody writes; the text is as typed (`@nebula hi`), `thread` is the ts of the root.

        `as_both` also sends message.* for a mention in a channel, before app_mention unless `mention_first`.
        """
        stamp = self._ws.new_ts() if edited else ""
        fresh = Message("", channel, user, thread_ts=thread, client_msg_id=client_msg_id, edited=stamp)
        return self._people.say(fresh, text, files, as_both, mention_first, dm_mention)

    async def bot_says(self, bot: str, channel: str, text: str, thread: str = "") -> Message:
        """Another bot (see `add_bot`) writes: bot_id and subtype bot_message."""
        bot_id = self._ws.person(bot).bot_id
        fresh = Message("", channel, bot, bot_id, thread_ts=thread, subtype="bot_message")
        return self._people.say(fresh, text, (), True, True, False)

    async def edit(self, user: str, channel: str, ts: str, text: str) -> Message:
        """Somebody changes their own message: message_changed, and app_mention again when it names the bot."""
        return self._people.edit(user, channel, ts, text)

    async def delete(self, user: str, channel: str, ts: str) -> None:
        """Somebody deletes their own message: message_deleted."""
        self._people.delete(user, channel, ts)

    async def react(self, user: str, message: Message, name: str) -> None:
        """Somebody puts a reaction on a message."""
        self._people.react(user, message, name)

    async def open_home(self, user: str, tab: str = "home") -> None:
        """Somebody looks at the app's tab home or messages."""
        self._people.open_home(user, tab)

    async def stop_stream(self, user: str, message: Message) -> None:
        """Somebody stops a streaming reply (later appends get stopped_by_user), or the one to come under a message."""
        self._people.stop_stream(user, message)

    async def slash(self, user: str, channel: str, command: str, text: str) -> Answer:
        """Somebody uses a slash command; returns when it was acknowledged, or after `ack_timeout`."""
        return await self._people.slash(user, channel, command, text)

    async def press(self, user: str, message: Message, action_id: str, value: str = "") -> Answer:
        """Somebody uses a button, or chooses the option with this value."""
        return await self._people.press(user, message, action_id, value)

    async def submit(self, user: str, view: View, values: Mapping[str, str]) -> Submission:
        """Somebody fills in a modal, values by action_id, and submits it."""
        return await self._people.submit(user, view, values)

    # --- watching ---

    def messages(self, channel: str, thread: str | None = None) -> tuple[Message, ...]:
        """All messages of a channel, oldest first; with `thread` that root and its replies."""
        found = self._ws.messages[channel].values() if thread is None else self._ws.thread(channel, thread)
        return tuple(found)

    def ephemerals(self, channel: str, user: str = "") -> tuple[Message, ...]:
        """The messages in a channel that one person sees alone."""
        return tuple(m for m in self._ws.hidden if m.channel == channel and user in ("", m.only_for))

    def status(self, channel: str, thread: str) -> str:
        """The status shown in a thread, "" for none."""
        return self._ws.status(channel, thread)

    @property
    def views(self) -> tuple[View, ...]:
        """The open modals and the App Homes, oldest first."""
        return tuple(self._ws.views.values())

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The rate limits in force, by method; may be replaced while running, calls made until then count on."""
        return self._limiter.table

    @limits.setter
    def limits(self, limits: Mapping[str, Limit]) -> None:
        self._limiter.table = dict(limits)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call of the Web API so far."""
        return tuple(self._ws.calls)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every settled attempt to hand something to the app."""
        return tuple(self._ws.deliveries)

    @property
    def pending(self) -> int:
        """Events that are not settled: neither acknowledged nor given up."""
        return self._deliverer.open

    @property
    def sockets(self) -> int:
        """Open Socket Mode connections."""
        return self._sockets.count

    async def until(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """The first true value of the predicate, looked at after every change. Raises TimeoutError (seconds)."""
        return await self._ws.until(predicate, timeout)

    # --- transport and its faults ---

    def deliver_to(self, url: str) -> None:
        """HTTP mode: from now on everything is POSTed here, signed; "" goes back to Socket Mode."""
        self._deliverer.http = Http(url, self.signing_secret, self._session, self._ack_timeout) if url else None

    async def verify_url(self) -> bool:
        """The url_verification handshake with the request URL."""
        return self._deliverer.http is not None and await self._deliverer.http.verify()

    def redeliver(self, copies: int) -> None:
        """Deliver every event this many more times, acknowledged or not; 0 stops it."""
        self._deliverer.redeliveries = copies

    async def disconnect_sockets(self, reason: str = "refresh_requested") -> None:
        """Ask every socket to reconnect: warning, refresh_requested or link_disabled."""
        await self._sockets.disconnect(reason)

    def drop_sockets(self) -> None:
        """Cut every socket without a word."""
        self._sockets.drop()

    def _connect(self, args: Args) -> Json:
        return {
            "url": f"{self._base.replace('http', 'ws')}/link/?ticket={self._sockets.ticket()}&app_id={self._ws.app_id}"
        }

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self._files.download(request, self.bot_token)

    def _faulty(self, name: str, serve: Handler) -> Handler:
        """A request that is no call of the Web API, with the latency and the faults of this name."""

        async def handle(request: web.Request) -> web.StreamResponse:
            fault = await self._api.delay(name)
            answer = self._api.spoiled(fault) if fault.refuses else await serve(request)
            await self._api.finish(fault, request)
            return answer

        return handle
