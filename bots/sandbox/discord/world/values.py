"""The frozen values of the sandbox's Discord: guilds, channels, people, messages and calls."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

Json = dict[str, Any]
"""A JSON object on the wire. The sandbox stores embeds and components as the app sent them."""


class DiscordRefuses(Exception):
    """Discord's own client would not let a person do this; the message says why."""


class ChannelKind(IntEnum):
    """Channel types (resources/channel#channel-object-channel-types)."""

    TEXT = 0
    DM = 1
    VOICE = 2
    GROUP = 3
    CATEGORY = 4
    ANNOUNCEMENT = 5
    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    FORUM = 15
    MEDIA = 16


FORUMS = frozenset({ChannelKind.FORUM, ChannelKind.MEDIA})
THREADS = frozenset({ChannelKind.ANNOUNCEMENT_THREAD, ChannelKind.PUBLIC_THREAD, ChannelKind.PRIVATE_THREAD})


class Permission(IntFlag):
    """The permissions that the sandbox looks at (topics/permissions)."""

    NONE = 0
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EXTERNAL_APPS = 1 << 50
    ALL = (1 << 51) - 1


EVERYONE_PERMISSIONS = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
    | Permission.USE_EXTERNAL_APPS
)
"""What @everyone may do in a new guild of the sandbox."""


@dataclass(frozen=True, slots=True)
class DiscordUser:
    """A person or a bot. `dms` is false for somebody who accepts no direct messages."""

    id: str
    name: str
    bot: bool = False
    dms: bool = True


@dataclass(frozen=True, slots=True)
class GuildRole:
    """A role; `bot` is the id of the bot whose managed role it is, "" for others."""

    id: str
    guild: str
    name: str
    permissions: Permission = Permission.NONE
    bot: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a guild. `roles` are ids, without @everyone. `nick`: their name there, "" for their own."""

    user: str
    guild: str
    roles: tuple[str, ...] = ()
    nick: str = ""


@dataclass(slots=True)
class Portal:
    """Switches of the developer portal: whether anybody may add the bot, whether that needs a code grant, and where
    commands and buttons go instead of the gateway."""

    public: bool = True
    code_grant: bool = False
    interactions_url: str = ""


@dataclass(frozen=True, slots=True)
class Guild:
    """A server. Its @everyone role has the guild's own id. `system`: the channel for Discord's own messages, "" for
    none; `joined`: when the bot was added, in epoch seconds."""

    id: str
    name: str
    owner: str
    system: str = ""
    joined: float = 0.0


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What a role or member (`target`) is allowed and denied in one channel."""

    target: str
    allow: Permission = Permission.NONE
    deny: Permission = Permission.NONE


@dataclass(frozen=True, slots=True)
class DiscordChannel:
    """A channel, thread, direct message (`recipient` is the person) or group chat (of the people in `group`, without
    the bot). `starter` is the message of a thread."""

    id: str
    name: str
    kind: ChannelKind = ChannelKind.TEXT
    guild: str = ""
    parent: str = ""
    owner: str = ""
    recipient: str = ""
    group: tuple[str, ...] = ()
    starter: str = ""
    overwrites: tuple[Overwrite, ...] = ()
    archived: bool = False
    locked: bool = False
    auto_archive: int = 1440  # minutes
    position: int = 0


@dataclass(frozen=True, slots=True)
class DiscordUpload:
    """A file that is attached. `description`: what a picture shows. `claims`: the size that messages claim, None for
    the true one."""

    name: str
    data: bytes
    kind: str = "application/octet-stream"
    description: str = ""
    claims: int | None = None


@dataclass(frozen=True, slots=True)
class DiscordAttachment:
    """A file of a message, or an ephemeral one of a command. `size` is in bytes; `url` was signed when it came."""

    id: str
    name: str
    kind: str
    size: int
    url: str
    description: str = ""
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji and the ids of those who reacted with it, in order."""

    emoji: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DiscordFrame:
    """What a message showed from `at` on (monotonic seconds)."""

    at: float
    content: str
    embeds: tuple[Json, ...] = ()
    components: tuple[Json, ...] = ()
    pings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DiscordMessage:
    """A message as it is now, with everything that it showed before.

    `pings` holds "everyone", "here", "user:ID" and "role:ID" for all mentions that would notify somebody, whatever the
    author's permissions; "user:ID" also for a reply that pings its author. `reference` is the message replied to, ""
    for none; `forwarded` is the one that it forwards, as that was then. `webhook` is the id of the webhook that posted
    it. `ephemeral_for` is the only person who sees the message, "" for everybody. `response` is the token of the
    interaction it belongs to.
    """

    id: str
    channel: str
    author: DiscordUser
    content: str
    at: float
    guild: str = ""
    type: int = 0
    embeds: tuple[Json, ...] = ()
    components: tuple[Json, ...] = ()
    attachments: tuple[DiscordAttachment, ...] = ()
    reference: str = ""
    forwarded: "DiscordMessage | None" = None
    stickers: tuple[str, ...] = ()  # their names
    reactions: tuple[Reaction, ...] = ()
    flags: int = 0
    pings: frozenset[str] = frozenset()
    frames: tuple[DiscordFrame, ...] = ()
    mentions: tuple[str, ...] = ()
    mention_roles: tuple[str, ...] = ()
    mention_everyone: bool = False
    edited: float | None = None  # epoch seconds
    nonce: str = ""
    ephemeral_for: str = ""
    response: str = ""
    webhook: str = ""
    interaction: Json | None = None  # its interaction_metadata

    @property
    def bot(self) -> bool:
        """Whether a bot wrote it."""
        return self.author.bot

    @property
    def loading(self) -> bool:
        """Whether it is the "thinking" of a deferred interaction."""
        return bool(self.flags & LOADING)


JOINED, REPLY, STARTER = 7, 19, 21  # resources/message#message-object-message-types
SUPPRESS_EMBEDS, HAS_THREAD, EPHEMERAL, LOADING = 1 << 2, 1 << 5, 1 << 6, 1 << 7
SUPPRESS_NOTIFICATIONS, COMPONENTS_V2 = 1 << 12, 1 << 15


@dataclass(frozen=True, slots=True)
class DiscordCall:
    """One REST request: `route` is "METHOD /template", `at` its arrival (monotonic seconds), `code` Discord's error."""

    method: str
    route: str
    path: str
    body: Json
    at: float
    status: int
    code: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One suggestion of an autocomplete."""

    name: str
    value: str | int | float


@dataclass(frozen=True, slots=True)
class Modal:
    """A form that an app opened; `fields` are the custom ids of its inputs."""

    custom_id: str
    title: str
    fields: tuple[str, ...]
    components: tuple[Json, ...]
