"""What people do in the sandbox's Discord: write, edit, react, use commands, press buttons and fill in forms."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bots.sandbox.discord.commands import DiscordCommands
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    DiscordInteractions,
    Interaction,
)
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.routes import Routes
from bots.sandbox.discord.scenario import DiscordPlaces
from bots.sandbox.discord.sessions import Intent
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.text import resolve, walk
from bots.sandbox.discord.world.validation import MAX_CONTENT, ApiError
from bots.sandbox.discord.world.values import (
    FORUMS,
    JOINED,
    ChannelKind,
    Choice,
    DiscordChannel,
    DiscordMessage,
    DiscordRefuses,
    DiscordUpload,
    DiscordUser,
    Json,
    Permission,
)
from bots.sandbox.discord.world.wire import DiscordWire


class DiscordPeople(DiscordPlaces):
    """Acts for people as Discord's client would. Raises DiscordRefuses for everything that the client would refuse."""

    def __init__(
        self,
        world: DiscordWorld,
        wire: DiscordWire,
        gateway: Gateway,
        messages: Messages,
        routes: Routes,
        commands: DiscordCommands,
        interactions: DiscordInteractions,
    ) -> None:
        super().__init__(world, wire, gateway, messages, routes)
        self.commands, self.interactions = commands, interactions

    async def say(
        self,
        user: DiscordUser,
        channel: DiscordChannel,
        text: str,
        *,
        reply_to: DiscordMessage | None = None,
        ping: bool = True,
        attachments: Sequence[DiscordUpload] = (),
        mention_bot_role: bool = False,
        stickers: Sequence[str] = (),
    ) -> DiscordMessage:
        """Write a message as a person types it: @Name, @role and #channel outside code become mentions.

        A reply pings its author unless `ping` is false. `mention_bot_role` makes @Bot the bot's role instead of the
        bot, as the client's picker often does.
        """
        place = self._writable(user, channel)
        content = resolve(text, self._names(user, place, mention_bot_role))
        return self._write(user, place, content, reply_to, ping, attachments, tuple(stickers))

    async def forward(self, user: DiscordUser, message: DiscordMessage, channel: DiscordChannel) -> DiscordMessage:
        """Forward a message to another channel, as it is now."""
        place = self._writable(user, channel)
        template = DiscordMessage("", place.id, user, "", 0.0, forwarded=self._current(message))
        return self._messages.create(place, user, {}, template=template)

    async def publish(
        self,
        user: DiscordUser,
        forum: DiscordChannel,
        title: str,
        text: str,
        *,
        attachments: Sequence[DiscordUpload] = (),
        stickers: Sequence[str] = (),
    ) -> DiscordChannel:
        """Publish a post in a forum or media channel: a thread whose first message has the thread's id
        (topics/threads#forums)."""
        place = self._writable(user, forum)
        if place.kind not in FORUMS:
            raise DiscordRefuses("this channel has no posts")
        post = self._routes.start_thread(place, title, user.id, None, ChannelKind.PUBLIC_THREAD)
        template = DiscordMessage(post.id, post.id, user, "", 0.0, stickers=tuple(stickers))
        content = resolve(text, self._names(user, post, False))
        body: Json = {"content": content, "allowed_mentions": self._allowed(user, post)}
        self._messages.create(post, user, body, attachments, template=template)
        return post

    async def bot_says(
        self,
        bot: DiscordUser,
        channel: DiscordChannel,
        text: str,
        *,
        reply_to: DiscordMessage | None = None,
        ping: bool = True,
    ) -> DiscordMessage:
        """Write another bot's message unchanged: mentions are written as <@id>."""
        return self._write(bot, self._writable(bot, channel), text, reply_to, ping, ())

    async def posts(self, user: DiscordUser, channel: DiscordChannel, body: Json, *, type: int = 0) -> DiscordMessage:
        """A program, or Discord in somebody's name, posts a message of any kind."""
        template = DiscordMessage("", channel.id, user, "", 0.0, type=type)
        return self._messages.create(self._world.channels[channel.id], user, body, template=template)

    async def joins(self, user: DiscordUser, channel: DiscordChannel) -> DiscordMessage:
        """Discord says that somebody joined: a message without a text (resources/message#message-types)."""
        message = DiscordMessage(self._world.new_id(), channel.id, user, "", time.time(), channel.guild, type=JOINED)
        self._messages.touch(message)
        return message

    async def webhook_says(
        self,
        name: str,
        channel: DiscordChannel,
        text: str,
        *,
        webhook: str = "",
        attachments: Sequence[DiscordUpload] = (),
    ) -> DiscordMessage:
        """A webhook posts a message under any name, unchanged: mentions are written as <@id>. `webhook`: its id, if not
        a new one."""
        number = webhook or self._world.new_id()
        user = self._world.users[number] = DiscordUser(number, name)
        template = DiscordMessage("", channel.id, user, "", 0.0, webhook=number)
        body: Json = {"content": text, "allowed_mentions": {"parse": ["users"]}}
        return self._messages.create(self._world.channels[channel.id], user, body, attachments, template=template)

    async def edit(self, message: DiscordMessage, text: str) -> DiscordMessage:
        """The author edits a message; typed names become mentions."""
        current, place = self._current(message), self._world.channels[message.channel]
        content = resolve(text, self._names(message.author, place, False))
        replied = self._world.messages(place.id).get(current.reference)
        pinged = replied is not None and replied.author.id in current.mentions
        allowed = self._allowed(message.author, place) | {"replied_user": pinged}
        body = {"content": content, "allowed_mentions": allowed}
        try:
            return self._messages.edit(current, body)
        except ApiError as error:
            raise DiscordRefuses(str(error)) from error

    async def take_out(self, message: DiscordMessage, name: str) -> DiscordMessage:
        """The author takes a file out of a message."""
        current = self._current(message)
        kept = [{"id": each.id} for each in current.attachments if each.name != name]
        allowed = self._allowed(message.author, self._world.channels[message.channel])
        return self._messages.edit(current, {"attachments": kept, "allowed_mentions": allowed})

    async def preview(self, message: DiscordMessage, url: str) -> DiscordMessage:
        """Discord adds a link preview: MESSAGE_UPDATE of a message that nobody edited."""
        changed = replace(self._current(message), embeds=({"type": "link", "url": url, "title": url},))
        self._messages.touch(changed)
        return changed

    async def delete(self, message: DiscordMessage) -> None:
        """Somebody deletes a message."""
        self._messages.delete(self._current(message))

    async def purge(self, messages: Sequence[DiscordMessage]) -> None:
        """A moderator deletes several messages of a channel at once."""
        self._messages.purge([self._current(message) for message in messages])

    async def react(self, user: DiscordUser, message: DiscordMessage, emoji: str, *, add: bool = True) -> None:
        """A person adds or removes a reaction."""
        self._messages.react(user, self._current(message), emoji, add=add)

    async def slash(
        self, user: DiscordUser, channel: DiscordChannel, path: str, options: Mapping[str, Any] | None = None
    ) -> Interaction:
        """A person uses a command like "prompt set". The returned interaction shows the outcome."""
        place = self._seen(user, channel)
        name, data = self.commands.data(user, place, path, options or {})
        return self.interactions.send(COMMAND, user, place, name, data)

    async def menu(self, user: DiscordUser, message: DiscordMessage, name: str) -> Interaction:
        """A person chooses a menu under Apps of a message. The app gets the message with its content, but without that
        of the one it replies to, if it lacks the intent (events/gateway#message-content-intent)."""
        current = self._current(message)
        if current.ephemeral_for not in ("", user.id):
            raise DiscordRefuses(f"{user.name} does not see this message")
        place = self._seen(user, self._world.channels[message.channel])
        target = self._wire_of(current)
        return self.interactions.send(COMMAND, user, place, name, self.commands.menu(user, place, name, target))

    def _wire_of(self, message: DiscordMessage) -> Json:
        content = bool(self.gateway.privileged & Intent.MESSAGE_CONTENT)
        return self.wire.message(message, content=content) | {
            name: value
            for name, value in self.wire.message(message, content=True, reference=False).items()
            if name in ("content", "embeds", "attachments", "components", "message_snapshots")
        }

    async def autocomplete(
        self,
        user: DiscordUser,
        channel: DiscordChannel,
        path: str,
        option: str,
        typed: str,
        others: Mapping[str, Any] | None = None,
    ) -> tuple[Choice, ...]:
        """Return the suggestions while a person types into an option. Raises TimeoutError if none come in time."""
        place = self._seen(user, channel)
        name, data = self.commands.data(user, place, path, {**(others or {}), option: typed}, focused=option)
        asked = self.interactions.send(AUTOCOMPLETE, user, place, name, data)
        await self.until(lambda: asked.choices is not None, self.interactions.deadline)
        return asked.choices or ()

    async def odd(self, user: DiscordUser, channel: DiscordChannel, type: int) -> Interaction:
        """A person does something that becomes an interaction of another type, such as one that does not exist yet."""
        return self.interactions.send(type, user, self._seen(user, channel), "", {})

    async def press(
        self, user: DiscordUser, message: DiscordMessage, custom_id: str, values: Sequence[str] = ()
    ) -> Interaction:
        """A person presses a button, or chooses `values` in a select."""
        current = self._current(message)
        if current.ephemeral_for not in ("", user.id):
            raise DiscordRefuses(f"{user.name} does not see this message")
        part = next((one for one in walk(current.components) if one.get("custom_id") == custom_id), None)
        if part is None or part.get("disabled"):
            raise DiscordRefuses(f"there is no {custom_id!r} to press")
        data: Json = {"custom_id": custom_id, "component_type": part["type"], "id": part.get("id", 1)}
        if part["type"] != 2:
            data["values"] = list(values)
        place = self._seen(user, self._world.channels[message.channel])
        return self.interactions.send(COMPONENT, user, place, custom_id, data, source=current.id)

    async def submit_modal(self, opened: Interaction, values: Mapping[str, Any]) -> Interaction:
        """The person fills in and sends the form that `opened` opened. `values` are by the custom ids of its inputs."""
        modal = opened.modal
        if modal is None:
            raise DiscordRefuses("no form is open")
        for name in values:
            if name not in modal.fields:
                raise DiscordRefuses(f"the form has no field {name}")
        data = {"custom_id": modal.custom_id, "components": [_filled(part, values) for part in modal.components]}
        place = self._world.channels[opened.channel.id]
        return self.interactions.send(MODAL_SUBMIT, opened.user, place, modal.custom_id, data, opened.source)

    def _write(
        self,
        user: DiscordUser,
        place: DiscordChannel,
        content: str,
        reply_to: DiscordMessage | None,
        ping: bool,
        attachments: Sequence[DiscordUpload],
        stickers: tuple[str, ...] = (),
    ) -> DiscordMessage:
        if len(content) > MAX_CONTENT:
            raise DiscordRefuses(f"{len(content)} characters are too many ({MAX_CONTENT} is the most): attach a file")
        allowed = self._allowed(user, place) | {"replied_user": ping}
        body: Json = {"content": content, "allowed_mentions": allowed, "nonce": self._world.new_id()}
        if reply_to:
            body["message_reference"] = {"message_id": reply_to.id}
        template = DiscordMessage("", place.id, user, "", 0.0, stickers=stickers)
        try:
            return self._messages.create(place, user, body, attachments, template=template)
        except ApiError as error:
            raise DiscordRefuses(str(error)) from error

    def _allowed(self, user: DiscordUser, place: DiscordChannel) -> Json:
        may = self._world.permissions(user.id, place) & Permission.MENTION_EVERYONE
        return {"parse": ["users", "roles", "everyone"] if may else ["users", "roles"]}

    def _names(self, user: DiscordUser, place: DiscordChannel, bot_role: bool) -> dict[str, str]:
        """The names that a text can use here, each with its mention. A person's name precedes the same name of a
        role."""
        world = self._world
        if place.kind in (ChannelKind.DM, ChannelKind.GROUP):
            return {f"@{one.name}": f"<@{one.id}>" for one in (user, world.bot)}
        roles = [role for role in world.roles_of(place.guild) if role.id != role.guild]
        users = [world.users[member.user] for member in world.members_of(place.guild)]
        channels = [one for one in world.channels.values() if one.guild == place.guild]
        names = {f"@{role.name}": f"<@&{role.id}>" for role in roles}
        names |= {f"@{one.name}": f"<@{one.id}>" for one in users}
        names |= {f"#{one.name}": f"<#{one.id}>" for one in channels}
        if bot_role and (role := world.bot_role(place.guild)):
            names[f"@{world.bot.name}"] = f"<@&{role.id}>"
        return names

    def _seen(self, user: DiscordUser, channel: DiscordChannel) -> DiscordChannel:
        place = self._world.channels[channel.id]
        if not self._world.permissions(user.id, place) & Permission.VIEW_CHANNEL:
            raise DiscordRefuses(f"{user.name} does not see this channel")
        return place

    def _writable(self, user: DiscordUser, channel: DiscordChannel) -> DiscordChannel:
        place = self._seen(user, channel)
        if not self._world.may_send(user.id, place) or (place.archived and place.locked):
            raise DiscordRefuses(f"{user.name} may not write here")
        return place

    def _current(self, message: DiscordMessage) -> DiscordMessage:
        current = self.message(message)
        if current is None:
            raise DiscordRefuses("the message is gone")
        return current


def _filled(part: Json, values: Mapping[str, Any]) -> Json:
    """A modal's component as the client returns it: its type, its custom id and its value."""
    shown: Json = {"type": part["type"], "id": part.get("id", 1)}
    if "components" in part:
        return shown | {"components": [_filled(inner, values) for inner in part["components"]]}
    if "component" in part:
        return shown | {"component": _filled(part["component"], values)}
    if "custom_id" not in part:
        return shown
    name = part["custom_id"]
    shown["custom_id"] = name
    if part["type"] != 4:
        given = values.get(name, [])
        return shown | ({"values": list(given)} if isinstance(given, list | tuple) else {"value": given})
    entered = str(values.get(name, part.get("value") or ""))
    least = part.get("min_length") or 0
    if part.get("required", True):
        least = max(1, least)
    elif not entered:
        least = 0
    if not least <= len(entered) <= (part.get("max_length") or 4000):
        raise DiscordRefuses(f"the field {name} does not take {len(entered)} characters")
    return shown | {"value": entered}
