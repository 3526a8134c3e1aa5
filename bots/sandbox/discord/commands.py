"""The commands that the app has registered, and the interaction data of a person's call."""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from bots.sandbox.discord.rest import Endpoint, RestAnswer, RestRequest
from bots.sandbox.discord.world.cdn import Cdn
from bots.sandbox.discord.world.state import DiscordWorld
from bots.sandbox.discord.world.validation import ApiError, invalid, text
from bots.sandbox.discord.world.values import (
    ChannelKind,
    DiscordChannel,
    DiscordRefuses,
    DiscordUpload,
    DiscordUser,
    GuildRole,
    Json,
    Permission,
)
from bots.sandbox.discord.world.wire import DiscordWire

SUB, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
CHAT_INPUT, ON_MESSAGE = 1, 3  # command types
MENUS = 15  # interactions/application-commands#registering-a-command
COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")
MAX_STRING = 6000  # characters (interactions/application-commands)
IN_GUILD, IN_DM, IN_PRIVATE = 0, 1, 2  # contexts
TO_GUILD, TO_USER = 0, 1  # integration types


class DiscordCommands:
    """The registered commands. `puts` counts bulk overwrites."""

    def __init__(self, world: DiscordWorld, wire: DiscordWire, cdn: Cdn, application: str) -> None:
        self._world, self._wire, self._cdn, self._application = world, wire, cdn, application
        self._stored: dict[str, list[Json]] = {}  # by guild, "" for the global ones
        self.puts = 0

    def endpoints(self) -> list[Endpoint]:
        """The routes to read and register commands."""
        return [
            Endpoint(method, path, handler, limit, "application")
            for path in (
                "/applications/{application}/commands",
                "/applications/{application}/guilds/{guild}/commands",
            )
            for method, handler, limit in (("GET", self._get, ""), ("PUT", self._put, "commands"))
        ]

    @property
    def registered(self) -> tuple[Json, ...]:
        """All commands as stored: the global ones, then those of each guild."""
        return tuple(command for commands in self._stored.values() for command in commands)

    def _get(self, ask: RestRequest) -> RestAnswer:
        return RestAnswer(self._stored.get(self._scope(ask), []))

    def _scope(self, ask: RestRequest) -> str:
        if ask.path["application"] != self._application:
            raise ApiError(20012)
        return ask.path.get("guild", "")

    def _put(self, ask: RestRequest) -> RestAnswer:
        guild = self._scope(ask)
        asked = ask.body if isinstance(ask.body, list) else []
        known = {(old["name"], old["type"]): old["id"] for old in self._stored.get(guild, [])}
        names = [(command.get("name"), command.get("type", CHAT_INPUT)) for command in asked]
        if len(set(names)) != len(names):
            message = "Application command names must be unique"
            raise invalid("name", "APPLICATION_COMMANDS_DUPLICATE_NAME", message)
        if len(asked) > 100:
            raise invalid("_", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")
        if sum(kind == ON_MESSAGE for _, kind in names) > MENUS:
            raise invalid("_", "APPLICATION_COMMANDS_MAX_LENGTH", f"Must be {MENUS} or fewer in length.")
        for index, command in enumerate(asked):
            _check(str(index), command, command.get("type", CHAT_INPUT) == CHAT_INPUT)
            self._check_places(str(index), command)
        self._stored[guild] = [self._store(command, guild, known) for command in asked]
        self.puts += 1
        return RestAnswer(self._stored[guild])

    def _store(self, command: Json, guild: str, known: Mapping[tuple[str, int], str]) -> Json:
        kind = command.get("type", CHAT_INPUT)
        stored: Json = {
            "id": known.get((command["name"], kind)) or self._world.new_id(),
            "application_id": self._application,
            "version": self._world.new_id(),
            "default_member_permissions": command.get("default_member_permissions"),
            "type": kind,
            "name": command["name"],
            "name_localizations": command.get("name_localizations"),
            "description": command.get("description", ""),
            "description_localizations": command.get("description_localizations"),
            "nsfw": bool(command.get("nsfw")),
        }
        if options := command.get("options"):
            stored["options"] = [_tidy(option) for option in options]
        if guild:
            return stored | {"guild_id": guild}
        integrations = command.get("integration_types") or [0]
        return stored | {
            "dm_permission": True,
            "contexts": command.get("contexts"),
            "integration_types": integrations,
        }

    def _check_places(self, path: str, command: Json) -> None:
        contexts, kinds = command.get("contexts"), command.get("integration_types")
        if contexts is not None and not (set(contexts) and set(contexts) <= {IN_GUILD, IN_DM, IN_PRIVATE}):
            raise invalid(f"{path}.contexts", "BASE_TYPE_CHOICES", "Value must be one of (0, 1, 2).")
        # What Discord says to an integration type that is off in the portal is not documented; we take it for an error.
        known = {TO_GUILD, TO_USER} if self._world.user_install else {TO_GUILD}
        if kinds is not None and not (set(kinds) and set(kinds) <= known):
            raise invalid(f"{path}.integration_types", "BASE_TYPE_CHOICES", f"Value must be one of {tuple(known)}.")

    def owners(self, user: DiscordUser, channel: DiscordChannel, command: Json | None = None) -> Json:
        """By which installations somebody can use a command, or for None any component, in a channel
        (receiving-and-responding#interaction-object-authorizing-integration-owners-object)."""
        kinds = command.get("integration_types") or [TO_GUILD] if command else [TO_GUILD, TO_USER]
        found: Json = {}
        if TO_GUILD in kinds and (channel.kind is ChannelKind.DM or self._world.joined(channel.guild)):
            found[str(TO_GUILD)] = channel.guild or "0"
        if TO_USER in kinds and user.id in self._world.installed:
            found[str(TO_USER)] = user.id
        return found

    def menu(self, user: DiscordUser, channel: DiscordChannel, name: str, target: Json) -> Json:
        """The data of a message command that somebody uses on a message. Raises DiscordRefuses."""
        known = (one for one in self._stored.get("", []) if (one["name"], one["type"]) == (name, ON_MESSAGE))
        if (command := next(known, None)) is None:
            raise DiscordRefuses(f"there is no menu {name!r}")
        self._allowed(user, channel, command)
        return {
            "id": command["id"],
            "name": name,
            "type": ON_MESSAGE,
            "target_id": target["id"],
            "resolved": {"messages": {target["id"]: target}},
        }

    def top(self, number: str) -> Json | None:
        """The registered command with this id."""
        return next((one for one in self.registered if one["id"] == number), None)

    def find(self, path: str, guild: str) -> tuple[Json, Json]:
        """The command and its leaf (itself or a subcommand) for words like "prompt set". Raises DiscordRefuses."""
        words = path.removeprefix("/").split()
        here = [*self._stored.get(guild, []), *self._stored.get("", [])] if guild else self._stored.get("", [])
        top = next((one for one in here if words and one["name"] == words[0] and one["type"] == CHAT_INPUT), None)
        if top is None:
            raise DiscordRefuses(f"there is no command /{path.removeprefix('/')}")
        leaf = top
        for word in words[1:]:
            inner = [one for one in leaf.get("options", []) if one["type"] in (SUB, GROUP)]
            found = next((one for one in inner if one["name"] == word), None)
            if found is None:
                raise DiscordRefuses(f"/{leaf['name']} has no subcommand {word}")
            leaf = found
        if any(one["type"] in (SUB, GROUP) for one in leaf.get("options", [])):
            raise DiscordRefuses(f"/{path.removeprefix('/')} needs a subcommand")
        return top, leaf

    def data(
        self, user: DiscordUser, channel: DiscordChannel, path: str, values: Mapping[str, Any], focused: str = ""
    ) -> tuple[str, Json]:
        """The name and data of an INTERACTION_CREATE, checked as the client checks it. Raises DiscordRefuses.

        With `focused` (an option that is being typed) it is an autocomplete, and other options may be missing.
        """
        top, leaf = self.find(path, channel.guild)
        self._allowed(user, channel, top)
        options = {one["name"]: one for one in leaf.get("options", [])}
        for name in values:
            if name not in options:
                raise DiscordRefuses(f"/{path} has no option {name}")
        missing = [one["name"] for one in options.values() if one.get("required") and one["name"] not in values]
        if missing and not focused:
            raise DiscordRefuses(f"/{path} needs the option {missing[0]}")
        resolved: dict[str, Json] = {}
        filled = []
        for name, value in values.items():
            option: Json = {"name": name, "type": options[name]["type"]}
            if name == focused:
                if not options[name].get("autocomplete"):
                    raise DiscordRefuses(f"the option {name} offers no suggestions")
                filled.append(option | {"value": str(value), "focused": True})
            else:
                filled.append(option | {"value": self._value(options[name], value, channel.guild, resolved)})
        words = path.removeprefix("/").split()
        for depth, word in zip(count(1), reversed(words[1:]), strict=False):
            filled = [{"name": word, "type": SUB if depth == 1 else GROUP, "options": filled}]
        data: Json = {"id": top["id"], "name": top["name"], "type": top["type"], "options": filled}
        if resolved:
            data["resolved"] = resolved
        return " ".join(words), data

    def _allowed(self, user: DiscordUser, channel: DiscordChannel, command: Json) -> None:
        where = context_of(channel)
        offered = command.get("contexts") is None or where in command["contexts"]
        if not offered or ("guild_id" not in command and not self.owners(user, channel, command)):
            raise DiscordRefuses(f"/{command['name']} is not offered here")
        held = self._world.permissions(user.id, channel)
        if not held & Permission.USE_APPLICATION_COMMANDS:
            raise DiscordRefuses(f"{user.name} may not use commands here")
        needed = command.get("default_member_permissions")
        if channel.guild and needed is not None:
            lacking = Permission(int(needed)) & ~held or (int(needed) == 0 and held != Permission.ALL)
            if lacking:
                raise DiscordRefuses(f"/{command['name']} is not offered to {user.name}")

    def _value(self, option: Json, value: Any, guild: str, resolved: dict[str, Json]) -> Any:
        name, kind = option["name"], option["type"]
        choices = [choice["value"] for choice in option.get("choices", [])]
        try:
            if kind == STRING:
                value = str(value)
                if not option.get("min_length", 0) <= len(value) <= option.get("max_length", MAX_STRING):
                    raise DiscordRefuses(f"{name}: {len(value)} characters are too few or too many")
            elif kind in (INTEGER, NUMBER):
                value = int(value) if kind == INTEGER else float(value)
                if not option.get("min_value", value) <= value <= option.get("max_value", value):
                    raise DiscordRefuses(f"{name}: {value} is out of range")
            elif kind == BOOLEAN:
                value = {"true": True, "false": False}[str(value).lower()]
            elif kind in (USER, CHANNEL, ROLE, MENTIONABLE):
                return self._resolve(value, guild, resolved)
            elif kind == ATTACHMENT:
                return self._attach(name, value, resolved)
        except (KeyError, ValueError):
            raise DiscordRefuses(f"{name}: {value!r} does not fit") from None
        if choices and value not in choices:
            raise DiscordRefuses(f"{name}: {value!r} is none of {', '.join(map(str, choices))}")
        return value

    def _attach(self, name: str, value: Any, resolved: dict[str, Json]) -> str:
        """A file that belongs to no message (interactions/receiving-and-responding#...-resolved-data-structure)."""
        if not isinstance(value, DiscordUpload):
            raise DiscordRefuses(f"{name}: this option takes a file")
        file = self._cdn.store(value, self._application, ephemeral=True)
        resolved.setdefault("attachments", {})[file.id] = self._wire.attachment(file)
        return file.id

    def _resolve(
        self, value: DiscordUser | DiscordChannel | GuildRole | str, guild: str, resolved: dict[str, Json]
    ) -> str:
        number = value if isinstance(value, str) else value.id
        if user := self._world.users.get(number):
            resolved.setdefault("users", {})[number] = self._wire.user(user)
            if member := self._world.members.get((guild, number)):
                permissions = str(int(Permission.ALL if self._world.guilds[guild].owner == number else 0))
                shown = self._wire.member(member, user=False) | {"permissions": permissions}
                resolved.setdefault("members", {})[number] = shown
        elif role := self._world.roles.get(number):
            resolved.setdefault("roles", {})[number] = self._wire.role(role)
        else:
            shown = self._wire.channel(self._world.channels[number]) | {"permissions": str(int(Permission.ALL))}
            resolved.setdefault("channels", {})[number] = shown
        return number


def context_of(channel: DiscordChannel) -> int:
    """The interaction context of a channel (receiving-and-responding#interaction-object-interaction-context-types)."""
    if channel.guild:
        return IN_GUILD
    return IN_DM if channel.kind is ChannelKind.DM else IN_PRIVATE


def _check(path: str, command: Json, chat: bool) -> None:
    name = str(command.get("name", ""))
    if chat and (not COMMAND_NAME.fullmatch(name) or name != name.lower()):
        message = "Command name is invalid"
        raise invalid(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", message)
    if chat:
        text(f"{path}.description", str(command.get("description") or ""), 100, 1)
    options: Sequence[Json] = command.get("options") or []
    if len(options) > 25:
        raise invalid(f"{path}.options", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    required = [bool(option.get("required")) for option in options]
    if required != sorted(required, reverse=True):
        message = "Required options must be placed before non-required options"
        raise invalid(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
    for index, option in enumerate(options):
        _check(f"{path}.options.{index}", option, True)
        choices = option.get("choices") or []
        if len(choices) > 25:
            raise invalid(f"{path}.options.{index}.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        for choice in choices:
            text(f"{path}.options.{index}.choices", str(choice.get("name", "")), 100, 1)


def _tidy(option: Json) -> Json:
    """An option as Discord returns it, without empty and false values."""
    kept = {name: value for name, value in option.items() if value is not None and value is not False and value != []}
    if "options" in kept:
        kept["options"] = [_tidy(inner) for inner in kept["options"]]
    return kept
