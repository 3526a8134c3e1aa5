"""What Discord's gateway tells the bot: messages and interactions, passed on to the core."""

import asyncio
import logging
from collections.abc import Collection

import discord
from discord.http import Route

from bots.discord.arrivals import Arrivals
from bots.discord.http import Http
from bots.discord.interactions import Interactions
from bots.discord.people import permissions_in, rights_of
from bots.discord.places import Places
from bots.discord.questions import asks, direct, mention_of
from bots.discord.replies import Replies
from bots.discord.rest import Rest
from bots.proxy import proxy_for
from core.errors import StoreError
from core.front import Front
from core.model import Rights
from core.responses import Response

log = logging.getLogger(__name__)

# `ready` comes this many seconds after the last guild that the gateway told of.
_GUILDS_SECONDS = 0.25


class Listener(discord.Client):
    """The gateway's client: minimal intents, nothing kept of messages and members."""

    def __init__(self, front: Front, http: Http, managers: Collection[str], ready: asyncio.Event) -> None:
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
            guild_ready_timeout=_GUILDS_SECONDS,
            proxy=proxy_for(Route.BASE),
        )
        self._front, self._managers, self._signed_in = front, managers, ready
        rest = Rest(http)
        self._places, self._replies, self._arrivals = Places(rest), Replies(rest), Arrivals()
        self._interactions = Interactions(front, http, self._places, self._arrivals, managers)

    async def on_ready(self) -> None:
        self._signed_in.set()

    async def on_message(self, message: discord.Message) -> None:
        me = self.user
        if me is None or not asks(message, me):
            return
        async with self._arrivals.in_turn(message.channel.id):
            mention = mention_of(message, await self._places.of_message(message), me)
            try:
                response = await self._arrivals.store(lambda: self._front.heard(mention, lambda: self._rights(message)))
            except StoreError as error:
                log.error("question %s could not be stored: %s", mention.id, error)
                response = Response(error.notice)
        if response is not None:
            await self._replies.show(mention, response)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await self._interactions.take(interaction)

    async def _rights(self, message: discord.Message) -> Rights:
        return rights_of(message.author, permissions_in(message), self._managers, direct=direct(message))
