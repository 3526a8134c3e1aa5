"""The REST endpoints for a bot: itself, guilds, channels, messages, reactions and threads."""

import time
from dataclasses import replace
from urllib.parse import unquote

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.limits import DiscordLimiter
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.rest import Endpoint, RestAnswer, RestRequest, form
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.state import DiscordWorld, created
from bots.sandbox.discord.world.validation import ApiError, invalid, text
from bots.sandbox.discord.world.values import (
    HAS_THREAD,
    THREADS,
    ChannelKind,
    DiscordChannel,
    DiscordMessage,
    Guild,
    Json,
    Permission,
)
from bots.sandbox.discord.world.wire import DiscordWire

TALK = frozenset({ChannelKind.TEXT, ChannelKind.DM, ChannelKind.VOICE, ChannelKind.ANNOUNCEMENT}) | THREADS
ARCHIVE_AFTER = frozenset({60, 1440, 4320, 10_080})  # minutes


class Routes:
    """The requests that the bot may make. `privileged` are the intents switched on in the developer portal."""

    def __init__(
        self,
        world: DiscordWorld,
        wire: DiscordWire,
        gateway: Gateway,
        messages: Messages,
        limiter: DiscordLimiter,
        privileged: Intent,
    ) -> None:
        self._world, self._wire, self._gateway, self._messages = world, wire, gateway, messages
        self._limiter, self.privileged = limiter, privileged

    def endpoints(self) -> list[Endpoint]:
        """The table of routes."""
        message = "/channels/{channel}/messages/{message}"
        return [
            Endpoint("GET", "/gateway", lambda _: RestAnswer({"url": self._gateway.url}), bot=False),
            Endpoint("GET", "/gateway/bot", self._gateway_bot),
            Endpoint("GET", "/users/@me", lambda _: RestAnswer(self._wire.user(self._world.bot))),
            Endpoint("GET", "/users/@me/guilds", self._my_guilds),
            Endpoint("POST", "/users/@me/channels", self._open_dm),
            Endpoint("GET", "/users/{user}", self._user),
            Endpoint("GET", "/oauth2/applications/@me", self._application),
            Endpoint("GET", "/applications/@me", self._application),
            Endpoint("GET", "/guilds/{guild}", self._guild),
            Endpoint("GET", "/guilds/{guild}/channels", self._channels),
            Endpoint("GET", "/guilds/{guild}/roles", self._roles),
            Endpoint("GET", "/guilds/{guild}/members/{user}", self._member),
            Endpoint("GET", "/channels/{channel}", self._channel),
            Endpoint("PATCH", "/channels/{channel}", self._change_channel),
            Endpoint("POST", "/channels/{channel}/typing", self._type, "typing"),
            Endpoint("GET", "/channels/{channel}/messages", self._list, "read"),
            Endpoint("POST", "/channels/{channel}/messages", self._post, "post"),
            Endpoint("GET", message, self._get, "read"),
            Endpoint("PATCH", message, self._edit, "edit"),
            Endpoint("DELETE", message, self._delete, "delete"),
            Endpoint("PUT", message + "/reactions/{emoji}/@me", lambda ask: self._react(ask, True), "reaction"),
            Endpoint("DELETE", message + "/reactions/{emoji}/@me", lambda ask: self._react(ask, False), "reaction"),
            Endpoint("POST", message + "/threads", self._thread_from, "thread"),
            Endpoint("POST", "/channels/{channel}/threads", self._thread, "thread"),
            Endpoint("PUT", "/channels/{channel}/thread-members/@me", self._join),
        ]

    def place(self, ask: RestRequest, needs: Permission = Permission.VIEW_CHANNEL) -> DiscordChannel:
        """The channel of a request, if the bot sees it and has the permissions. Raises ApiError otherwise."""
        channel = self._world.channels.get(ask.path["channel"])
        if channel is None:
            raise ApiError(10003)
        held = self._world.permissions(self._world.bot.id, channel)
        if not held & Permission.VIEW_CHANNEL:
            raise ApiError(50001)
        if needs & ~held:
            raise ApiError(50013)
        return channel

    def _gateway_bot(self, _: RestRequest) -> RestAnswer:
        remaining = max(0, 1000 - self._gateway.identifies)
        start = {"total": 1000, "remaining": remaining, "reset_after": 86_400_000, "max_concurrency": 1}
        return RestAnswer({"url": self._gateway.url, "shards": 1, "session_start_limit": start})

    def _application(self, _: RestRequest) -> RestAnswer:
        return RestAnswer(self._wire.application(flags=self.privileged.flags))

    def _my_guilds(self, _: RestRequest) -> RestAnswer:
        world = self._world
        mine = [(guild, world.members.get((guild.id, world.bot.id))) for guild in world.guilds.values()]
        return RestAnswer(
            [
                {
                    "id": guild.id,
                    "name": guild.name,
                    "icon": None,
                    "owner": False,
                    "permissions": str(int(world.base_permissions(member))),
                    "features": [],
                }
                for guild, member in mine
                if member
            ]
        )

    def _user(self, ask: RestRequest) -> RestAnswer:
        user = self._world.users.get(ask.path["user"])
        if user is None:
            raise ApiError(10013)
        return RestAnswer(self._wire.user(user))

    def _open_dm(self, ask: RestRequest) -> RestAnswer:
        user = self._world.users.get(str(form(ask).get("recipient_id")))
        if user is None or user.id == self._world.bot.id:
            raise ApiError(50007 if user else 10013)
        return RestAnswer(self._wire.channel(self._world.dm_with(user.id)))

    def _server(self, ask: RestRequest) -> Guild:
        guild = self._world.guilds.get(ask.path["guild"])
        if guild is None or not self._world.joined(guild.id):
            raise ApiError(10004)
        return guild

    def _guild(self, ask: RestRequest) -> RestAnswer:
        return RestAnswer(self._wire.guild(self._server(ask), create=False))

    def _channels(self, ask: RestRequest) -> RestAnswer:
        guild = self._server(ask).id
        found = [one for one in self._world.channels.values() if one.guild == guild and one.kind not in THREADS]
        return RestAnswer([self._wire.channel(channel) for channel in found])

    def _roles(self, ask: RestRequest) -> RestAnswer:
        return RestAnswer([self._wire.role(role) for role in self._world.roles_of(self._server(ask).id)])

    def _member(self, ask: RestRequest) -> RestAnswer:
        member = self._world.members.get((self._server(ask).id, ask.path["user"]))
        if member is None:
            raise ApiError(10007 if ask.path["user"] in self._world.users else 10013)
        return RestAnswer(self._wire.member(member))

    def _channel(self, ask: RestRequest) -> RestAnswer:
        return RestAnswer(self._wire.channel(self.place(ask)))

    def _change_channel(self, ask: RestRequest) -> RestAnswer:
        channel, body = self.place(ask), form(ask)
        thread = channel.kind in THREADS
        own = thread and channel.owner == self._world.bot.id and not channel.locked
        metadata = body.get("thread_metadata") or body
        # Everybody who may write in a thread may reopen it, unless it is locked (resources/channel#modify-channel).
        opened = thread and metadata.get("archived") is False and not channel.locked
        if opened and not self._world.may_send(self._world.bot.id, channel):
            raise ApiError(50013)
        if not (own or opened):
            self.place(ask, Permission.MANAGE_THREADS if thread else Permission.MANAGE_CHANNELS)
        if "name" in body:
            text("name", str(body["name"]), 100, 1)
            if channel.name != str(body["name"]) and (wait := self._limiter.take_rename(channel.id)):
                raise ApiError(0, status=429, retry_after=wait, message="You are being rate limited.")
        channel = replace(
            channel,
            name=str(body.get("name", channel.name)),
            archived=bool(metadata.get("archived", channel.archived)),
            locked=bool(metadata.get("locked", channel.locked)),
        )
        self._messages.update_thread(channel)
        return RestAnswer(self._wire.channel(channel))

    def _writable(self, ask: RestRequest) -> DiscordChannel:
        channel = self.place(ask)
        if channel.kind not in TALK:
            raise ApiError(50008)
        if not self._world.may_send(self._world.bot.id, channel):
            raise ApiError(50013)
        if channel.kind is ChannelKind.DM and not self._world.users[channel.recipient].dms:
            raise ApiError(50007)
        if channel.archived and channel.locked:
            raise ApiError(160005)
        return channel

    def _type(self, ask: RestRequest) -> RestAnswer:
        self._messages.type(self._writable(ask), self._world.bot)
        return RestAnswer()

    def _show(self, message: DiscordMessage) -> Json:
        # The switch in the portal decides, whichever intents the gateway was asked for (discord-api-docs issue 4655).
        return self._wire.message(message, content=bool(self.privileged & Intent.MESSAGE_CONTENT))

    def _list(self, ask: RestRequest) -> RestAnswer:
        channel = self.place(ask)
        limit = int(ask.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        if not self._world.permissions(self._world.bot.id, channel) & Permission.READ_MESSAGE_HISTORY:
            return RestAnswer([])
        found = [one for one in self._world.messages(channel.id).values() if not one.ephemeral_for]
        if "after" in ask.query:
            found = [one for one in found if int(one.id) > int(ask.query["after"])][:limit]
        elif "before" in ask.query:
            found = [one for one in found if int(one.id) < int(ask.query["before"])]
        elif "around" in ask.query:
            middle = int(ask.query["around"])
            near = sorted(found, key=lambda one: abs(int(one.id) - middle))[:limit]
            found = [one for one in found if one in near]
        return RestAnswer([self._show(one) for one in reversed(found[-limit:])])

    def _get(self, ask: RestRequest) -> RestAnswer:
        channel = self.place(ask, Permission.READ_MESSAGE_HISTORY)
        return RestAnswer(self._show(self._messages.visible(channel.id, ask.path["message"])))

    def _post(self, ask: RestRequest) -> RestAnswer:
        channel, body = self._writable(ask), form(ask)
        held = self._world.permissions(self._world.bot.id, channel)
        nonce = str(body.get("nonce") or "")
        text("nonce", nonce, 25)
        if nonce and body.get("enforce_nonce"):
            # "Checked in the past few minutes": a retry of a successful post returns the first message again.
            for message in reversed(self._world.messages(channel.id).values()):
                if message.nonce == nonce and message.author.id == self._world.bot.id:
                    return RestAnswer(self._show(message))
        if body.get("message_reference") and not held & Permission.READ_MESSAGE_HISTORY:
            raise ApiError(160002)
        if ask.files and not held & Permission.ATTACH_FILES:
            raise ApiError(50013)
        return RestAnswer(self._show(self._messages.create(channel, self._world.bot, body, ask.files)))

    def _edit(self, ask: RestRequest) -> RestAnswer:
        channel = self.place(ask)
        message = self._messages.visible(channel.id, ask.path["message"])
        if message.author.id != self._world.bot.id:
            raise ApiError(50005)
        if channel.archived:
            raise ApiError(50083)
        if time.time() - created(message.id) > self._limiter.limits.old_age:
            wait = self._limiter.take_old_edit(channel.id)
            if wait:
                raise ApiError(30046, status=429, retry_after=wait)
        return RestAnswer(self._show(self._messages.edit(message, form(ask), ask.files)))

    def _delete(self, ask: RestRequest) -> RestAnswer:
        channel = self.place(ask)
        message = self._messages.visible(channel.id, ask.path["message"])
        if message.author.id != self._world.bot.id:
            self.place(ask, Permission.MANAGE_MESSAGES)
        self._messages.delete(message)
        return RestAnswer()

    def _react(self, ask: RestRequest, add: bool) -> RestAnswer:
        channel = self.place(ask, Permission.READ_MESSAGE_HISTORY)
        message = self._messages.visible(channel.id, ask.path["message"])
        name = unquote(ask.path["emoji"])
        if name.isascii() and not name.partition(":")[2].isdigit():
            raise ApiError(10014)
        if add and not any(reaction.emoji == name for reaction in message.reactions):
            self.place(ask, Permission.ADD_REACTIONS)
        if channel.archived:
            raise ApiError(50083)
        self._messages.react(self._world.bot, message, name, add=add)
        return RestAnswer()

    def _thread_from(self, ask: RestRequest) -> RestAnswer:
        channel = self.place(ask, Permission.CREATE_PUBLIC_THREADS)
        if channel.kind not in (ChannelKind.TEXT, ChannelKind.ANNOUNCEMENT):
            raise ApiError(50024)
        message = self._messages.visible(channel.id, ask.path["message"])
        if message.id in self._world.channels:
            raise ApiError(160004)
        return self._start(channel, form(ask), message, ChannelKind.PUBLIC_THREAD)

    def _thread(self, ask: RestRequest) -> RestAnswer:
        body = form(ask)
        kind = (
            ChannelKind.PUBLIC_THREAD if body.get("type") == ChannelKind.PUBLIC_THREAD else ChannelKind.PRIVATE_THREAD
        )
        public = kind is ChannelKind.PUBLIC_THREAD
        needs = Permission.CREATE_PUBLIC_THREADS if public else Permission.CREATE_PRIVATE_THREADS
        channel = self.place(ask, needs)
        if channel.kind is not ChannelKind.TEXT:
            raise ApiError(50024)
        return self._start(channel, body, None, kind)

    def _start(
        self, channel: DiscordChannel, body: Json, message: DiscordMessage | None, kind: ChannelKind
    ) -> RestAnswer:
        text("name", str(body.get("name") or ""), 100, 1)
        archive = int(body.get("auto_archive_duration") or 1440)
        if archive not in ARCHIVE_AFTER:
            raise invalid("auto_archive_duration", "BASE_TYPE_CHOICES", "Value must be one of (60, 1440, 4320, 10080).")
        thread = self.start_thread(channel, str(body["name"]), self._world.bot.id, message, kind, archive)
        return RestAnswer(self._wire.channel(thread), 201)

    def start_thread(
        self,
        channel: DiscordChannel,
        name: str,
        owner: str,
        message: DiscordMessage | None,
        kind: ChannelKind,
        archive: int = 1440,
    ) -> DiscordChannel:
        """Create a thread and send its event. A thread on a message has the message's id (topics/threads)."""
        number = message.id if message else self._world.new_id()
        starter = message.id if message else ""
        thread = DiscordChannel(
            number, name, kind, channel.guild, channel.id, owner=owner, starter=starter, auto_archive=archive
        )
        self._world.channels[thread.id] = thread
        payload = self._wire.channel(thread) | {"newly_created": True}
        if owner == self._world.bot.id:
            payload["member"] = self._wire.thread_member(thread, owner)
        self._gateway.dispatch("THREAD_CREATE", lambda _: payload, guild=thread.guild, guild_intent=Intent.GUILDS)
        if message:
            self._messages.touch(replace(message, flags=message.flags | HAS_THREAD))
            self._messages.start(thread, message)
        self._world.watch.changed()
        return thread

    def _join(self, ask: RestRequest) -> RestAnswer:
        self.place(ask)
        return RestAnswer()
