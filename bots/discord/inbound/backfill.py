"""Finds questions that were asked while no process was connected, by reading the channels' history."""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any

import discord

from bots.discord.api.connection import connection_of
from bots.discord.api.names import NAME, NO_GUILD
from bots.discord.api.private_api import channel_of
from bots.discord.api.rest import Rest
from bots.discord.api.shards import Shard
from bots.discord.inbound.channels import Places
from bots.discord.inbound.edits import read
from bots.discord.inbound.messages import asks, by_bot, question_of, remark_of
from bots.discord.inbound.ordering import ArrivalOrder
from bots.discord.inbound.otherbots import OtherBotsMessages, bot_author
from bots.discord.inbound.people import UNCLEAR, Members, author_of
from core.domain.errors import PlatformError, StoreError
from core.domain.question import Declined
from core.domain.retry import retried
from core.inbound.dispatcher import Dispatcher
from core.inbound.listening import rule_of_message

log = logging.getLogger(__name__)

PRESENT_SECONDS = 30.0
# A dead connection is noticed only after this time, and counts as present until then.
MARGIN_SECONDS = 90.0
# How many channels to look through, newest first, and how many pages of how many messages in each.
CHANNELS, PAGES, PAGE = 100, 3, 100
DIRECT = 300  # channels with direct messages; we can't tell which of them have news
# How often to try a call, and the pauses between attempts.
_TRIES, _PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5, 5.0, 60.0
_EPOCH_MS = 1_420_070_400_000  # start of the time in Discord's ids (docs.discord.com, Snowflakes)


class DiscordBackfill:
    """The backfill of one client. It runs in the background and never delays a live event."""

    def __init__(
        self,
        client: discord.Client,
        dispatcher: Dispatcher,
        rest: Rest,
        places: Places,
        members: Members,
        ordering: ArrivalOrder,
        shard: Shard,
        other_bots: OtherBotsMessages,
    ) -> None:
        self._client, self._dispatcher, self._rest, self._places = client, dispatcher, rest, places
        self._members, self._other_bots = members, other_bots
        self._ordering, self._shard = ordering, shard
        self._new = asyncio.Event()
        self._session = False  # a new session began
        self._unseen: dict[int, int] = {}  # guilds still unknown when the others were looked through: since which id
        self._late: list[tuple[discord.Guild, int]] = []  # guilds that became available afterwards

    def look_back(self) -> None:
        """A new session began. Discord sends it nothing from before, whereas a resumed session gets what it missed."""
        self._session = True
        self._new.set()

    def guild_available(self, guild: discord.Guild) -> None:
        """The gateway sent a guild, perhaps late: its channels were unknown when the others were looked through.

        The reason is an outage at Discord or a slow machine.
        """
        since = self._unseen.pop(guild.id, None)
        if since is not None:
            self._late.append((guild, since))
            self._new.set()

    async def run(self) -> None:
        """Look back after each new session and report that the bot is present, until cancelled.

        The bot counts as present only after looking back: if it ends before that, the next one looks back further.
        """
        await self._new.wait()
        while True:
            self._new.clear()
            try:
                if self._session:
                    await self._look_back()
                while self._late:
                    guild, since = self._late[0]
                    await self._through_all([guild], [], since)
                    del self._late[0]
            except StoreError as error:
                log.info("cannot tell yet whether questions were missed: %s", error)
                self._new.set()
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            while not self._new.is_set():
                if connection_of((self._client,)).up:
                    await self._dispatcher.present(self._shard.name)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PRESENT_SECONDS):
                        await self._new.wait()

    async def _look_back(self) -> None:
        self._session = False
        try:
            seconds = await self._dispatcher.away(self._shard.name)
            if seconds <= 0:
                return
            guilds, since = list(self._client.guilds), _snowflake(time.time() - seconds - MARGIN_SECONDS)
            self._unseen = {guild.id: since for guild in guilds if guild.unavailable}
            asked = await self._through_all(guilds, await self._direct(), since)
        except StoreError:
            self._session = True
            raise
        log.info("nobody listened for %.0f s; found %d new questions from that time", seconds, asked)

    async def _through_all(self, guilds: Iterable[discord.Guild], direct: Iterable[Any], since: int) -> int:
        """Pass on the questions after an id, in these guilds and these channels with direct messages."""
        found = [each for each in _readable(guilds) if (each.last_message_id or 0) > since]
        found.sort(key=lambda each: each.last_message_id or 0, reverse=True)
        found, asked = found[:CHANNELS], 0
        found.sort(key=lambda each: isinstance(each, discord.Thread))  # the question that opened one comes before it
        for channel in (*found, *direct):
            try:
                asked += await self._through(channel, since)
            except PlatformError as error:
                log.info("could not look through a channel for missed questions: %s", error)
        return asked

    async def _direct(self) -> list[Any]:
        """Channels with direct messages. The gateway does not list them, so these are the ones with a known history."""
        if not self._shard.first:
            return []
        scope = f"{NAME}/{NO_GUILD}"
        names = {each.channel for each in await self._dispatcher.known(scope)}
        numbers = sorted((int(name) for name in names if name.isdigit()), reverse=True)[:DIRECT]
        return [channel_of(self._client, _dm(number)) for number in numbers]

    async def _through(self, channel: Any, since: int) -> int:
        """Pass on the questions in a channel after an id, oldest first; return how many are new.

        Raises PlatformError.
        """
        me, asked = self._client.user, 0
        alone = since + _snowflakes(MARGIN_SECONDS)  # before this, a process decided about messages without a mention
        for _ in range(PAGES):
            page = await self._page(channel.id, since)
            for data in sorted(page, key=lambda each: int(each["id"])):
                since = int(data["id"])
                message = read(self._client, channel, data)
                if message is None or me is None:
                    continue
                if since < alone and not (asks(message, me) or self._may_ask(message, me)):
                    continue
                asked += await self._ask(message, me)
            if len(page) < PAGE:
                break
        return asked

    async def _ask(self, message: discord.Message, me: discord.ClientUser) -> bool:
        """Pass on a question; False if it is none, or known already. Raises PlatformError and StoreError."""
        program = self._may_ask(message, me)
        said = None if program or asks(message, me) else remark_of(message, me)
        if said and rule_of_message(said):
            return False
        place = await self._places.of_message(message)
        if said and not await self._dispatcher.followups.is_meant(said, place, str(message.author.id)):
            return False
        author = bot_author(message) if program else author_of(message.author)
        question = replace(question_of(message, place, author, me), overheard=said is not None)
        if not await self._dispatcher.is_new(question):
            return False
        try:  # the REST API leaves out the roles
            if not program:
                question = replace(question, author=await self._members.author(message))
        except PlatformError as error:
            log.warning("could not find out the roles of somebody who asked: %s", error)
            question = replace(question, text="", kind=Declined(UNCLEAR))

        async def step() -> None:
            await self._dispatcher.missed(question)

        await self._ordering.store(message.channel.id, step)
        return True

    def _may_ask(self, message: discord.Message, me: discord.ClientUser) -> bool:
        """Whether a bot wrote this that may ask."""
        return by_bot(message) and self._other_bots.rule(message, me).meant

    async def _page(self, channel: int, since: int) -> list[dict[str, Any]]:
        """The messages after an id, fetched slowly: answers that are being written need the same limits."""
        call = partial(self._rest.messages_after, str(channel), str(since), PAGE)
        page, rate_limit = await retried(call, repeat(_PAUSE_SECONDS, _TRIES - 1), longest=_LONGEST_PAUSE_SECONDS)
        if rate_limit and rate_limit.remaining <= 1:
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, rate_limit.reset_after))
        return page


def _readable(guilds: Iterable[discord.Guild]) -> list[Any]:
    """Channels and active threads whose history the bot may read; where we can't tell, Discord will."""
    found: list[Any] = []
    for guild in guilds:
        channels: list[Any] = [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]
        for channel in channels:
            try:
                held = channel.permissions_for(guild.me)
            except (discord.ClientException, AttributeError):
                found.append(channel)
                continue
            if held.view_channel and held.read_message_history:
                found.append(channel)
    return found


def _dm(channel: int) -> dict[str, Any]:
    """What a message in a channel with direct messages says about its place."""
    return {"channel_id": str(channel)}


def _snowflake(at: float) -> int:
    """The smallest id that Discord can have created at a time, which is in epoch seconds."""
    return max(0, int(at * 1000) - _EPOCH_MS) << 22


def _snowflakes(seconds: float) -> int:
    """The difference of ids that lie so far apart in time."""
    return int(seconds * 1000) << 22
