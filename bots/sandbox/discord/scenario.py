"""Setting the scene: guilds, roles, members, channels and threads of the sandbox's Discord, and looking at them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.state import World
from bots.sandbox.discord.values import (
    EVERYONE,
    THREADS,
    Channel,
    Guild,
    Kind,
    Member,
    Message,
    Overwrite,
    Permission,
    Role,
    User,
)
from bots.sandbox.discord.wire import Wire

T = TypeVar("T")


class Places:
    """Who and what there is. What is added while the bot is connected is told to it."""

    def __init__(self, world: World, wire: Wire, gateway: Gateway, messages: Messages, routes: Routes) -> None:
        self._world, self.wire, self.gateway = world, wire, gateway
        self._messages, self._routes = messages, routes

    def add_guild(
        self,
        name: str,
        *,
        owner: str = "Olivia",
        bot_permissions: Permission = EVERYONE,
        shard: tuple[int, int] | None = None,
    ) -> Guild:
        """A guild with @everyone, an owner by name, and the bot with its managed role (which has the bot's name).

        `shard`: its number, and of how many, if it is to be in a certain one.
        """
        world = self._world
        boss = User(world.new_id(), owner)
        guild = Guild(world.new_id(shard), name, boss.id)
        own = Role(world.new_id(), guild.id, world.bot.name, bot_permissions, bot=world.bot.id)
        world.users[boss.id], world.guilds[guild.id] = boss, guild
        world.roles[guild.id] = Role(guild.id, guild.id, "@everyone", EVERYONE)
        world.roles[own.id] = own
        world.members[guild.id, boss.id] = Member(boss.id, guild.id)
        world.members[guild.id, world.bot.id] = Member(world.bot.id, guild.id, (own.id,))
        self.gateway.guild_create(guild)
        return guild

    def add_role(self, guild: Guild, name: str, permissions: Permission = Permission.NONE) -> Role:
        """A role."""
        role = Role(self._world.new_id(), guild.id, name, permissions)
        self._world.roles[role.id] = role
        payload = {"guild_id": guild.id, "role": self.wire.role(role)}
        self.gateway.dispatch("GUILD_ROLE_CREATE", lambda _: payload, guild=guild.id, guild_intent=Intent.GUILDS)
        return role

    def add_member(
        self,
        guild: Guild,
        who: str | User,
        *,
        permissions: Permission = Permission.NONE,
        roles: Sequence[Role] = (),
        bot: bool = False,
        dms: bool = True,
    ) -> User:
        """A person (or another bot) by name, or one from another guild; `permissions` become a role of their own."""
        user = who if isinstance(who, User) else User(self._world.new_id(), who, bot, dms)
        self._world.users[user.id] = user
        held = [*roles, self.add_role(guild, f"{user.name}'s role", permissions)] if permissions else roles
        member = Member(user.id, guild.id, tuple(role.id for role in held))
        self._world.members[guild.id, user.id] = member
        payload = self.wire.member(member) | {"guild_id": guild.id}
        self.gateway.dispatch("GUILD_MEMBER_ADD", lambda _: payload, guild=guild.id, guild_intent=Intent.MEMBERS)
        return user

    def add_channel(
        self, guild: Guild, name: str, kind: Kind = Kind.TEXT, *, overwrites: Sequence[Overwrite] = ()
    ) -> Channel:
        """A channel."""
        position = sum(channel.guild == guild.id for channel in self._world.channels.values())
        channel = Channel(self._world.new_id(), name, kind, guild.id, overwrites=tuple(overwrites), position=position)
        self._world.channels[channel.id] = channel
        payload = self.wire.channel(channel)
        self.gateway.dispatch("CHANNEL_CREATE", lambda _: payload, guild=guild.id, guild_intent=Intent.GUILDS)
        return channel

    def add_thread(
        self, channel: Channel, name: str, *, owner: User | None = None, message: Message | None = None
    ) -> Channel:
        """A public thread that a person (the guild's owner by default) starts, on a message or by itself."""
        boss = owner.id if owner else self._world.guilds[channel.guild].owner
        current = message and self._world.messages(channel.id)[message.id]
        return self._routes.start_thread(channel, name, boss, current, Kind.PUBLIC_THREAD)

    def overwrite(self, channel: Channel, *overwrites: Overwrite) -> Channel:
        """Replace a channel's permission overwrites."""
        return self._change(replace(self._world.channels[channel.id], overwrites=overwrites))

    def archive(self, thread: Channel, *, locked: bool = False) -> Channel:
        """Archive a thread, and lock it too."""
        return self._change(replace(self._world.channels[thread.id], archived=True, locked=locked))

    def _change(self, channel: Channel) -> Channel:
        self._messages.update_thread(channel)
        return channel

    def remove_channel(self, channel: Channel) -> None:
        """Somebody deletes a channel, with all that was said in it."""
        payload = self.wire.channel(self._world.channels.pop(channel.id))
        self.gateway.dispatch("CHANNEL_DELETE", lambda _: payload, guild=channel.guild, guild_intent=Intent.GUILDS)

    def open_dm(self, user: User) -> Channel:
        """The direct channel between a person and the bot."""
        return self._world.dm_with(user.id)

    def threads(self, channel: Channel) -> tuple[Channel, ...]:
        """The threads of a channel as they stand, oldest first."""
        found = self._world.channels.values()
        return tuple(one for one in found if one.kind in THREADS and one.parent == channel.id)

    def channels(self, guild: Guild) -> tuple[Channel, ...]:
        """The channels of a guild as they stand, without threads."""
        found = self._world.channels.values()
        return tuple(one for one in found if one.guild == guild.id and one.kind not in THREADS)

    def user(self, number: str) -> User:
        """Somebody by id."""
        return self._world.users[number]

    def member(self, guild: Guild, user: User) -> Member:
        """Somebody in a guild."""
        return self._world.members[guild.id, user.id]

    def bot_role(self, guild: Guild) -> Role:
        """The bot's managed role."""
        role = self._world.bot_role(guild.id)
        if role is None:
            raise LookupError(f"the bot has no role in {guild.name}")
        return role

    def messages(self, channel: Channel) -> tuple[Message, ...]:
        """The messages of a channel as they stand, oldest first, ephemeral ones too."""
        return tuple(self._world.messages(channel.id).values())

    def message(self, message: Message) -> Message | None:
        """A message as it stands now; None once it is deleted."""
        return self._world.messages(message.channel).get(message.id)

    def typing(self, channel: Channel) -> bool:
        """Whether the bot is shown as typing: within ten seconds of its call and until its next message."""
        return self._world.typing(channel.id, self._world.bot.id)

    async def until(self, predicate: Callable[[], T | None], timeout: float = 120.0) -> T:
        """The first truthy answer of `predicate`, asked now and on each change. TimeoutError after `timeout` s."""
        return await self._world.watch.until(predicate, timeout)
