"""The state of the sandbox's Discord: guilds, channels, users, permissions, and a signal for every change."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from bots.sandbox.discord.world.values import (
    THREADS,
    ChannelKind,
    DiscordChannel,
    DiscordMessage,
    DiscordUser,
    Guild,
    GuildRole,
    Member,
    Permission,
)

EPOCH = 1_420_070_400_000  # the first millisecond of 2015 (reference#snowflakes)
# The same at every start, as the data in Redis belong to the bot with this id.
BOT_ID = "100000000000000000"
TYPING_SECONDS = 10.0  # resources/channel#trigger-typing-indicator
T = TypeVar("T")


class Watch:
    """Wakes all that wait for a state, at each change."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def changed(self) -> None:
        """Let every waiting predicate be checked again."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def until(self, predicate: Callable[[], T | None], timeout: float = 120.0) -> T:
        """Return the first true value of `predicate`, which is checked now and after each change. Raises TimeoutError
        after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not (answer := predicate()):
                    await self._bell.wait()
                return answer
        except TimeoutError:
            raise TimeoutError(f"the sandbox's Discord did not come to that state within {timeout:g} s") from None


class DiscordWorld:
    """All state, in plain dictionaries by id; values are frozen and replaced."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.guilds: dict[str, Guild] = {}
        self.roles: dict[str, GuildRole] = {}
        self.users: dict[str, DiscordUser] = {}
        self.members: dict[tuple[str, str], Member] = {}  # (guild, user)
        self.channels: dict[str, DiscordChannel] = {}
        self.files: dict[str, bytes] = {}  # by attachment id
        self.user_install = True  # whether the portal lets people add the app to their account
        self.installed: set[str] = set()  # ids of people who did
        self._messages: dict[str, dict[str, DiscordMessage]] = {}
        self._typing: dict[tuple[str, str], float] = {}  # (channel, user) -> since
        self._timers: set[asyncio.TimerHandle] = set()
        self._last = 0
        self.bot = DiscordUser(BOT_ID, "Nebula", bot=True)
        self.users[self.bot.id] = self.bot

    def new_id(self, shard: tuple[int, int] | None = None) -> str:
        """A new snowflake, greater than all before. `shard`: the number of the shard that it must belong to, and the
        number of shards."""
        self._last = max(self._last + 1, (int(time.time() * 1000) - EPOCH) << 22)
        while shard and (self._last >> 22) % shard[1] != shard[0]:
            self._last += 1 << 22
        return str(self._last)

    def messages(self, channel: str) -> dict[str, DiscordMessage]:
        """The messages of a channel by id, oldest first."""
        return self._messages.setdefault(channel, {})

    def put(self, message: DiscordMessage) -> None:
        """Store a new or changed message. A message ends its author's typing indicator."""
        self.messages(message.channel)[message.id] = message
        self._typing.pop((message.channel, message.author.id), None)
        self.watch.changed()

    def remove(self, message: DiscordMessage) -> None:
        """Remove a message."""
        self.messages(message.channel).pop(message.id, None)
        self.watch.changed()

    def shows(self, file: str) -> bool:
        """Whether a message still has a file, or forwards one that had it."""
        everything = (message for messages in self._messages.values() for message in messages.values())
        return any(
            file == each.id
            for message in everything
            for each in (*message.attachments, *(message.forwarded.attachments if message.forwarded else ()))
        )

    def type(self, channel: str, user: str) -> None:
        """Start or continue typing for ten seconds."""
        self._typing[channel, user] = time.monotonic()
        timers = self._timers

        def over() -> None:
            timers.discard(timer)
            self.watch.changed()

        timer = asyncio.get_running_loop().call_later(TYPING_SECONDS, over)
        timers.add(timer)
        self.watch.changed()

    def typing(self, channel: str, user: str) -> bool:
        """Whether somebody is shown as typing."""
        since = self._typing.get((channel, user))
        return since is not None and time.monotonic() - since < TYPING_SECONDS

    def close(self) -> None:
        """Cancel the timers."""
        for timer in self._timers:
            timer.cancel()

    def dm_with(self, user: str) -> DiscordChannel:
        """The direct channel between the bot and somebody; opens it if needed."""
        for channel in self.channels.values():
            if channel.kind is ChannelKind.DM and channel.recipient == user:
                return channel
        channel = DiscordChannel(self.new_id(), self.users[user].name, ChannelKind.DM, recipient=user)
        self.channels[channel.id] = channel
        return channel

    def joined(self, guild: str) -> bool:
        """Whether the bot is in a guild."""
        return (guild, self.bot.id) in self.members

    def members_of(self, guild: str) -> list[Member]:
        """Everybody in a guild."""
        return [member for (where, _), member in self.members.items() if where == guild]

    def roles_of(self, guild: str) -> list[GuildRole]:
        """The roles of a guild, @everyone first."""
        return [role for role in self.roles.values() if role.guild == guild]

    def bot_role(self, guild: str) -> GuildRole | None:
        """The bot's managed role in a guild."""
        return next((role for role in self.roles_of(guild) if role.bot == self.bot.id), None)

    def permissions(self, user: str, channel: DiscordChannel) -> Permission:
        """What a user may do in a channel (topics/permissions#permission-overwrites); nothing if not a member."""
        if channel.kind is ChannelKind.DM:
            return Permission.ALL if user in (channel.recipient, self.bot.id) else Permission.NONE
        if channel.kind is ChannelKind.GROUP:
            return Permission.ALL if user in channel.group else Permission.NONE
        member = self.members.get((channel.guild, user))
        if member is None:
            return Permission.NONE
        base = self.base_permissions(member)
        if base == Permission.ALL:
            return Permission.ALL
        place = self.channels.get(channel.parent, channel) if channel.kind in THREADS else channel
        rules = {rule.target: rule for rule in place.overwrites}
        if everyone := rules.get(channel.guild):
            base = base & ~everyone.deny | everyone.allow
        mine = [rules[role] for role in member.roles if role in rules]
        for rule in mine:
            base &= ~rule.deny
        for rule in mine:
            base |= rule.allow
        if own := rules.get(user):
            base = base & ~own.deny | own.allow
        return base if base & Permission.VIEW_CHANNEL else Permission.NONE

    def base_permissions(self, member: Member) -> Permission:
        """What a member may do in a guild, where no channel says otherwise."""
        base = self.roles[member.guild].permissions
        for role in member.roles:
            base |= self.roles[role].permissions
        owner = self.guilds[member.guild].owner == member.user
        return Permission.ALL if owner or base & Permission.ADMINISTRATOR else base

    def may_send(self, user: str, channel: DiscordChannel) -> bool:
        """Whether somebody may write here. Threads need another permission than channels (topics/threads)."""
        needed = Permission.SEND_MESSAGES_IN_THREADS if channel.kind in THREADS else Permission.SEND_MESSAGES
        return bool(self.permissions(user, channel) & needed)


def created(snowflake: str) -> float:
    """When an id was created, in epoch seconds."""
    return ((int(snowflake) >> 22) + EPOCH) / 1000


def iso(at: float) -> str:
    """Epoch seconds as Discord writes them."""
    return datetime.fromtimestamp(at, UTC).isoformat()
