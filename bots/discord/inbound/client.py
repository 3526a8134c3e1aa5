"""The client of Discord's gateway: passes messages and interactions to the core."""

import asyncio
import logging
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import discord

from bots.discord.api.http import Http
from bots.discord.api.names import direct
from bots.discord.api.private_api import Parser, api_address, set_guild_timeout, wrap_parser, wrap_parsers
from bots.discord.api.rest import Rest
from bots.discord.api.shards import IdentifyQueue, Shard
from bots.discord.api.unreadable import UnreadableEvents
from bots.discord.inbound.backfill import DiscordBackfill
from bots.discord.inbound.channels import Places
from bots.discord.inbound.edits import MessageEdits, by_a_program, is_partial
from bots.discord.inbound.interactions import ANSWER_SECONDS, Interactions
from bots.discord.inbound.messages import asks, by_bot, question_of, remark_of
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.otherbots import OtherBotsMessages, Reposts, bot_author, ids_of
from bots.discord.inbound.people import UNCLEAR, Members, permissions_in, rights_of
from bots.discord.introduction import introduce
from bots.discord.outbound.responses import Responses
from bots.discord.room.reader import Reader
from bots.proxy import proxy_for
from core.commands.responses import Response
from core.domain.conversation import Place, Rights
from core.domain.errors import PlatformError, StoreError
from core.domain.question import Question
from core.inbound.dispatcher import AWAY, Dispatcher
from core.inbound.listening import rule_of_message

log = logging.getLogger(__name__)

# If the gateway does not send all guilds that READY names, say because of an outage, `ready` comes this long after
# the last one that it sent; otherwise together with the last one.
GUILDS_SECONDS = 2.0
# After this time without data from the gateway, acknowledgements included, the client connects anew. The gateway
# asks for a heartbeat about every 41 s.
SILENCE_SECONDS = 60.0
# Pause before signing in again after an invalid session (docs.discord.com, Gateway, Resuming).
NEW_SESSION_SECONDS = 5.0


class GatewayClient(discord.Client):
    """The gateway client of one shard or of all: minimal intents, and no cache of messages or members."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        http: Http,
        ordering: ArrivalOrder,
        managers: Collection[str],
        shard: Shard,
        queue: IdentifyQueue,
        reader: Reader,
        sign: Callable[[str, str], None],
        answer_seconds: float = ANSWER_SECONDS,
        *,
        user_install: bool = False,
    ) -> None:
        """`sign`: marks a message in a channel as one that is not answered."""
        # Without the privileged intent, messages that mention the bot and direct messages still carry their content
        # (docs.discord.com, Gateway, Message Content Intent). Only after the login we know whether we may have it.
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
            proxy=proxy_for(api_address()),
            shard_id=shard.id,
            shard_count=shard.count,
        )
        self.signed_in = asyncio.Event()
        self._dispatcher, self._managers, self._queue, self._reader = dispatcher, managers, queue, reader
        rest = Rest(http)
        self._places, self._members = Places(rest), Members(rest)
        self._responses, self._ordering, self._sign = Responses(rest), ordering, sign
        self._interactions = Interactions(
            dispatcher, http, self._places, ordering, managers, reader, answer_seconds, user_install=user_install
        )
        self._reposts = Reposts()
        self._other_bots = OtherBotsMessages(self, dispatcher, self._reposts)
        self._edits = MessageEdits(self, dispatcher, rest, self._places, self._members, ordering, self._reposts)
        self.backfill = DiscordBackfill(
            self, dispatcher, rest, self._places, self._members, ordering, shard, self._other_bots
        )
        wrap_parser(self, "MESSAGE_UPDATE", self._on_message_update)
        wrap_parser(self, "INTERACTION_CREATE", self._on_interaction_create)
        wrap_parser(self, "READY", self._on_guild_event)
        wrap_parser(self, "GUILD_CREATE", self._on_guild_event)
        self._unreadable = UnreadableEvents()
        # Without READY there is no session, so the client must sign in again.
        wrap_parsers(self, self._unreadable.read, but={"READY"})

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        if not initial:  # the first attempt waited before it connected
            await asyncio.sleep(NEW_SESSION_SECONDS)
            await self._queue.wait(self)

    async def on_connect(self) -> None:
        self._queue.done(self)

    async def on_ready(self) -> None:
        self.signed_in.set()
        self.backfill.look_back()

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self.backfill.guild_available(guild)
        await introduce(self._dispatcher, self._responses, guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await introduce(self._dispatcher, self._responses, guild)

    async def on_message(self, message: discord.Message) -> None:
        me = self.user
        if message.webhook_id is not None and (again := self._reposts.posted(message)):
            await self._ask_again(message.channel.id, again)
        if me is None:
            return
        if by_bot(message):
            await self._hear_bot(message, me)
            return
        if not asks(message, me):
            await self._overhear(message, me)
            return

        async def heard() -> Response | None:
            place = await self._places.of_message(message)
            return await self._heard(message, place, me)

        try:
            response = await self._ordering.store(message.channel.id, heard, lambda: self._say_away(message))
        except StoreError as error:
            log.error("could not store question %d: %s", message.id, error)
            response = Response(error.notice)
        except PlatformError as error:
            log.warning("could not find out where question %d was asked, and by whom: %s", message.id, error)
            with suppress(PlatformError):
                await self._say(message, UNCLEAR, "unclear")
            return
        if response is not None:
            await self._responses.show(message, response)

    async def _hear_bot(self, message: discord.Message, me: discord.ClientUser) -> None:
        """Pass on what another bot asks, if it may; it is told nothing, as it might answer that."""
        rule = self._other_bots.rule(message, me)
        if not (rule.meant or rule.signed):
            return

        async def heard() -> None:
            place = await self._places.of_message(message)
            if rule.meant:
                await self._heard(message, place, me)
            elif await self._dispatcher.bots.is_new(ids_of(message), place, rule):
                self._sign(str(message.channel.id), str(message.id))

        try:
            await self._ordering.store(message.channel.id, heard)
        except (StoreError, PlatformError) as error:
            log.warning("could not pass on message %d of a bot: %s", message.id, error)

    async def _overhear(self, message: discord.Message, me: discord.ClientUser) -> None:
        """Pass on a message without a mention if it is meant for the bot; otherwise nobody is told anything."""
        said, followups = remark_of(message, me), self._dispatcher.followups
        known = self._places.known(message)
        # Most of what people say is for nobody here: it waits for no other message, and in no outage.
        if rule_of_message(said) or (known and not followups.may_be_meant(said, known)):
            return

        async def heard() -> Response | None:
            place = known or await self._places.of_message(message)
            if not await followups.listens(place, str(message.author.id)):
                return None
            return await self._heard(message, place, me, overheard=True)

        try:
            response = await self._ordering.store(message.channel.id, heard)
        except (StoreError, PlatformError) as error:
            log.warning("could not tell whether message %d is meant for the bot: %s", message.id, error)
            return
        if response is not None:
            await self._responses.show(message, response)

    async def _heard(
        self, message: discord.Message, place: Place, me: discord.ClientUser, *, overheard: bool = False
    ) -> Response | None:
        author = bot_author(message) if by_bot(message) else await self._members.author(message)
        question = replace(question_of(message, place, author, me), overheard=overheard)
        reads = permissions_in(message, place).read_message_history or None  # without it, Discord is asked
        self._reader.heard(question, replies=message.reference is not None, reads=reads)
        if not self._dispatcher.is_command(question.text):
            self._reposts.asked(message, question)
        return await self._dispatcher.heard(question, lambda: self._rights(message, place))

    async def _ask_again(self, channel: int, question: Question) -> None:
        """Ask a question that a program posted again after it had deleted it."""

        async def step() -> None:
            await self._dispatcher.ask(question)

        try:
            await self._ordering.store(channel, step)
        except StoreError as error:
            log.error("could not store question %s: %s", question.id, error)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        await self._edits.edited(dict(event.data), event.message)

    async def on_partial_message_edit(self, data: dict[str, Any]) -> None:
        """Handle an event that we dispatch ourselves."""
        await self._edits.edited(data)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self._interactions.menus.deleted((event.message_id,))
        await self._edits.deleted(event.channel_id, event.guild_id, (event.message_id,))

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        self._interactions.menus.deleted(event.message_ids)
        await self._edits.deleted(event.channel_id, event.guild_id, event.message_ids)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await self._interactions.handle(interaction)

    async def on_error(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            self._unreadable.note(event, error, trace=True)

    def _on_guild_event(self, parse: Parser, data: Any) -> None:
        """Read the event; then let discord.py wait for further guilds only if some are expected."""
        parse(data)
        waits = any(guild.unavailable for guild in self.guilds)
        set_guild_timeout(self, GUILDS_SECONDS if waits else 0.0)

    def _on_message_update(self, parse: Parser, data: dict[str, Any]) -> None:
        """Read the event, unless it is partial: discord.py fails on those, and the connection with it."""
        if by_a_program(data):
            return  # each of our own edits comes back as an event; don't parse it for nobody
        if is_partial(data):
            self.dispatch("partial_message_edit", data)
        else:
            parse(data)

    def _on_interaction_create(self, parse: Parser, data: dict[str, Any]) -> None:
        """Read the event; discord.py looks for the channel in one of its fields only."""
        parse(data if data.get("channel") else {**data, "channel": {"id": data.get("channel_id")}})

    async def _say_away(self, message: discord.Message) -> None:
        """Say once per channel, among all processes, that Redis is away."""
        if self._ordering.first(message.channel.id):
            await self._say(message, AWAY, "away")

    async def _say(self, message: discord.Message, sentence: str, name: str) -> None:
        """Say something below a message, once among all processes. Raises PlatformError."""
        number = str(message.id)
        await self._responses.say(str(message.channel.id), sentence, f"{name}/{number}", reply_to=number)

    async def _rights(self, message: discord.Message, place: Place) -> Rights:
        return rights_of(message.author, permissions_in(message, place), self._managers, direct=direct(message))
