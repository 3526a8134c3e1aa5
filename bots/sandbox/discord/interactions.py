"""Interactions: a person triggers one, the app answers in time, and a webhook edits the answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe

from bots.sandbox.discord.commands import DiscordCommands, context_of
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.messages import Messages
from bots.sandbox.discord.rest import Endpoint, RestAnswer, RestRequest, form
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.text import walk
from bots.sandbox.discord.world.validation import MAX_FILE, ApiError, check_choices, check_modal, invalid
from bots.sandbox.discord.world.values import (
    EPHEMERAL,
    LOADING,
    Choice,
    DiscordChannel,
    DiscordMessage,
    DiscordUser,
    Json,
    Modal,
    Permission,
)
from bots.sandbox.discord.world.wire import DiscordWire

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5  # interaction types
MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9  # callback types
ANSWERS = {
    COMMAND: {MESSAGE, DEFERRED, MODAL},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}
SLASH_MESSAGE = 20  # message type CHAT_INPUT_COMMAND
FOLLOWUPS = 5  # of an app that only a person installed (receiving-and-responding#create-followup-message)
INPUTS = frozenset({3, 4, 5, 6, 7, 8, 19, 21, 22, 23})


@dataclass(slots=True, eq=False)
class Interaction:
    """One interaction and its outcome until now: a live view, for tests and for the terminal."""

    id: str
    token: str
    type: int
    user: DiscordUser
    channel: DiscordChannel
    name: str  # the command, or the custom id
    at: float  # monotonic seconds
    source: str = ""  # the message that a component or its modal belongs to
    owners: Json = field(default_factory=dict)  # its authorizing_integration_owners
    answer: int = 0  # the callback type, 0 until acknowledged
    original_id: str = ""
    message_ids: list[str] = field(default_factory=list)
    modal: Modal | None = None
    choices: tuple[Choice, ...] | None = None
    find: Callable[[str, str], DiscordMessage | None] = lambda channel, message: None

    @property
    def brought(self) -> bool:
        """Whether the app is here only because a person installed it."""
        return "0" not in self.owners and "1" in self.owners

    @property
    def acknowledged(self) -> bool:
        """Whether the app has answered."""
        return self.answer != 0

    @property
    def deferred(self) -> bool:
        """Whether the first answer deferred it."""
        return self.answer in (DEFERRED, DEFERRED_UPDATE)

    @property
    def loading(self) -> bool:
        """Whether the person still sees "thinking"."""
        return self.original is not None and self.original.loading

    @property
    def original(self) -> DiscordMessage | None:
        """The original response as it is now; None before it exists, and once it is deleted."""
        return self.find(self.channel.id, self.original_id)

    @property
    def followups(self) -> tuple[DiscordMessage, ...]:
        """The followups as they are now, oldest first."""
        found = [self.find(self.channel.id, message) for message in self.message_ids]
        return tuple(message for message in found if message)

    @property
    def messages(self) -> tuple[DiscordMessage, ...]:
        """The original response and the followups."""
        return (*((self.original,) if self.original else ()), *self.followups)

    @property
    def ephemeral(self) -> bool:
        """Whether only the person sees the original response."""
        return self.original is not None and bool(self.original.ephemeral_for)


class DiscordInteractions:
    """Sends interactions and serves their endpoints. `deadline` and `lifetime` are in seconds.

    `channelless`: interactions leave out their channel, of which they then have only the id.
    """

    def __init__(
        self,
        world: DiscordWorld,
        wire: DiscordWire,
        gateway: Gateway,
        messages: Messages,
        commands: DiscordCommands,
        application: str,
    ) -> None:
        self._world, self._wire, self._gateway, self._messages = world, wire, gateway, messages
        self._commands, self._application = commands, application
        self._live: dict[str, Interaction] = {}  # by token
        self.deadline = 3.0  # interactions/receiving-and-responding#interaction-callback
        self.lifetime = 900.0
        self.channelless = False

    def endpoints(self) -> list[Endpoint]:
        """The routes of callbacks and of the interaction's webhook. None of them needs the bot's token."""
        hook = "/webhooks/{application}/{token}"
        original, message = hook + "/messages/@original", hook + "/messages/{message}"
        return [
            Endpoint("POST", "/interactions/{id}/{token}/callback", self._callback, bot=False),
            Endpoint("POST", hook, self._followup, "webhook", "token", bot=False),
            *(
                endpoint
                for path in (original, message)
                for endpoint in (
                    Endpoint("GET", path, self._get, bot=False),
                    Endpoint("PATCH", path, self._edit, "webhook", "token", bot=False),
                    Endpoint("DELETE", path, self._delete, bot=False),
                )
            ),
        ]

    def send(
        self, kind: int, user: DiscordUser, channel: DiscordChannel, name: str, data: Json, source: str = ""
    ) -> Interaction:
        """Send INTERACTION_CREATE. The returned interaction shows the app's answer."""
        token = token_urlsafe(64)
        interaction = Interaction(
            self._world.new_id(), token, kind, user, channel, name, time.monotonic(), source, find=self._find
        )
        command = self._commands.top(str(data.get("id"))) if kind in (COMMAND, AUTOCOMPLETE) else None
        interaction.owners = self._commands.owners(user, channel, command)
        self._live[token] = interaction
        permissions = self._world.permissions(user.id, channel)
        bot = self._world.permissions(self._world.bot.id, channel)
        payload: Json = {
            "id": interaction.id,
            "application_id": self._application,
            "type": kind,
            "data": data,
            "token": token,
            "version": 1,
            "channel_id": channel.id,
            "channel": self._wire.channel(channel) | {"permissions": str(int(permissions))},
            "app_permissions": str(int(bot)),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": interaction.owners,
            "context": context_of(channel),
            "attachment_size_limit": MAX_FILE,
        }
        if self.channelless:
            del payload["channel"]
        if channel.guild:
            member = self._wire.member(self._world.members[channel.guild, user.id])
            payload |= {
                "guild_id": channel.guild,
                "guild": {"id": channel.guild, "locale": "en-US", "features": []},
                "guild_locale": "en-US",
                "member": member | {"permissions": str(int(permissions))},
            }
        else:
            payload["user"] = self._wire.user(user)
        if source and (message := self._find(channel.id, source)):
            payload["message"] = self._wire.message(message, content=True)
        self._gateway.dispatch("INTERACTION_CREATE", lambda _: payload, guild=channel.guild)
        return interaction

    def _find(self, channel: str, message: str) -> DiscordMessage | None:
        return self._world.messages(channel).get(message)

    def _callback(self, ask: RestRequest) -> RestAnswer:
        one = self._live.get(ask.path["token"])
        if one is None or one.id != ask.path["id"]:
            raise ApiError(10062)
        if one.acknowledged:
            raise ApiError(40060)
        if time.monotonic() - one.at > self.deadline:
            raise ApiError(10062)
        body = form(ask)
        kind, data = int(body.get("type") or 0), body.get("data") or {}
        if kind not in ANSWERS[one.type]:
            raise invalid("type", "BASE_TYPE_CHOICES", f"{kind} can't answer an interaction of type {one.type}")
        if kind in (MESSAGE, DEFERRED):
            type = SLASH_MESSAGE if one.type == COMMAND else 0
            one.original_id = self._write(one, data, ask, type, loading=kind == DEFERRED).id
        elif kind in (UPDATE, DEFERRED_UPDATE):
            source = self._find(one.channel.id, one.source)
            if source is None:
                raise ApiError(10008)
            if kind == UPDATE:
                self._messages.edit(source, data, ask.files, interaction=True)
            one.original_id = one.source
        elif kind == CHOICES:
            check_choices(data.get("choices") or [])
            one.choices = tuple(Choice(choice["name"], choice["value"]) for choice in data.get("choices") or [])
        elif kind == MODAL:
            check_modal(data)
            fields = tuple(str(part["custom_id"]) for part in walk(data["components"]) if part.get("type") in INPUTS)
            one.modal = Modal(data["custom_id"], data["title"], fields, tuple(data["components"]))
        one.answer = kind
        if ask.query.get("with_response") not in ("1", "true"):
            return RestAnswer()
        resource: Json = {"type": kind}
        shown: Json = {"id": one.id, "type": one.type}
        if message := one.original:
            resource["message"] = self._show(message)
            shown |= {
                "response_message_id": message.id,
                "response_message_loading": message.loading,
                "response_message_ephemeral": bool(message.ephemeral_for),
            }
        return RestAnswer({"interaction": shown, "resource": resource})

    def _write(
        self, one: Interaction, data: Json, ask: RestRequest, type: int = 0, *, loading: bool = False
    ) -> DiscordMessage:
        asked = int(data.get("flags") or 0)
        metadata: Json = {
            "id": one.id,
            "type": one.type,
            "user": self._wire.user(one.user),
            "authorizing_integration_owners": one.owners,
        }
        # topics/permissions: without USE_EXTERNAL_APPS, what an app writes that a person brought along is ephemeral.
        held = self._world.permissions(one.user.id, one.channel)
        if one.brought and one.channel.guild and not held & Permission.USE_EXTERNAL_APPS:
            asked |= EPHEMERAL
        if one.type == COMMAND:
            metadata["name"] = one.name
        template = DiscordMessage(
            "",
            one.channel.id,
            self._world.bot,
            "",
            0.0,
            type=type,
            flags=asked & EPHEMERAL | LOADING * loading,
            ephemeral_for=one.user.id if asked & EPHEMERAL else "",
            response=one.token,
            interaction=metadata,
        )
        body = {} if loading else data
        return self._messages.create(one.channel, self._world.bot, body, ask.files, interaction=True, template=template)

    def _hook(self, ask: RestRequest) -> Interaction:
        one = self._live.get(ask.path["token"])
        if one is None or ask.path["application"] != self._application or not one.acknowledged:
            raise ApiError(10015)
        if time.monotonic() - one.at > self.lifetime:
            raise ApiError(50027)
        return one

    def _message(self, ask: RestRequest) -> tuple[Interaction, DiscordMessage]:
        one = self._hook(ask)
        wanted = ask.path.get("message", one.original_id)
        message = self._find(one.channel.id, wanted)
        if message is None or wanted not in (one.original_id, *one.message_ids):
            raise ApiError(10008)
        return one, message

    def _show(self, message: DiscordMessage) -> Json:
        return self._wire.message(message, content=True)

    def _get(self, ask: RestRequest) -> RestAnswer:
        return RestAnswer(self._show(self._message(ask)[1]))

    def _edit(self, ask: RestRequest) -> RestAnswer:
        _, message = self._message(ask)
        return RestAnswer(self._show(self._messages.edit(message, form(ask), ask.files, interaction=True)))

    def _delete(self, ask: RestRequest) -> RestAnswer:
        self._messages.delete(self._message(ask)[1])
        return RestAnswer()

    def _followup(self, ask: RestRequest) -> RestAnswer:
        one = self._hook(ask)
        body = form(ask)
        original = one.original
        if original is not None and original.loading:
            # Deprecated, but still so: the first followup to a deferral fills in the loading message.
            return RestAnswer(self._show(self._messages.edit(original, body, ask.files, interaction=True)))
        if one.brought and len(one.message_ids) >= FOLLOWUPS:
            raise ApiError(40094)
        message = self._write(one, body, ask)
        one.message_ids.append(message.id)
        return RestAnswer(self._show(message))
