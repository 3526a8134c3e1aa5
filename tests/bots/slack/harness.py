"""Runs a whole bot in a room: the sandbox's Slack and Nebula, a real Redis, the core and the Slack adapter."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar
from unittest.mock import patch

import aiohttp
from slack_bolt.listener.async_listener import AsyncListener
from slack_bolt.listener.asyncio_runner import AsyncioListenerRunner
from slack_bolt.response import BoltResponse

from bots.compose import assemble, chat_model
from bots.sandbox.nebula.server import NebulaServer
from bots.sandbox.slack.delivery.events import SUBSCRIPTIONS
from bots.sandbox.slack.methods.limits import NO_SLACK_LIMITS
from bots.sandbox.slack.people import InteractionResult, Submission
from bots.sandbox.slack.server import SlackServer
from bots.sandbox.slack.workspace.values import SlackCall, SlackFile, SlackMessage, View
from bots.slack.api import transport
from bots.slack.api.workspace import Patience
from bots.slack.app import Slack
from bots.slack.config import SlackConfig
from core.domain.rates import RateLimit
from core.files.reader import FileLimits
from core.inbound.dispatcher import Dispatcher
from core.ratelimit.bucket import Permit
from core.ratelimit.limiter import RateLimiter, Ticket
from core.reply import publisher
from core.store.ratelimits import RedisRateLimit
from core.turns.runner import TurnRunner
from tests.bounds import HANG_SECONDS
from tests.configuration import Configuration, configured
from tests.ports import free_port
from tests.redis_server import patient_connection

T = TypeVar("T")

# Pauses of a Slack that never gives up, because a busy machine may take any time to reconnect.
RETRIES = (0.05,) * 10_000
# A Slack that delivers again very soon. It waits longer each time: a machine that always acknowledges too late would
# have ever more to do.
HASTY: dict[str, Any] = {"retry_delays": RETRIES, "ack_timeout": 0.2, "ack_growth": 1.3}

# For a bot whose Slack has no deadlines.
ENDLESS = Patience(names=HANG_SECONDS, room=HANG_SECONDS, rights=HANG_SECONDS, form=HANG_SECONDS)
# The server of an app that hears nothing but mentions: where thousands of messages are there to be read, not heard.
HEARS_MENTIONS = {"subscriptions": SUBSCRIPTIONS - {"message.channels"}}
# The calls that change the screen.
DRAWING = {"chat.postMessage", "chat.update", "chat.startStream", "chat.appendStream", "chat.stopStream"}


class SlackRoom:
    """Names people by name, channels as `#general` and direct messages as `@ann`."""

    def __init__(self, slack: SlackServer, nebula: NebulaServer) -> None:
        self.slack = slack
        self.nebula = nebula
        self.people: dict[str, str] = {}
        self.channels: dict[str, str] = {}
        self.config: SlackConfig
        self.platform: Slack
        self.dispatcher: Dispatcher
        self.runner: TurnRunner
        self.running: asyncio.Task[None]

    def drawn(self) -> int:
        """Return how often the bot has changed the screen, or has tried to."""
        return sum(call.method in DRAWING for call in self.slack.calls)

    def growing(self, tokens: int = 10, most: int = 1_000_000) -> None:
        """From now on, after every `tokens` tokens, up to `most`, the model waits until the bot has shown more: each
        answer visibly grows, whatever the machine's speed, and as fast as possible."""
        self.nebula.pace, self.nebula.between = 0, self._seen(tokens, most)

    def held(self, after: int = 0, tokens: int = 0, most: int = 1_000_000) -> asyncio.Event:
        """From now on the model pauses after `after` tokens until the event is set; `tokens`, `most`: see `growing`."""
        gate, seen = asyncio.Event(), self._seen(tokens or 1_000_000, most)

        async def wait(number: int) -> None:
            await seen(number)
            if number == after:
                await gate.wait()

        self.nebula.pace, self.nebula.between = 0, wait
        return gate

    def _seen(self, tokens: int, most: int) -> Callable[[int], Awaitable[None]]:
        async def seen(number: int) -> None:
            if number and number <= most and number % tokens == 0:
                # Nothing was awaited since the last of these tokens was sent, so the bot can't have shown them yet.
                before = self.drawn()
                await self.until(lambda: self.drawn() > before)

        return seen

    def at_once(self) -> None:
        """From now on answers come as fast as possible."""
        self.nebula.pace, self.nebula.between = 0, None

    def person(
        self, name: str, *, admin: bool = False, owner: bool = False, team: str = "", guest: bool = False
    ) -> str:
        """Add a person, perhaps from another `team`; return the id."""
        self.people[name] = self.slack.add_user(name, admin=admin, owner=owner, team=team, guest=guest)
        return self.people[name]

    def open(self, name: str, creator: str = "ann", *, private: bool = False, bot_in: bool = True) -> str:
        """Create a channel with everybody in it; return the id."""
        creator = self.people[creator]
        self.channels[name] = self.slack.add_channel(name[1:], creator, private=private, bot_in=bot_in)
        return self.channels[name]

    def where(self, channel: str) -> str:
        """Return the id of `#general` or `@ann`."""
        return self.slack.open_dm(self.people[channel[1:]]) if channel[0] == "@" else self.channels[channel]

    async def say(
        self, who: str, channel: str, text: str, thread: str = "", *, files: Iterable[SlackFile] = (), **how: Any
    ) -> SlackMessage:
        """Write as a person; `thread` is the ts of the root. `how` as in SlackServer.say."""
        return await self.slack.say(self.people[who], self.where(channel), text, thread, files=files, **how)

    async def slash(self, who: str, channel: str, text: str, command: str = "/nebula") -> InteractionResult:
        """Use the slash command as a person."""
        return await self.slack.slash(self.people[who], self.where(channel), command, text)

    async def form(self) -> View:
        """Wait for the first modal."""
        return (await self.until(lambda: self.slack.views))[0]

    async def fill(self, who: str, view: View, text: str) -> Submission:
        """As a person, enter a text in the modal's only field and submit it."""
        (block,) = view.blocks
        return await self.slack.submit(self.people[who], view, {block["element"]["action_id"]: text})

    def said(self, channel: str, thread: str | None = None) -> tuple[SlackMessage, ...]:
        """Return the bot's messages, oldest first, in a channel and all its threads, or in one thread."""
        return tuple(m for m in self.slack.messages(self.where(channel), thread) if m.user == self.slack.bot_user)

    def shown(self, channel: str, thread: str | None = None) -> list[str]:
        """Return what people read of those messages."""
        return [message.shown for message in self.said(channel, thread)]

    def calls(self, method: str) -> tuple[SlackCall, ...]:
        """Return the calls of this method so far, including refused ones."""
        return tuple(call for call in self.slack.calls if call.method == method)

    async def until(self, predicate: Callable[[], T], timeout: float = HANG_SECONDS) -> T:
        """Wait for the first true value of the predicate. Raises TimeoutError."""
        return await self.slack.until(predicate, timeout)

    async def answered(self, channel: str, ending: str, thread: str | None = None) -> SlackMessage:
        """Wait for the bot's first message that shows this text."""

        def find() -> SlackMessage | None:
            return next((m for m in self.said(channel, thread) if ending in m.shown), None)

        found = await self.until(find)
        assert found is not None
        return found

    async def post(self, body: bytes, kind: str = "application/json", **headers: str) -> int:
        """Send this to the bot's port over HTTP, signed unless `headers` say otherwise; return the status."""
        moment = str(int(time.time()))
        digest = hmac.new(self.slack.signing_secret.encode(), f"v0:{moment}:".encode() + body, "sha256").hexdigest()
        signature = {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}", "Content-Type": kind}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.config.slack_port}/slack/events"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers={**signature, **named}) as response,
        ):
            return response.status

    async def leave(self) -> None:
        """Stop the platform, as at the end of the process. Raises TimeoutError if it does not stop."""
        self.running.cancel()
        async with asyncio.timeout(HANG_SECONDS):
            await asyncio.wait({self.running})

    async def quiet(self) -> None:
        """Wait until all events are handled and no turn is running."""
        await self.until(lambda: not self.slack.pending)
        async with asyncio.timeout(HANG_SECONDS):
            await self.runner.idle()


class _Hasty(RateLimiter):
    """Works like the real one, but a hundred times as fast, because these tests are not about rate limits."""

    def ticket(self) -> Ticket:
        return _HastyTicket(self)


# Pauses before a lost frame is shown again, a fraction of the real ones.
_SOON = tuple(pause / 20 for pause in publisher._BACKOFF_SECONDS)


class _HastyTicket(Ticket):
    async def permit(self, limit: RateLimit, *, final: bool = False) -> Permit:
        return await super().permit(_quick(limit), final=final)

    async def promise(self, limit: RateLimit, *, lively: bool = False, certain: bool = False) -> bool:
        return await super().promise(_quick(limit), lively=lively, certain=certain)


def _quick(limit: RateLimit) -> RateLimit:
    within = limit.within and _quick(limit.within)
    return replace(limit, seconds=limit.seconds / 100, least=limit.least / 100, within=within)


def settings(slack: SlackServer, nebula: NebulaServer | None = None, **more: Any) -> Configuration:
    """Return the configuration for these servers."""
    values: dict[str, Any] = {
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "slack_api_url": slack.api_url,
        "nebula_api_key": "key",
        "reply_titles": "off",  # the model would be asked twice
    }
    if nebula is not None:
        values |= {"nebula_base_url": nebula.base_url, "nebula_platform_url": nebula.platform_url}
    return configured(**{**values, **more})


def same(dispatcher: Dispatcher) -> Dispatcher:
    """Return the dispatcher unchanged."""
    return dispatcher


@asynccontextmanager
async def empty_room(server: dict[str, Any] | None = None) -> AsyncIterator[SlackRoom]:
    """Create the room of `slack_room`, without a bot."""
    # What a very busy bot can't store in time, Slack delivers again before the test gives up.
    patient = {"ack_timeout": HANG_SECONDS / 3, "trigger_seconds": HANG_SECONDS}
    options: dict[str, Any] = {"limits": NO_SLACK_LIMITS, "retry_delays": (0.05, 0.1, 0.2), **patient} | (server or {})
    async with SlackServer(**options) as slack, NebulaServer() as nebula:
        room = SlackRoom(slack, nebula)
        for name in ("ann", "bob"):
            room.person(name)
        room.person("eve", admin=True)
        room.open("#general")
        yield room


@asynccontextmanager
async def slack_room(
    redis_url: str,
    *,
    http: bool = False,
    lease: float = 20,
    inbox: int = 20,
    server: dict[str, Any] | None = None,
    dispatcher: Callable[[Dispatcher], Dispatcher] = same,
    patience: Patience = ENDLESS,
    hasty: bool = True,
    **config: Any,
) -> AsyncIterator[SlackRoom]:
    """A room with ann and bob, who have no special rights, the admin eve, and #general, which ann created.

    `server`: arguments of SlackServer; by default it has no rate limits and no deadlines of three seconds, and
    redelivers quickly. `dispatcher`: wraps the dispatcher, for example to record its calls. `patience`: the bot's time
    limits for lookups and forms; by default it waits for their outcome. `hasty`: the bot takes Slack's rate limits for
    a hundred times as wide.
    """
    async with empty_room(server) as room:
        if http:
            config |= {
                "slack_signing_secret": room.slack.signing_secret,
                "slack_port": free_port(),
                "slack_host": "127.0.0.1",
            }
        async with process(
            room, redis_url, lease=lease, inbox=inbox, dispatcher=dispatcher, patience=patience, hasty=hasty, **config
        ) as bot:
            room.config, room.platform, room.runner, room.running = bot
            if http:
                room.slack.deliver_to(f"http://127.0.0.1:{room.config.slack_port}/slack/events")
            yield room


# A socket is lost whose pong is late by half of the time between pings. Tests that cut sockets set a shorter one.
_USUAL_PING_SECONDS, _RARE_PING_SECONDS = transport.PING_SECONDS, 60.0
_RUN = AsyncioListenerRunner.run


async def _run(self: AsyncioListenerRunner, *, listener: AsyncListener, **others: Any) -> BoltResponse | None:
    """Bolt's own, which would wait three seconds for an acknowledgement, and then ask the next listener, which closes
    a form."""
    listener.ack_timeout = int(HANG_SECONDS)
    return await _RUN(self, listener=listener, **others)


@asynccontextmanager
async def _product_in_tests() -> AsyncIterator[None]:
    """Lost frames are soon shown again; a process that stands still for a while loses no socket and no form."""
    usual = transport.PING_SECONDS == _USUAL_PING_SECONDS
    with (
        patch.object(publisher, "_BACKOFF_SECONDS", _SOON),
        patch.object(AsyncioListenerRunner, "run", _run),
        patch.object(transport, "PING_SECONDS", _RARE_PING_SECONDS if usual else transport.PING_SECONDS),
    ):
        yield


@asynccontextmanager
async def process(
    room: SlackRoom,
    redis_url: str,
    *,
    lease: float = 20,
    inbox: int = 20,
    dispatcher: Callable[[Dispatcher], Dispatcher] = same,
    patience: Patience = ENDLESS,
    hasty: bool = True,
    **config: Any,
) -> AsyncIterator[tuple[SlackConfig, Slack, TurnRunner, asyncio.Task[None]]]:
    """Run a process of the bot, connected to the room; several may share it and Redis."""
    values = settings(room.slack, room.nebula, **config)
    platform = Slack(values.slack, patience=patience)
    async with (
        _product_in_tests(),
        patient_connection(redis_url) as redis,
        chat_model(values.core, redis) as model,
    ):
        timing = {"lease_seconds": lease, "inbox_limit": inbox, "drain_seconds": 2, "files_seconds": HANG_SECONDS}
        limiter = _Hasty() if hasty else None
        bot = assemble(
            values.core.model_copy(update=timing),
            redis,
            model,
            [platform],
            limiter,
            reading=HANG_SECONDS,
            file_limits=FileLimits(seconds=HANG_SECONDS),
        )
        platform.share(bot.limiter)
        # before the platform takes them: the usual ones wait for Redis for half a second
        bot.dispatcher.rate_limits = RedisRateLimit(redis, answer_timeout=HANG_SECONDS)
        room.dispatcher, runner = dispatcher(bot.dispatcher), bot.runner
        async with runner.open(), asyncio.TaskGroup() as group:
            running = group.create_task(platform.run(room.dispatcher))
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    await platform.ready.wait()
                yield values.slack, platform, runner, running
            finally:
                running.cancel()
