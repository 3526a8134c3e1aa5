"""Discord as a platform: logs in, serves until cancelled, and opens the surfaces of replies."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace

import aiohttp
import discord
from discord.backoff import ExponentialBackoff
from yarl import URL

from bots.adapter import Examination
from bots.discord.api.connection import connection_of
from bots.discord.api.http import Http
from bots.discord.api.library_log import in_one_sentence
from bots.discord.api.limits import LIMITS, Limits
from bots.discord.api.names import NAME
from bots.discord.api.private_api import hide_voice_warnings, request_content, use_addresses
from bots.discord.api.rest import Rest
from bots.discord.api.shards import IdentifyQueue, Shard, shards_of
from bots.discord.components.commands import register
from bots.discord.config import DiscordConfig
from bots.discord.examine import MEND_TOKEN, content, examine, failed, public, servers, unreachable
from bots.discord.inbound.client import GatewayClient
from bots.discord.inbound.interactions import ANSWER_SECONDS
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.outbound.channel_surface import ChannelSurface
from bots.discord.outbound.interaction_surface import InteractionSurface
from bots.discord.outbound.reactions import SIGN, Reactions
from bots.discord.outbound.titles import rename
from bots.discord.permissions import invite_url
from bots.discord.room.files import FileFetcher
from bots.discord.room.reader import Reader
from bots.discord.room.said import GuildView
from core.domain.conversation import Address, Attachment, Place
from core.domain.errors import PlatformError
from core.domain.options import Memory, Placement, PlatformDefaults, Switch
from core.domain.ports import Connection, Surface
from core.domain.question import Question
from core.domain.retry import backoff, retried
from core.domain.surroundings import Reach, Surroundings
from core.finding import Finding
from core.inbound.dispatcher import Dispatcher
from core.ratelimit.limiter import RateLimiter
from core.settings.environment import WrongConfig

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
# The shortest and the longest pause between attempts to connect. Discord resets the token of a bot that signs in
# 1000 times a day (docs.discord.com, Gateway, Identifying).
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 120.0
# Close codes after which another attempt would fail too (docs.discord.com, Gateway Close Event Codes).
_REFUSALS = {
    4004: f"Discord refuses DISCORD_TOKEN: {MEND_TOKEN}.",
    4010: "Discord refuses the shards in DISCORD_SHARDS: write them like 0-3/8, and count from 0.",
    4011: (
        "This bot is in so many servers that Discord requires several connections: set DISCORD_SHARDS, for example "
        "to 0-1/2 (the shards 0 and 1 of 2, in this process)."
    ),
    4012: "Discord no longer supports the gateway version that this bot uses: install a newer version of the bot.",
    4013: "Discord refuses the intents of this bot, which is too old for Discord's gateway: install a newer version.",
    4014: "Discord refuses the intents of this bot: check Bot → Privileged Gateway Intents in the developer portal.",
}


def may_have_content(client: discord.Client) -> bool:
    """Whether the application has the Message Content intent: approved, or switched on in the portal. Known after the
    login (docs.discord.com, Application Flags)."""
    flags = client.application_flags
    return bool(flags) and (flags.gateway_message_content or flags.gateway_message_content_limited)


class NeverConnected(Exception):
    """A client's first handshake failed; the message says why."""


class Discord:
    """Implements `bots.adapter.Adapter`. `ready` is set once the gateway has sent the guilds."""

    name = NAME
    defaults = PlatformDefaults(memory=Memory.THREAD, replies=Placement.CHANNEL, roaming=True, workspace="server")

    def __init__(
        self, config: DiscordConfig, *, limits: Limits = LIMITS, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """`limits`: Discord's rate limits. `answer_seconds`: how long a command may take before it is deferred."""
        self._config, self._limits, self._answer_seconds = config, limits, answer_seconds
        self._managers = frozenset(config.discord_managers)
        self._user_install = config.discord_user_install is Switch.ON
        self._token = config.discord_token.get_secret_value().strip() if config.discord_token else ""
        self._gateway = URL(config.discord_gateway_url)
        base = config.discord_api_url.rstrip("/")
        self._base, self._http = base, Http(base, self._token, limits)
        self._rest = Rest(self._http, limits)
        self._reactions, self._reader = Reactions(self._rest, limits), Reader(self._rest)
        self._files = FileFetcher(self._rest, base)
        self._own_id = ""
        self._trouble: Finding | None = None  # why there is no connection
        self._without_content = False  # Discord refused the intent, whatever the flags say
        self._shards = shards_of(config.discord_shards)
        self._clients: dict[Shard, GatewayClient] = {}  # the newest client of each shard
        self._ordering, self._queue = ArrivalOrder(), IdentifyQueue(len(self._shards))
        self.ready = asyncio.Event()

    def report(self, about: Examination) -> Sequence[Finding]:
        """In how many servers the bot is, what Discord shows it, and who may add it, or why it is not connected."""
        clients = [each for each in self._clients.values() if each.application and each.signed_in.is_set()]
        if not clients:
            return [self._trouble] if self._trouble else []
        first, application = clients[0], clients[0].application
        assert application
        found = [
            servers(sum(len(each.guilds) for each in clients), str(first.user), application.id),
            content(may_have_content(first) and not self._without_content),
        ]
        return found + ([public()] if application.bot_public and about.open else [])

    def examine(self, about: Examination) -> AsyncGenerator[Finding, None]:
        """Look at everything; see `bots.discord.examine`."""
        return examine(self._config, about)

    def share(self, limiter: RateLimiter) -> None:
        """Count what is shown beside replies with them."""
        self._rest.limiter = limiter

    def open(self, address: Address) -> Surface:
        # A private answer must not appear in the channel, even if its token was lost before the first word.
        kind = InteractionSurface if address.interaction or address.private else ChannelSurface
        surface = kind(self._rest, address, self._reactions, self._limits)
        surface.own_name = self._own_name(address.place.workspace)
        return surface

    def chat(self, address: Address) -> str:
        """The thread that the reply to this address opened, under its question; a direct message has none."""
        place, opens = address.place, address.placement is Placement.THREAD
        return address.message if opens and not (place.thread or place.direct or address.interaction) else ""

    async def entitle(self, address: Address, title: str, *, begun: bool = False) -> None:
        if not begun:  # a thread is called by the first words from its beginning
            await rename(self._rest, address.place.channel, address.message, title, self._view(address.place).own)

    async def surroundings(self, question: Question, reach: Reach) -> Surroundings:
        """What was said around a question, as far as Discord told it in time; never raises."""
        return await self._reader.surroundings(question, reach, self._view(question.place))

    async def channel_name(self, place: Place) -> str:
        """The name of a channel, as far as the connections know it."""
        guild = self._guild(place.workspace)
        channel = guild.get_channel(int(place.channel)) if guild and place.channel.isdigit() else None
        return channel.name if channel else ""

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        """The content of a file, at most `most` bytes of it.

        Raises PlatformError: TooLong if it is larger, Forbidden if we may not read it, Gone if it was deleted,
        Unreachable. Whoever calls it gives it a deadline.
        """
        return await self._files.fetch(attachment, most)

    def _view(self, place: Place) -> GuildView:
        """What the connections know of a place."""
        client = next((each for each in self._clients.values() if each.user), None)
        own = self._own_id or (str(client.user.id) if client and client.user else "")
        content = may_have_content(client) if client else None
        guild = self._guild(place.workspace)
        view = GuildView.of(own, guild, content)
        if guild is None:
            return view
        channel = guild.get_channel(int(place.channel))
        return replace(
            view,
            history=channel.permissions_for(guild.me).read_message_history if channel else None,
            forum=isinstance(channel, discord.ForumChannel) if channel else None,
        )

    def _own_name(self, guild: str) -> str:
        """The bot's name in a guild, "" without a connection."""
        if found := self._guild(guild):
            return found.me.display_name
        names = (client.user.display_name for client in self._clients.values() if client.user)
        return next(names, "")

    def _guild(self, guild: str) -> discord.Guild | None:
        """A guild as the gateway sent it; None if it is not known, or is none."""
        found = (client.get_guild(int(guild)) for client in self._clients.values() if guild.isdigit())
        return next((each for each in found if each), None)

    def connection(self) -> Connection:
        """The state of the gateway connection; not up before the gateway has sent the guilds."""
        return connection_of(self._clients.values()) if self.ready.is_set() else Connection(False)

    async def sign_in(self) -> tuple[str, str]:
        """The scope in which the bot is alone with its id, and this id, which a new token does not change.

        Retries for as long as Discord is out of reach. Raises WrongConfig if Discord refuses the token.
        """

        def waits(error: Exception, attempt: int) -> None:
            if attempt == 1 and isinstance(error, PlatformError):
                self._away(failed(error))

        async with self._http.open():
            try:
                me = await retried(
                    lambda: self._http.call("GET", "/users/@me"),
                    backoff(RETRY_SECONDS, LONGEST_RETRY_SECONDS),
                    failed=waits,
                )
            except PlatformError as error:
                found = failed(error)
                raise WrongConfig((f"{found.text}: {found.mend}.",)) from None
        self._back()
        self._own_id = str(me["id"])
        return NAME, self._own_id

    def _away(self, why: Finding) -> None:
        self._trouble = why
        log.warning("%s; %s. Trying again until it answers", why.text, why.mend)

    def _back(self) -> None:
        if self._trouble:
            self._trouble = None
            log.warning("Discord answers now")

    async def run(self, dispatcher: Dispatcher) -> None:
        """Serve until cancelled, then leave the gateway within CLOSE_SECONDS.

        Raises WrongConfig if Discord refuses the token or the intents. Connection failures are retried.
        """
        use_addresses(self._base, self._gateway)
        hide_voice_warnings()
        async with self._http.open():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._reactions.run())
                    for shard in self._shards:
                        group.create_task(self._stay_connected(dispatcher, shard))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                self._ordering.close()

    async def work(self, dispatcher: Dispatcher) -> None:
        """Show replies without listening for events, until cancelled."""
        async with self._http.open():
            await self._reactions.run()

    async def _stay_connected(self, dispatcher: Dispatcher, shard: Shard) -> None:
        """Stay connected: connect again after each failure. Raises WrongConfig."""
        backoff, told = ExponentialBackoff(), set[str]()
        while True:
            try:
                await self._serve(dispatcher, shard)
                reason = "the gateway closed the connection"
            except discord.LoginFailure:
                raise WrongConfig((_REFUSALS[4004],)) from None
            except discord.PrivilegedIntentsRequired:
                if not self._clients[shard].intents.message_content:
                    raise WrongConfig((_REFUSALS[4014],)) from None
                self._without_content, reason = True, "the Message Content intent is off now"
            except discord.ConnectionClosed as error:
                if error.code in _REFUSALS:
                    raise WrongConfig((_REFUSALS[error.code],)) from None
                reason = f"the gateway closed the connection with code {error.code}"
            except NeverConnected as error:
                reason = str(error)
            except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = type(error).__name__
            except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
                # discord.py raises these for events that it can't read.
                log.debug("discord.py failed", exc_info=error)
                reason = f"{type(error).__name__} in discord.py"
            wait = min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * (1 + backoff.delay()))
            if self._clients[shard].signed_in.is_set():
                told.clear()  # it was connected since
            if reason not in told:
                told.add(reason)
                self._away(unreachable(reason))
            await asyncio.sleep(wait)

    async def _serve(self, dispatcher: Dispatcher, shard: Shard) -> None:
        """Run one client from its login to its end."""
        client = GatewayClient(
            dispatcher,
            self._http,
            self._ordering,
            self._managers,
            shard,
            self._queue,
            self._reader,
            lambda channel, message: self._reactions.add(channel, message, SIGN),
            self._answer_seconds,
            user_install=self._user_install,
        )
        self._clients[shard] = client
        with in_one_sentence(client) as reconnects:
            try:
                await client.login(self._token)
                if may_have_content(client) and not self._without_content:
                    request_content(client)
                await self._queue.wait(client)
                async with asyncio.TaskGroup() as group:
                    helpers = [
                        group.create_task(self._announce(client, shard)),
                        group.create_task(client.backfill.run()),
                    ]
                    if shard.first:
                        commands = register(self._http, str(client.application_id), user_install=self._user_install)
                        helpers.append(group.create_task(commands))
                    await _until_done(group.create_task(client.connect()))
                    for task in helpers:
                        task.cancel()
            except BaseExceptionGroup as failures:
                if reconnects.cause and not reconnects.connected:
                    raise NeverConnected(reconnects.cause) from None
                raise failures.exceptions[0] from None
            finally:
                self._queue.done(client)
                await _close(client)

    async def _announce(self, client: GatewayClient, shard: Shard) -> None:
        await client.signed_in.wait()
        self._back()
        if all((each := self._clients.get(one)) and each.signed_in.is_set() for one in self._shards):
            self.ready.set()
        servers, part = len(client.guilds), f", shard {shard.id} of {shard.count}" if shard.count else ""
        log.info("on Discord as %s, in %d server%s%s", client.user, servers, "s" * (servers != 1), part)
        if shard.first:
            log.info("to add the bot to a server, open %s", invite_url(client.application_id or 0))


async def _until_done(connected: asyncio.Task[None]) -> None:
    """Wait for the connection to end; if cancelled, make sure that it ends.

    discord.py waits with asyncio.wait_for, which before Python 3.12 may swallow a cancellation at the moment of success
    (github.com/python/cpython, issue 86296): the cancelled task would then run for ever.
    """
    try:
        await asyncio.wait({connected})
    finally:
        while not connected.done():
            connected.cancel()
            await asyncio.wait({connected}, timeout=CLOSE_SECONDS / 6)


async def _close(client: GatewayClient) -> None:
    """Leave the gateway with code 1000, so that the bot goes offline at once.

    `Client.close` alone would race with its reader, which closes with 4000; by now no reader runs any more.
    """
    with suppress(TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
        async with asyncio.timeout(CLOSE_SECONDS):
            if client.ws is not None and client.ws.open:
                await client.ws.close(code=1000)
    with suppress(TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()
