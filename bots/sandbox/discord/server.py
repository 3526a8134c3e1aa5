"""A simulated Discord on loopback, with REST v10 and the gateway as Discord documents them."""

import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from types import TracebackType
from typing import Self

from aiohttp import web

from bots.sandbox.discord.commands import DiscordCommands
from bots.sandbox.discord.faults import DiscordFaults
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.interactions import DiscordInteractions
from bots.sandbox.discord.limits import DISCORD_LIMITS, NO_DISCORD_LIMITS, DiscordLimiter, DiscordLimits
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.people import DiscordPeople
from bots.sandbox.discord.rest import PREFIX, DiscordRest
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.cdn import Cdn
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.values import DiscordCall, DiscordUser, Portal
from bots.sandbox.discord.world.wire import DiscordWire

MAX_REQUEST = 25 * 1024 * 1024  # bytes (reference#uploading-files)


class DiscordServer(DiscordPeople):
    """An asynchronous context manager: inside it the server listens on a free port of 127.0.0.1.

    `limits` are the rate limits, None for none. `privileged` are the intents that the app was granted.
    `interaction_deadline` and `interaction_lifetime` are in seconds: how long an interaction waits for its first
    answer, and how long its token lives. Whether a mention of the bot's role alone lets an app without the content
    intent read a message is not documented; `role_mention_unlocks` chooses. `clock`: ends the windows of the limits.
    """

    def __init__(
        self,
        *,
        limits: DiscordLimits | None = DISCORD_LIMITS,
        privileged: Intent = Intent.NONE,
        interaction_deadline: float = 3.0,
        interaction_lifetime: float = 900.0,
        role_mention_unlocks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        world = DiscordWorld()
        self.application_id = world.new_id()
        self.token = f"{b64encode(world.bot.id.encode()).decode()}.sandbx.{token_urlsafe(28)}"
        self.api_url = ""
        self.gateway_url = ""
        self.faults = DiscordFaults()
        self._limiter = DiscordLimiter(limits or NO_DISCORD_LIMITS, clock)
        self.cdn = Cdn(world)
        wire = DiscordWire(world, self.cdn, self.application_id, role_mention_unlocks=role_mention_unlocks)
        self.portal: Portal = wire.portal
        gateway = Gateway(world, wire, self.token, privileged)
        messages = Messages(world, wire, gateway, self.cdn)
        routes = Routes(world, wire, gateway, messages, self._limiter, privileged)
        commands = DiscordCommands(world, wire, self.cdn, self.application_id)
        interactions = DiscordInteractions(world, wire, gateway, messages, commands, self.application_id)
        interactions.deadline, interactions.lifetime = interaction_deadline, interaction_lifetime
        super().__init__(world, wire, gateway, messages, routes, commands, interactions)
        self._rest = DiscordRest(world, self.cdn, self.token, self._limiter, self.faults)
        self._stack = AsyncExitStack()

    @property
    def bot_user(self) -> DiscordUser:
        """The bot."""
        return self._world.bot

    @property
    def calls(self) -> tuple[DiscordCall, ...]:
        """All REST requests, in the order of their answers."""
        return tuple(self._rest.calls)

    @property
    def invalid_requests(self) -> int:
        """Answers with 401, 403 or 429: Discord bans an address that gets 10,000 in ten minutes."""
        return self._rest.invalid

    @property
    def limits(self) -> DiscordLimits:
        """The rate limits in force. They may be replaced at any time (None: no limits)."""
        return self._limiter.limits

    @limits.setter
    def limits(self, limits: DiscordLimits | None) -> None:
        self._limiter.limits = limits or NO_DISCORD_LIMITS

    @property
    def privileged(self) -> Intent:
        """The intents that are switched on in the developer portal. A change closes no session, as on Discord."""
        return self._routes.privileged

    @privileged.setter
    def privileged(self, intents: Intent) -> None:
        self._routes.privileged = self.gateway.privileged = intents

    @property
    def user_install(self) -> bool:
        """Whether User Install is switched on in the developer portal."""
        return self._world.user_install

    @user_install.setter
    def user_install(self, on: bool) -> None:
        self._world.user_install = on

    @property
    def interaction_lifetime(self) -> float:
        """How many seconds the token of an interaction lives. Shortening it ends the tokens that are older."""
        return self.interactions.lifetime

    @interaction_lifetime.setter
    def interaction_lifetime(self, seconds: float) -> None:
        self.interactions.lifetime = seconds

    @property
    def latency(self) -> float:
        """Seconds of a round trip: half of it before a request is applied, half for its answer; half of it for an
        event."""
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
        self.cdn.base = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
