"""What Discord's gateway tells the bot: messages and interactions, passed on to the core."""

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import discord
from discord.http import Route

from bots.discord.api.http import Http
from bots.discord.api.names import direct
from bots.discord.api.rest import Rest
from bots.discord.api.shards import Queue, Shard
from bots.discord.inbound.backfill import Backfill
from bots.discord.inbound.channels import Places
from bots.discord.inbound.edits import MessageEdits, by_a_program, is_partial
from bots.discord.inbound.interactions import ANSWER_SECONDS, Interactions
from bots.discord.inbound.messages import asks, mention_of
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.people import permissions_in, rights_of
from bots.discord.outbound.responses import Responses
from bots.proxy import proxy_for
from core.commands.responses import Response
from core.domain.conversation import Rights
from core.domain.errors import StoreError
from core.inbound.dispatcher import AWAY, Dispatcher

log = logging.getLogger(__name__)

# Where not all guilds are told of that READY names, say for an outage of theirs, `ready` comes this many seconds after
# the last one; else with the last one.
GUILDS_SECONDS = 2.0
# Without a word from the gateway for so long, its acknowledgements included, the connection is made anew. Seconds; it
# asks for a heartbeat every 41 s or so.
SILENCE_SECONDS = 60.0
# Before it signs in anew after a session that became invalid (docs.discord.com, Gateway, Resuming). Seconds.
AFRESH_SECONDS = 5.0


class GatewayClient(discord.Client):
    """The gateway's client, of one shard or of all: minimal intents, nothing kept of messages and members."""

    def __init__(
        self,
        front: Dispatcher,
        http: Http,
        arrivals: ArrivalOrder,
        managers: Collection[str],
        shard: Shard,
        queue: Queue,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        # Messages that mention the bot and direct messages carry their content without the privileged intent
        # (docs.discord.com, Gateway, Message Content Intent).
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_SECONDS,
            heartbeat_timeout=SILENCE_SECONDS,
            proxy=proxy_for(Route.BASE),
            shard_id=shard.id,
            shard_count=shard.count,
        )
        self.signed_in = asyncio.Event()
        self._front, self._managers, self._queue = front, managers, queue
        rest = Rest(http)
        self._places, self._replies, self._arrivals = Places(rest), Responses(rest), arrivals
        self._interactions = Interactions(front, http, self._places, arrivals, managers, answer_seconds)
        self._edits = MessageEdits(self, front, rest, self._places, arrivals)
        self.missed = Backfill(self, front, rest, self._places, arrivals, shard)
        # discord.py fails on a message that is told of in part, and with it the connection.
        parsers = self._connection.parsers
        self._parse_update, parsers["MESSAGE_UPDATE"] = parsers["MESSAGE_UPDATE"], self._updated
        for event in ("READY", "GUILD_CREATE"):
            parsers[event] = partial(self._told_of_guilds, parsers[event])

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        if not initial:  # the first one waited before it connected
            await asyncio.sleep(AFRESH_SECONDS)
            await self._queue.turn(self)

    async def on_connect(self) -> None:
        self._queue.done(self)

    async def on_ready(self) -> None:
        self.signed_in.set()
        self.missed.look_back()

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self.missed.came(guild)

    async def on_message(self, message: discord.Message) -> None:
        me = self.user
        if me is None or not asks(message, me):
            return

        async def heard() -> Response | None:
            mention = mention_of(message, await self._places.of_message(message), me)
            return await self._front.heard(mention, lambda: self._rights(message))

        try:
            response = await self._arrivals.store(message.channel.id, heard, lambda: self._say_away(message))
        except StoreError as error:
            log.error("question %d could not be stored: %s", message.id, error)
            response = Response(error.notice)
        if response is not None:
            await self._replies.show(message, response)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        await self._edits.edited(dict(event.data), event.message)

    async def on_partial_message_edit(self, data: dict[str, Any]) -> None:
        """An event of our own."""
        await self._edits.edited(data)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self._edits.deleted(event.channel_id, event.guild_id, (event.message_id,))

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self._edits.deleted(event.channel_id, event.guild_id, event.message_ids)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await self._interactions.take(interaction)

    def _told_of_guilds(self, parse: Callable[[Any], None], data: Any) -> None:
        """discord.py is ready so long after the last guild, whether it waits for more or not: it looks up how long
        after each of them."""
        parse(data)
        waits = any(guild.unavailable for guild in self.guilds)
        self._connection.guild_ready_timeout = GUILDS_SECONDS if waits else 0.0

    def _updated(self, data: dict[str, Any]) -> None:
        if by_a_program(data):
            return  # every frame of ours comes back as one; discord.py would make values of it for nobody
        if is_partial(data):
            self.dispatch("partial_message_edit", data)
        else:
            self._parse_update(data)

    async def _say_away(self, message: discord.Message) -> None:
        """Once for a channel, by all processes together."""
        if self._arrivals.first(message.channel.id):
            await self._replies.say(str(message.channel.id), AWAY, f"away/{message.id}", reply_to=str(message.id))

    async def _rights(self, message: discord.Message) -> Rights:
        return rights_of(message.author, permissions_in(message), self._managers, direct=direct(message))
