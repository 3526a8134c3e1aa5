"""Creates and shows the guilds, roles, members, channels and threads of the sandbox's Discord."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.values import (
    EVERYONE_PERMISSIONS,
    THREADS,
    ChannelKind,
    DiscordChannel,
    DiscordMessage,
    DiscordRefuses,
    DiscordUser,
    Guild,
    GuildRole,
    Member,
    Overwrite,
    Permission,
)
from bots.sandbox.discord.world.wire import DiscordWire

T = TypeVar("T")


class DiscordPlaces:
    """All guilds, channels and users. A connected bot receives the events of what is added."""

    def __init__(
        self, world: DiscordWorld, wire: DiscordWire, gateway: Gateway, messages: Messages, routes: Routes
    ) -> None:
        self._world, self.wire, self.gateway = world, wire, gateway
        self._messages, self._routes = messages, routes

    def add_guild(
        self,
        name: str,
        *,
        owner: str = "Olivia",
        bot_permissions: Permission = EVERYONE_PERMISSIONS,
        everyone: Permission = EVERYONE_PERMISSIONS,
        shard: tuple[int, int] | None = None,
        system: str = "",
        overwrites: Sequence[Overwrite] = (),
        joined: float | None = None,
        bot: bool = True,
    ) -> Guild:
        """Add a guild with @everyone, an owner by name, and the bot with its managed role (which has the bot's name),
        unless `bot` is false.

        `shard`: the number of its shard and the number of shards, if it must be in a certain one. `system`: the name of
        its system channel, which has these overwrites; "" for none. `joined`: when the bot was added, in epoch seconds,
        if not now.
        """
        world = self._world
        boss = DiscordUser(world.new_id(), owner)
        number, at = world.new_id(shard), time.time() if joined is None else joined
        guild = Guild(number, name, boss.id, world.new_id() if system else "", at)
        if system:
            world.channels[guild.system] = DiscordChannel(
                guild.system, system, ChannelKind.TEXT, number, overwrites=tuple(overwrites)
            )
        own = GuildRole(world.new_id(), guild.id, world.bot.name, bot_permissions, bot=world.bot.id)
        world.users[boss.id], world.guilds[guild.id] = boss, guild
        world.roles[guild.id] = GuildRole(guild.id, guild.id, "@everyone", everyone)
        world.members[guild.id, boss.id] = Member(boss.id, guild.id)
        if bot:
            world.roles[own.id] = own
            world.members[guild.id, world.bot.id] = Member(world.bot.id, guild.id, (own.id,))
            self.gateway.guild_create(guild, joined=True)
        return guild

    def install(self, user: DiscordUser) -> None:
        """A person adds the app to their account. Raises DiscordRefuses if the portal does not let them."""
        if not self._world.user_install:
            raise DiscordRefuses("this app can't be added to an account")
        self._world.installed.add(user.id)

    def add_group(self, name: str, *people: DiscordUser) -> DiscordChannel:
        """Add a group chat of people, which the bot can't join."""
        group = tuple(each.id for each in people)
        channel = DiscordChannel(self._world.new_id(), name, ChannelKind.GROUP, owner=group[0], group=group)
        self._world.channels[channel.id] = channel
        return channel

    def add_role(self, guild: Guild, name: str, permissions: Permission = Permission.NONE) -> GuildRole:
        """Add a role."""
        role = GuildRole(self._world.new_id(), guild.id, name, permissions)
        self._world.roles[role.id] = role
        payload = {"guild_id": guild.id, "role": self.wire.role(role)}
        self.gateway.dispatch("GUILD_ROLE_CREATE", lambda _: payload, guild=guild.id, guild_intent=Intent.GUILDS)
        return role

    def add_member(
        self,
        guild: Guild,
        who: str | DiscordUser,
        *,
        permissions: Permission = Permission.NONE,
        roles: Sequence[GuildRole] = (),
        bot: bool = False,
        dms: bool = True,
        nick: str = "",
    ) -> DiscordUser:
        """Add a person (or another bot) by name, or one from another guild. `permissions` become a role of their
        own."""
        user = who if isinstance(who, DiscordUser) else DiscordUser(self._world.new_id(), who, bot, dms)
        self._world.users[user.id] = user
        held = [*roles, self.add_role(guild, f"{user.name}'s role", permissions)] if permissions else roles
        member = Member(user.id, guild.id, tuple(role.id for role in held), nick)
        self._world.members[guild.id, user.id] = member
        payload = self.wire.member(member) | {"guild_id": guild.id}
        self.gateway.dispatch("GUILD_MEMBER_ADD", lambda _: payload, guild=guild.id, guild_intent=Intent.MEMBERS)
        return user

    def add_channel(
        self, guild: Guild, name: str, kind: ChannelKind = ChannelKind.TEXT, *, overwrites: Sequence[Overwrite] = ()
    ) -> DiscordChannel:
        """Add a channel."""
        position = sum(channel.guild == guild.id for channel in self._world.channels.values())
        channel = DiscordChannel(
            self._world.new_id(), name, kind, guild.id, overwrites=tuple(overwrites), position=position
        )
        self._world.channels[channel.id] = channel
        payload = self.wire.channel(channel)
        self.gateway.dispatch("CHANNEL_CREATE", lambda _: payload, guild=guild.id, guild_intent=Intent.GUILDS)
        return channel

    def add_thread(
        self,
        channel: DiscordChannel,
        name: str,
        *,
        owner: DiscordUser | None = None,
        message: DiscordMessage | None = None,
        kind: ChannelKind = ChannelKind.PUBLIC_THREAD,
    ) -> DiscordChannel:
        """Add a thread that a person (by default the guild's owner) starts, on a message or without one."""
        boss = owner.id if owner else self._world.guilds[channel.guild].owner
        current = message and self._world.messages(channel.id)[message.id]
        return self._routes.start_thread(channel, name, boss, current, kind)

    def overwrite(self, channel: DiscordChannel, *overwrites: Overwrite) -> DiscordChannel:
        """Replace a channel's permission overwrites."""
        return self._change(replace(self._world.channels[channel.id], overwrites=overwrites))

    def rename(self, channel: DiscordChannel, name: str) -> DiscordChannel:
        """Somebody gives a channel or thread another name."""
        return self._change(replace(self._world.channels[channel.id], name=name))

    def channel(self, number: str) -> DiscordChannel:
        """The channel or thread with this id, as it is now."""
        return self._world.channels[number]

    def archive(self, thread: DiscordChannel, *, locked: bool = False) -> DiscordChannel:
        """Archive a thread, and optionally lock it."""
        return self._change(replace(self._world.channels[thread.id], archived=True, locked=locked))

    def _change(self, channel: DiscordChannel) -> DiscordChannel:
        self._messages.update_thread(channel)
        return channel

    def remove_channel(self, channel: DiscordChannel) -> None:
        """Somebody deletes a channel with all its messages."""
        payload = self.wire.channel(self._world.channels.pop(channel.id))
        self.gateway.dispatch("CHANNEL_DELETE", lambda _: payload, guild=channel.guild, guild_intent=Intent.GUILDS)

    def open_dm(self, user: DiscordUser) -> DiscordChannel:
        """The direct channel between a person and the bot."""
        return self._world.dm_with(user.id)

    def threads(self, channel: DiscordChannel) -> tuple[DiscordChannel, ...]:
        """The threads of a channel as they are now, oldest first."""
        found = self._world.channels.values()
        return tuple(one for one in found if one.kind in THREADS and one.parent == channel.id)

    def channels(self, guild: Guild) -> tuple[DiscordChannel, ...]:
        """The channels of a guild as they are now, without threads."""
        found = self._world.channels.values()
        return tuple(one for one in found if one.guild == guild.id and one.kind not in THREADS)

    def user(self, number: str) -> DiscordUser:
        """The user with this id."""
        return self._world.users[number]

    def member(self, guild: Guild, user: DiscordUser) -> Member:
        """Somebody in a guild."""
        return self._world.members[guild.id, user.id]

    def bot_role(self, guild: Guild) -> GuildRole:
        """The bot's managed role."""
        role = self._world.bot_role(guild.id)
        if role is None:
            raise LookupError(f"the bot has no role in {guild.name}")
        return role

    def messages(self, channel: DiscordChannel) -> tuple[DiscordMessage, ...]:
        """The messages of a channel as they are now, oldest first, including ephemeral ones."""
        return tuple(self._world.messages(channel.id).values())

    def message(self, message: DiscordMessage) -> DiscordMessage | None:
        """A message as it is now; None once it is deleted."""
        return self._world.messages(message.channel).get(message.id)

    def typing(self, channel: DiscordChannel) -> bool:
        """Whether the bot is shown as typing: within ten seconds of its call and until its next message."""
        return self._world.typing(channel.id, self._world.bot.id)

    async def until(self, predicate: Callable[[], T | None], timeout: float = 120.0) -> T:
        """Return the first true value of `predicate`, which is checked now and after each change. Raises TimeoutError
        after `timeout` seconds."""
        return await self._world.watch.until(predicate, timeout)
