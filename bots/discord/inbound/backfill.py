"""Questions that nobody heard: after a time without any connection, channels are looked through for them."""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import discord

from bots.discord.api import connection as pulse
from bots.discord.api.names import NAME, NO_GUILD
from bots.discord.api.rest import Rest
from bots.discord.api.shards import Shard
from bots.discord.inbound.channels import Places
from bots.discord.inbound.edits import read
from bots.discord.inbound.messages import asks, mention_of
from bots.discord.inbound.ordering import ArrivalOrder
from core.domain.conversation import Question
from core.domain.errors import PlatformError, SlowDown, StoreError, Unreachable
from core.inbound.dispatcher import Dispatcher

log = logging.getLogger(__name__)

PRESENT_SECONDS = 30.0
# A dead connection is noticed so late, and counts as present until then. Seconds.
MARGIN_SECONDS = 90.0
# How many channels are looked through, newest first, and how many pages of so many messages of each.
CHANNELS, PAGES, PAGE = 100, 3, 100
DIRECT = 300  # channels with direct messages; which of them have news is not known
# How often a call is tried, and the pauses between, in seconds.
_TRIES, _PAUSE, _LONGEST = 5, 5.0, 60.0
_EPOCH_MS = 1_420_070_400_000  # of the time in Discord's ids (docs.discord.com, Snowflakes)


class Backfill:
    """For one client. It waits in the background, and never keeps a live event waiting."""

    def __init__(
        self,
        client: discord.Client,
        front: Dispatcher,
        rest: Rest,
        places: Places,
        arrivals: ArrivalOrder,
        shard: Shard,
    ) -> None:
        self._client, self._front, self._rest, self._places = client, front, rest, places
        self._arrivals, self._shard = arrivals, shard
        self._new = asyncio.Event()
        self._session = False  # a new one began
        self._unseen: dict[int, int] = {}  # guilds that were not told of when others were looked through: since when
        self._late: list[tuple[discord.Guild, int]] = []  # those that were told of afterwards

    def look_back(self) -> None:
        """A new session began, which is sent nothing from before it. (One that is resumed gets what it missed.)"""
        self._session = True
        self._new.set()

    def came(self, guild: discord.Guild) -> None:
        """The gateway tells of a guild, perhaps only now: its channels were not known when others were looked
        through, because of an outage of Discord's or because this machine is slow."""
        since = self._unseen.pop(guild.id, None)
        if since is not None:
            self._late.append((guild, since))
            self._new.set()

    async def run(self) -> None:
        """Look back after each new session, and tell that the bot is present, until cancelled.

        It counts as present only when it has looked back: were it to end before that, the next one looks back further.
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
                log.info("it is not known yet whether questions were missed: %s", error)
                self._new.set()
                await asyncio.sleep(_PAUSE)
                continue
            while not self._new.is_set():
                if pulse.connection((self._client,)).up:
                    await self._front.present(self._shard.name)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PRESENT_SECONDS):
                        await self._new.wait()

    async def _look_back(self) -> None:
        self._session = False
        try:
            seconds = await self._front.away(self._shard.name)
            if seconds <= 0:
                return
            guilds, since = list(self._client.guilds), _snowflake(time.time() - seconds - MARGIN_SECONDS)
            self._unseen = {guild.id: since for guild in guilds if guild.unavailable}
            asked = await self._through_all(guilds, await self._direct(), since)
        except StoreError:
            self._session = True
            raise
        log.info("nobody listened for %.0f s: %d questions were asked meanwhile", seconds, asked)

    async def _through_all(self, guilds: Iterable[discord.Guild], direct: Iterable[Any], since: int) -> int:
        """Hand over the questions in these guilds and channels with direct messages that came after an id."""
        found = [each for each in _readable(guilds) if (each.last_message_id or 0) > since]
        found.sort(key=lambda each: each.last_message_id or 0, reverse=True)
        asked = 0
        for channel in (*found[:CHANNELS], *direct):
            try:
                asked += await self._through(channel, since)
            except PlatformError as error:
                log.info("a channel was not looked through for missed questions: %s", error)
        return asked

    async def _direct(self) -> list[Any]:
        """Channels with direct messages, which the gateway does not list: those in which something was said before."""
        if not self._shard.first:
            return []
        scope = f"{NAME}/{NO_GUILD}"
        names = {name.split("/")[2] for name in await self._front.known(scope)}
        numbers = sorted((int(name) for name in names if name.isdigit()), reverse=True)[:DIRECT]
        return [self._client._connection._get_guild_channel(_dm(number))[0] for number in numbers]

    async def _through(self, channel: Any, since: int) -> int:
        """Hand over the questions in a channel that came after an id, oldest first."""
        me, asked = self._client.user, 0
        for _ in range(PAGES):
            page = await self._page(channel.id, since)
            for data in sorted(page, key=lambda each: int(each["id"])):
                since = int(data["id"])
                message = read(self._client, channel, data)
                if message is None or me is None or not asks(message, me):
                    continue
                whole = await self._with_roles(message, data) or message
                mention = mention_of(whole, await self._places.of_message(whole), me)

                async def step(mention: Question = mention) -> None:
                    await self._front.missed(mention)

                await self._arrivals.store(channel.id, step)
                asked += 1
            if len(page) < PAGE:
                break
        return asked

    async def _with_roles(self, message: discord.Message, data: dict[str, Any]) -> discord.Message | None:
        """The same with what the gateway would have told: who its author is in the guild."""
        if message.guild is None:
            return None
        try:
            member = await self._rest.member(str(message.guild.id), str(message.author.id))
        except PlatformError as error:
            log.info("the roles of somebody are not known: %s", error)
            return None
        return read(self._client, message.channel, {**data, "guild_id": str(message.guild.id), "member": member})

    async def _page(self, channel: int, since: int) -> list[dict[str, Any]]:
        """The messages after an id, in their own time: answers that are being written need the same limits."""
        for left in reversed(range(_TRIES)):
            try:
                page, told = await self._rest.after(str(channel), str(since), PAGE)
            except SlowDown as error:
                if not left:
                    raise
                await asyncio.sleep(min(_LONGEST, error.retry_after))
            except Unreachable:
                if not left:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                if told and told.remaining <= 1:
                    await asyncio.sleep(min(_LONGEST, told.reset_after))
                return page
        raise AssertionError  # the last try returns or raises


def _readable(guilds: Iterable[discord.Guild]) -> list[Any]:
    """Channels and active threads whose history the bot may read. Where it can't be told, Discord will tell."""
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


def _dm(channel: int) -> Any:
    """What a message in a channel with direct messages tells of its place."""
    return {"channel_id": str(channel)}


def _snowflake(at: float) -> int:
    """The smallest id that was made at a time, in epoch seconds."""
    return max(0, int(at * 1000) - _EPOCH_MS) << 22
