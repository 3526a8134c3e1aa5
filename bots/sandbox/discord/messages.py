"""Creates, edits and deletes messages, stores their reactions, and sends the events of these changes."""

import time
from collections.abc import Sequence
from dataclasses import replace

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.sessions import Intent, Session
from bots.sandbox.discord.world.cdn import Cdn
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.text import Mentions, display_text, mentions
from bots.sandbox.discord.world.validation import ApiError, check_message, invalid
from bots.sandbox.discord.world.values import (
    COMPONENTS_V2,
    LOADING,
    REPLY,
    STARTER,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    THREADS,
    ChannelKind,
    DiscordAttachment,
    DiscordChannel,
    DiscordFrame,
    DiscordMessage,
    DiscordUpload,
    DiscordUser,
    Json,
    Reaction,
)
from bots.sandbox.discord.world.wire import DiscordWire, emoji

SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2


class Messages:
    """Changes messages."""

    def __init__(self, world: DiscordWorld, wire: DiscordWire, gateway: Gateway, cdn: Cdn) -> None:
        self._world, self._wire, self._gateway, self._cdn = world, wire, gateway, cdn

    def create(
        self,
        channel: DiscordChannel,
        author: DiscordUser,
        body: Json,
        files: Sequence[DiscordUpload] = (),
        *,
        interaction: bool = False,
        template: DiscordMessage | None = None,
    ) -> DiscordMessage:
        """Store a message and send MESSAGE_CREATE. `interaction` changes the default of allowed_mentions.

        `template` holds what a body can't: type, flags, interaction data, the only person who sees the message; its id,
        if it must have a certain one. A template that is loading may be empty. Raises ApiError.
        """
        base = template or DiscordMessage("", channel.id, author, "", 0.0)
        content = str(body.get("content") or "")
        embeds, components = tuple(body.get("embeds") or ()), tuple(body.get("components") or ())
        flags = int(body.get("flags") or 0) & SETTABLE | base.flags
        if not base.loading:
            check_message(content, embeds, components, flags, len(files) + len(base.stickers) + bool(base.forwarded))
        reference, replied = self._reference(channel, body)
        allowed = body.get("allowed_mentions")
        live = self._mentions(content, components, allowed, interaction, replied)
        message = replace(
            base,
            id=base.id or self._world.new_id(),
            channel=channel.id,
            guild=channel.guild,
            author=author,
            content=content,
            at=time.time(),
            type=REPLY if reference else base.type,
            embeds=embeds,
            components=components,
            flags=flags,
            reference=reference,
            nonce=str(body.get("nonce") or ""),
        )
        message = replace(message, attachments=self._store(message, files))
        message = self._frame(message, live)
        if channel.kind in THREADS and channel.archived:
            self.update_thread(replace(channel, archived=False))
        self._world.put(message)
        self._tell("MESSAGE_CREATE", message)
        return message

    def edit(
        self, message: DiscordMessage, body: Json, files: Sequence[DiscordUpload] = (), *, interaction: bool = False
    ) -> DiscordMessage:
        """Change the fields in `body`, keep the others, and send MESSAGE_UPDATE. Raises ApiError."""
        content = str(body["content"] or "") if "content" in body else message.content
        embeds = tuple(body["embeds"] or ()) if "embeds" in body else message.embeds
        components = tuple(body["components"] or ()) if "components" in body else message.components
        flags = message.flags & ~LOADING
        if body.get("flags") is not None:
            asked = int(body["flags"])
            flags = flags & ~SUPPRESS_EMBEDS | asked & (SUPPRESS_EMBEDS | COMPONENTS_V2)
        kept = message.attachments
        if body.get("attachments") is not None:
            names = {str(one.get("id")) for one in body["attachments"]}
            kept = tuple(file for file in kept if file.id in names)
        check_message(content, embeds, components, flags, len(kept) + len(files))
        changed = replace(
            message,
            content=content,
            embeds=embeds,
            components=components,
            flags=flags,
            attachments=kept + self._store(message, files),
            edited=time.time(),
        )
        replied = self._world.messages(message.channel).get(message.reference)
        live = self._mentions(content, components, body.get("allowed_mentions"), interaction, replied)
        changed = self._frame(changed, live)
        self._world.put(changed)
        self._tell("MESSAGE_UPDATE", changed)
        return changed

    def start(self, thread: DiscordChannel, starter: DiscordMessage) -> None:
        """Store the first message of a thread that was started from another one: it has no text, and refers to it."""
        message = DiscordMessage(self._world.new_id(), thread.id, starter.author, "", time.time(), thread.guild)
        message = replace(message, type=STARTER, reference=starter.id)
        self._world.put(message)
        self._tell("MESSAGE_CREATE", message)

    def touch(self, message: DiscordMessage) -> None:
        """Store a message after a change of flags or previews, and send MESSAGE_UPDATE."""
        self._world.put(message)
        self._tell("MESSAGE_UPDATE", message)

    def delete(self, message: DiscordMessage) -> None:
        """Delete a message and send MESSAGE_DELETE."""
        self._world.remove(message)
        payload: Json = {"id": message.id, "channel_id": message.channel}
        if message.guild:
            payload["guild_id"] = message.guild
        if not message.ephemeral_for:
            self._send("MESSAGE_DELETE", message.guild, payload, Intent.GUILD_MESSAGES, Intent.DIRECT_MESSAGES)

    def purge(self, messages: Sequence[DiscordMessage]) -> None:
        """Delete messages of one channel at once and send MESSAGE_DELETE_BULK."""
        for message in messages:
            self._world.remove(message)
        first = messages[0]
        payload: Json = {"ids": [message.id for message in messages], "channel_id": first.channel}
        if first.guild:
            payload["guild_id"] = first.guild
        self._send("MESSAGE_DELETE_BULK", first.guild, payload, Intent.GUILD_MESSAGES, Intent.NONE)

    def react(self, user: DiscordUser, message: DiscordMessage, name: str, *, add: bool) -> None:
        """Add or remove a reaction, and send its event."""
        counts = {reaction.emoji: reaction.users for reaction in message.reactions}
        users = counts.get(name, ())
        if (user.id in users) is add:
            return
        counts[name] = (*users, user.id) if add else tuple(one for one in users if one != user.id)
        reactions = tuple(Reaction(each, who) for each, who in counts.items() if who)
        self._world.put(replace(message, reactions=reactions))
        payload: Json = {
            "user_id": user.id,
            "channel_id": message.channel,
            "message_id": message.id,
            "emoji": emoji(name),
            "burst": False,
            "type": 0,
        }
        if message.guild:
            payload["guild_id"] = message.guild
        event = "MESSAGE_REACTION_ADD" if add else "MESSAGE_REACTION_REMOVE"
        self._send(event, message.guild, payload, Intent.GUILD_REACTIONS, Intent.DIRECT_REACTIONS)

    def type(self, channel: DiscordChannel, user: DiscordUser) -> None:
        """Show somebody as typing, and send the event."""
        self._world.type(channel.id, user.id)
        payload: Json = {"channel_id": channel.id, "user_id": user.id, "timestamp": int(time.time())}
        if channel.guild:
            payload["guild_id"] = channel.guild
            payload["member"] = self._wire.member(self._world.members[channel.guild, user.id])
        self._send("TYPING_START", channel.guild, payload, Intent.GUILD_TYPING, Intent.DIRECT_TYPING)

    def update_thread(self, thread: DiscordChannel) -> None:
        """Store a changed thread or channel and send its update."""
        self._world.channels[thread.id] = thread
        event = "THREAD_UPDATE" if thread.kind in THREADS else "CHANNEL_UPDATE"
        self._send(event, thread.guild, self._wire.channel(thread), Intent.GUILDS, Intent.NONE)
        self._world.watch.changed()

    def _reference(self, channel: DiscordChannel, body: Json) -> tuple[str, DiscordMessage | None]:
        asked = body.get("message_reference")
        if not asked:
            return "", None
        wanted = str(asked.get("message_id") or "")
        found = self._world.messages(channel.id).get(wanted)
        if found is None or found.ephemeral_for:
            if asked.get("fail_if_not_exists", True):
                raise invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            return "", None
        return wanted, found

    def _mentions(
        self,
        content: str,
        components: Sequence[Json],
        allowed: Json | None,
        interaction: bool,
        replied: DiscordMessage | None,
    ) -> Mentions:
        both = {"users", "roles"} & set((allowed or {}).get("parse") or ())
        for name in both:
            if (allowed or {}).get(name):
                raise invalid("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", f"parse and {name} clash")
        live = mentions(content + "\n" + display_text(components), allowed, users_only=interaction)
        ping = replied is not None and (allowed is None or bool(allowed.get("replied_user")))
        if replied is not None and ping and replied.author.id not in live.users:
            live = replace(live, users=(*live.users, replied.author.id))
        return live

    def _frame(self, message: DiscordMessage, live: Mentions) -> DiscordMessage:
        frame = DiscordFrame(time.monotonic(), message.content, message.embeds, message.components, live.pings)
        return replace(
            message,
            mentions=tuple(user for user in live.users if user in self._world.users),
            mention_roles=tuple(role for role in live.roles if role in self._world.roles),
            mention_everyone=live.everyone or live.here,
            pings=live.pings,
            frames=(*message.frames, frame),
        )

    def _store(self, message: DiscordMessage, files: Sequence[DiscordUpload]) -> tuple[DiscordAttachment, ...]:
        return tuple(self._cdn.store(file, message.channel) for file in files)

    def _tell(self, event: str, message: DiscordMessage) -> None:
        unseen = not message.guild and self._world.channels[message.channel].kind is ChannelKind.GROUP
        if message.ephemeral_for or unseen:
            return

        def build(session: Session) -> Json:
            return self._wire.message(message, content=session.content, event=True)

        self._gateway.dispatch(
            event,
            build,
            guild=message.guild,
            guild_intent=Intent.GUILD_MESSAGES,
            direct_intent=Intent.DIRECT_MESSAGES,
        )

    def _send(self, event: str, guild: str, payload: Json, guild_intent: Intent, direct_intent: Intent) -> None:
        self._gateway.dispatch(
            event, lambda _: payload, guild=guild, guild_intent=guild_intent, direct_intent=direct_intent
        )

    def visible(self, channel: str, message: str) -> DiscordMessage:
        """A message that the REST API shows, so no ephemeral one. Raises ApiError 10008."""
        found = self._world.messages(channel).get(message)
        if found is None or found.ephemeral_for:
            raise ApiError(10008)
        return found
