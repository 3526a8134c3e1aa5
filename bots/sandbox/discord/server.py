"""The sandbox's Discord: a server on loopback that speaks REST v10 and the gateway as Discord documents them."""

import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from types import TracebackType
from typing import Self

from aiohttp import web

from bots.sandbox.discord.commands import Commands
from bots.sandbox.discord.faults import Faults
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.interactions import Interactions
from bots.sandbox.discord.limits import OBSERVED, OFF, Limiter, Limits
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.people import People
from bots.sandbox.discord.rest import PREFIX, Rest
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.state import World
from bots.sandbox.discord.values import Call, User
from bots.sandbox.discord.wire import Wire

MAX_REQUEST = 25 * 1024 * 1024  # bytes (reference#uploading-files)


class DiscordServer(People):
    """An asynchronous context manager: inside it the server listens on a free port of 127.0.0.1.

    `limits` are the rate limits, None for none. `privileged` are the intents that the app was granted.
    `interaction_deadline` and `interaction_lifetime` are in seconds: how long an interaction waits for its first
    answer, and how long its token lives. Whether a mention of the bot's role alone lets an app without the content
    intent read a message is not documented; `role_mention_unlocks` chooses. `clock`: by which the limits' windows end.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = OBSERVED,
        privileged: Intent = Intent.NONE,
        interaction_deadline: float = 3.0,
        interaction_lifetime: float = 900.0,
        role_mention_unlocks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        world = World()
        self.application_id = world.new_id()
        self.token = f"{b64encode(world.bot.id.encode()).decode()}.sandbx.{token_urlsafe(28)}"
        self.api_url = ""
        self.gateway_url = ""
        self.faults = Faults()
        self._limiter = Limiter(limits or OFF, clock)
        wire = Wire(world, self.application_id, role_mention_unlocks=role_mention_unlocks)
        gateway = Gateway(world, wire, self.token, privileged)
        messages = Messages(world, wire, gateway)
        routes = Routes(world, wire, gateway, messages, self._limiter, privileged)
        commands = Commands(world, wire, self.application_id)
        interactions = Interactions(world, wire, gateway, messages, self.application_id)
        interactions.deadline, interactions.lifetime = interaction_deadline, interaction_lifetime
        super().__init__(world, wire, gateway, messages, routes, commands, interactions)
        self._rest = Rest(world, self.token, self._limiter, self.faults)
        self._stack = AsyncExitStack()

    @property
    def bot_user(self) -> User:
        """The bot."""
        return self._world.bot

    @property
    def calls(self) -> tuple[Call, ...]:
        """All REST requests, in the order they were answered."""
        return tuple(self._rest.calls)

    @property
    def invalid_requests(self) -> int:
        """Answers with 401, 403 or 429: Discord bans an address that gets 10,000 in ten minutes."""
        return self._rest.invalid

    @property
    def limits(self) -> Limits:
        """The rate limits in force; may be replaced while running (None: no limits)."""
        return self._limiter.limits

    @limits.setter
    def limits(self, limits: Limits | None) -> None:
        self._limiter.limits = limits or OFF

    @property
    def interaction_lifetime(self) -> float:
        """How long the token of an interaction lives; when it is shortened, those that are older end."""
        return self.interactions.lifetime

    @interaction_lifetime.setter
    def interaction_lifetime(self, seconds: float) -> None:
        self.interactions.lifetime = seconds

    @property
    def latency(self) -> float:
        """Seconds of a round trip: a request takes half before it is applied, its answer half; an event takes half."""
        return self._rest.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._rest.latency = seconds
        self.gateway.latency = seconds / 2

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_get("/", self.gateway.handle)
        self._rest.add(app, [*self._routes.endpoints(), *self.commands.endpoints(), *self.interactions.endpoints()])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        self._stack.callback(self._world.close)
        self._stack.callback(self.gateway.drop, code=1001)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        self.api_url = f"http://127.0.0.1:{port}{PREFIX}"
        self.gateway_url = self.gateway.url = f"ws://127.0.0.1:{port}/"
        self._messages.files_url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
