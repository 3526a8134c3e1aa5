"""The payloads of the sandbox's Discord, in the shapes of the real API."""

import time

from bots.sandbox.discord.world.cdn import Cdn
from bots.sandbox.discord.world.state import DiscordWorld, created, iso
from bots.sandbox.discord.world.values import (
    FORUMS,
    HAS_THREAD,
    STARTER,
    THREADS,
    ChannelKind,
    DiscordAttachment,
    DiscordChannel,
    DiscordMessage,
    DiscordUser,
    Guild,
    GuildRole,
    Json,
    Member,
    Portal,
)

MANAGED = 1  # position of roles above @everyone
# What a forwarded message has (resources/message#message-snapshot-object): neither an author nor an id.
SNAPSHOT = (
    *("type", "content", "embeds", "attachments", "timestamp", "edited_timestamp", "flags", "mentions"),
    *("mention_roles", "components"),
)


class DiscordWire:
    """Builds payloads from the world. `role_mention_unlocks`: whether a mention of the bot's role shows it the
    content. `memberless`: events with messages leave out their author's member."""

    def __init__(self, world: DiscordWorld, cdn: Cdn, application: str, *, role_mention_unlocks: bool) -> None:
        self._world, self._cdn = world, cdn
        self._application = application
        self._role_unlocks = role_mention_unlocks
        self.memberless = False
        self.portal = Portal()

    def user(self, user: DiscordUser) -> Json:
        """A user object."""
        payload: Json = {
            "id": user.id,
            "username": user.name.lower().replace(" ", "_"),
            "discriminator": "0000" if user.bot else "0",
            "global_name": None if user.bot else user.name,
            "avatar": None,
            "public_flags": 0,
        }
        if user.bot:
            payload |= {"username": user.name, "bot": True}
        return payload

    def member(self, member: Member, *, user: bool = True) -> Json:
        """A guild member object. Others joined when the guild was made."""
        own = member.user == self._world.bot.id
        payload: Json = {
            "nick": member.nick or None,
            "avatar": None,
            "roles": list(member.roles),
            "joined_at": iso(self._world.guilds[member.guild].joined if own else created(member.guild)),
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        return payload | {"user": self.user(self._world.users[member.user])} if user else payload

    def role(self, role: GuildRole) -> Json:
        """A role object; the bot's own role names it in its tags."""
        payload: Json = {
            "id": role.id,
            "name": role.name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "position": 0 if role.id == role.guild else MANAGED,
            "permissions": str(int(role.permissions)),
            "managed": bool(role.bot),
            "mentionable": False,
            "flags": 0,
        }
        return payload | {"tags": {"bot_id": role.bot}} if role.bot else payload

    def channel(self, channel: DiscordChannel) -> Json:
        """A channel, thread or DM object."""
        last = next(reversed(self._world.messages(channel.id)), None)
        payload: Json = {"id": channel.id, "type": int(channel.kind), "last_message_id": last, "flags": 0}
        if channel.kind is ChannelKind.DM:
            return payload | {"recipients": [self.user(self._world.users[channel.recipient])]}
        if channel.kind is ChannelKind.GROUP:
            people = [self.user(self._world.users[each]) for each in channel.group]
            return payload | {"recipients": people, "owner_id": channel.owner, "name": channel.name, "icon": None}
        payload |= {
            "guild_id": channel.guild,
            "name": channel.name,
            "parent_id": channel.parent or None,
            "rate_limit_per_user": 0,
        }
        if channel.kind in THREADS:
            count = len(self._world.messages(channel.id))
            return payload | {
                "owner_id": channel.owner,
                "message_count": count,
                "member_count": 1,
                "total_message_sent": count,
                "thread_metadata": {
                    "archived": channel.archived,
                    "auto_archive_duration": channel.auto_archive,
                    "archive_timestamp": iso(created(channel.id)),
                    "locked": channel.locked,
                    "create_timestamp": iso(created(channel.id)),
                },
            }
        overwrites = [
            {
                "id": rule.target,
                "type": 0 if rule.target in self._world.roles else 1,
                "allow": str(int(rule.allow)),
                "deny": str(int(rule.deny)),
            }
            for rule in channel.overwrites
        ]
        if channel.kind in FORUMS:
            payload |= {"available_tags": [], "default_forum_layout": 0, "default_sort_order": None}
        return payload | {
            "position": channel.position,
            "permission_overwrites": overwrites,
            "nsfw": False,
            "topic": None,
        }

    def guild(self, guild: Guild, *, everybody: bool = False, create: bool = True) -> Json:
        """A guild object; with `create` as in GUILD_CREATE, which without intents lists only the bot as a member."""
        world = self._world
        payload: Json = {
            "id": guild.id,
            "name": guild.name,
            "owner_id": guild.owner,
            "icon": None,
            "roles": [self.role(role) for role in world.roles_of(guild.id)],
            "emojis": [],
            "stickers": [],
            "features": [],
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "premium_progress_bar_enabled": False,
            "preferred_locale": "en-US",
            "system_channel_id": guild.system or None,
            "system_channel_flags": 0,
        }
        if not create:
            return payload
        members = world.members_of(guild.id)
        channels = [channel for channel in world.channels.values() if channel.guild == guild.id]
        return payload | {
            "joined_at": iso(guild.joined),
            "large": False,
            "unavailable": False,
            "member_count": len(members),
            "members": [self.member(member) for member in members if everybody or member.user == world.bot.id],
            "channels": [self.channel(channel) for channel in channels if channel.kind not in THREADS],
            "threads": [self.channel(it) for it in channels if it.kind in THREADS and not it.archived],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }

    def attachment(self, file: DiscordAttachment) -> Json:
        """An attachment object; the content type is left out if it is not known
        (resources/message#attachment-object)."""
        url = self._cdn.renewed(file)
        payload: Json = {"id": file.id, "filename": file.name, "size": file.size, "url": url, "proxy_url": url}
        if file.kind:
            payload["content_type"] = file.kind
        if file.description:
            payload["description"] = file.description
        return payload | {"ephemeral": True} if file.ephemeral else payload

    def reveals(self, message: DiscordMessage) -> bool:
        """Whether an app without the content intent receives the content (events/gateway#message-content-intent)."""
        bot = self._world.bot.id
        if not message.guild or message.author.id == bot or bot in message.mentions:
            return True
        role = self._world.bot_role(message.guild)
        return self._role_unlocks and role is not None and role.id in message.mention_roles

    def message(self, message: DiscordMessage, *, content: bool, event: bool = False, reference: bool = True) -> Json:
        """A message object. Without `content` (the intent) it lacks what Discord removes; `event` adds guild and
        member."""
        world = self._world
        shown = content or self.reveals(message)
        payload: Json = {
            "id": message.id,
            "channel_id": message.channel,
            "type": message.type,
            "author": self.user(message.author),
            "content": message.content if shown else "",
            "timestamp": iso(message.at),
            "edited_timestamp": iso(message.edited) if message.edited else None,
            "tts": False,
            "mention_everyone": message.mention_everyone,
            "mentions": [self._mentioned(user, message.guild, event) for user in message.mentions],
            "mention_roles": list(message.mention_roles),
            "attachments": [self.attachment(file) for file in message.attachments] if shown else [],
            "embeds": list(message.embeds) if shown else [],
            "components": list(message.components) if shown else [],
            "pinned": False,
            "flags": message.flags,
        }
        if message.reactions:
            payload["reactions"] = [
                {
                    "emoji": emoji(reaction.emoji),
                    "count": len(reaction.users),
                    "count_details": {"burst": 0, "normal": len(reaction.users)},
                    "me": world.bot.id in reaction.users,
                    "me_burst": False,
                    "burst_colors": [],
                }
                for reaction in message.reactions
            ]
        if message.nonce:
            payload["nonce"] = message.nonce
        if message.response:
            payload |= {"webhook_id": self._application, "application_id": self._application}
        if message.webhook:
            payload["webhook_id"] = message.webhook
        if message.interaction:
            payload["interaction_metadata"] = message.interaction
        if message.stickers:
            payload["sticker_items"] = [{"id": message.id, "name": name, "format_type": 1} for name in message.stickers]
        if message.reference:
            where = self._parent(message.channel) if message.type == STARTER else message.channel
            payload["message_reference"] = self._reference(0, message.reference, where, message.guild)
            if reference:
                original = world.messages(where).get(message.reference)
                payload["referenced_message"] = original and self.message(original, content=content, reference=False)
        if other := message.forwarded:
            payload["message_reference"] = self._reference(1, other.id, other.channel, other.guild)
            # Whether the content of a snapshot depends on the intent is not documented; we take it that it does.
            whole = self.message(other, content=shown, reference=False)
            payload["message_snapshots"] = [{"message": {name: whole[name] for name in SNAPSHOT}}]
        if message.flags & HAS_THREAD and message.id in world.channels:
            payload["thread"] = self.channel(world.channels[message.id])
        if event and message.guild:
            payload["guild_id"] = message.guild
            member = world.members.get((message.guild, message.author.id))
            if member is not None and not self.memberless:
                payload["member"] = self.member(member, user=False)
        return payload

    def _parent(self, thread: str) -> str:
        found = self._world.channels.get(thread)
        return found.parent if found else ""

    def _reference(self, kind: int, message: str, channel: str, guild: str) -> Json:
        payload: Json = {"type": kind, "message_id": message, "channel_id": channel}
        return payload | {"guild_id": guild} if guild else payload

    def _mentioned(self, user: str, guild: str, event: bool) -> Json:
        payload = self.user(self._world.users[user])
        member = self._world.members.get((guild, user))
        return payload | {"member": self.member(member, user=False)} if event and member else payload

    def application(self, *, flags: int) -> Json:
        """The application object of the bot."""
        bot = self._world.bot
        kinds = ("0", "1") if self._world.user_install else ("0",)
        return {
            "integration_types_config": {kind: {} for kind in kinds},
            "id": self._application,
            "name": bot.name,
            "description": "",
            "icon": None,
            "bot_public": self.portal.public,
            "bot_require_code_grant": self.portal.code_grant,
            "verify_key": "0" * 64,
            "owner": self.user(bot),
            "team": None,
            "flags": flags,
            "summary": "",
            "approximate_guild_count": sum(map(self._world.joined, self._world.guilds)),
            "interactions_endpoint_url": self.portal.interactions_url or None,
        }

    def thread_member(self, thread: DiscordChannel, user: str) -> Json:
        """A thread member object."""
        return {"id": thread.id, "user_id": user, "join_timestamp": iso(time.time()), "flags": 0}


def emoji(name: str) -> Json:
    """A partial emoji from "👍" or "name:id"."""
    plain, _, number = name.partition(":")
    return {"id": number or None, "name": plain}
