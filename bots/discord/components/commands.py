"""The slash commands, built from the table of commands, and the menus of messages: what we register, and what Discord
sends when one is used.

Both are plain data; there is no state that a restart could lose.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from bots.discord.api.http import Http
from core.commands.asking import named_model
from core.commands.registry import COMMANDS, ME, Argument, Command, Invocation, find, scope_named
from core.domain.conversation import Author, Place
from core.domain.errors import Gone, PlatformError, Rejected
from core.domain.retry import retried
from core.inbound.menus import ASK, SHAPES, SUMMARISE
from core.settings.parameters import Layer

log = logging.getLogger(__name__)

# Discord's numbers (docs.discord.com, Application Commands).
_CHAT_INPUT, _MESSAGE = 1, 3
_SUBCOMMAND, _STRING, _BOOLEAN, _ATTACHMENT = 1, 3, 5, 11
_IN_GUILDS, _IN_DIRECT_MESSAGES, _IN_OTHER_DIRECT_MESSAGES = 0, 1, 2
_GUILD_INSTALL, _USER_INSTALL = 0, 1
# Pauses between attempts to register the commands; each start tries again too.
PAUSE_SECONDS = (5.0, 30.0, 120.0, 600.0)
SUGGESTIONS = 25
CHOICE_LENGTH = 100


class Suggested(StrEnum):
    """What is suggested while somebody types into an option."""

    MODEL = "model"
    PRESET = "preset"


# The option of commands that change a setting: where the setting applies.
_SCOPE = "scope"
# The options of what asks: who sees the question and the answer, and, for `ask`, which model answers, and a file that
# belongs to it; for `imagine`, the shape of the picture.
_PRIVATE, _MODEL, _FILE, _SHAPE = "private", "model", "file", "shape"
# Commands that ask something.
_ASKING = ("ask", "imagine")
_SUGGESTED = {
    ("ask", _MODEL): Suggested.MODEL,
    ("model set", "name"): Suggested.MODEL,
    **{(f"preset {each}", "name"): Suggested.PRESET for each in ("save", "use", "show", "delete")},
}
_SCOPES: tuple[str, ...] = (Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD)
# Commands whose change can apply to one's own questions alone.
_PERSONAL = ("set", "model set")
# Commands that have an option of another command here: `/ask model:`.
_AS_OPTION = ("with",)
# What a person can use wherever they bring the app along: nothing that shows or changes what belongs to a place.
_PORTABLE = frozenset({"ask", "imagine", ASK, SUMMARISE})
# Commands that make no sense where nobody else writes.
_AMONG_OTHERS = frozenset({"catchup"})

NOT_SWITCHED_ON = (
    "DISCORD_USER_INSTALL is on, but nobody can add this app to their account: in the developer portal, select "
    "Installation → Installation Contexts → User Install, save, and start the bot again"
)


def definitions(*, user_install: bool = False) -> list[dict[str, Any]]:
    """All commands in Discord's format; a two-word command becomes a command with subcommands. Discord has no place to
    suggest questions. `user_install`: people may add the app to their account."""
    found: dict[str, dict[str, Any]] = {}
    for command in COMMANDS:
        if command.name in _AS_OPTION or command.suggests:
            continue
        first, _, second = command.name.partition(" ")
        if not second:
            found[first] = _top(first, command.title, _options(command))
            continue
        group = found.setdefault(first, _top(first, f"Commands about the {first}", []))
        subcommand = {"type": _SUBCOMMAND, "name": second, "description": command.title, "options": _options(command)}
        group["options"].append(subcommand)
    menus = ({"type": _MESSAGE, "name": name} for name in (ASK, SUMMARISE))
    return [each | _places(each["name"], user_install=user_install) for each in (*found.values(), *menus)]


async def register(http: Http, application: str, *, user_install: bool = False) -> None:
    """Register the commands if Discord knows different ones. A failure is logged: the old commands keep working.

    `user_install`: also for people who add the app to their account, if that is switched on in the portal.

    If a call got no answer, or not in time, try again: at a bot's first start there are no old commands.
    """

    def failed(error: Exception, attempt: int = 0) -> None:
        log.warning("could not register the slash commands: %s", error)

    try:
        register = partial(_register, http, f"/applications/{application}/commands", user_install=user_install)
        await retried(register, PAUSE_SECONDS, failed=failed)
    except PlatformError as error:
        failed(error)


def in_step(known: Any, *, user_install: bool) -> bool:
    """Whether these commands, as Discord lists them, are those that this version registers."""
    return _same(definitions(user_install=user_install), known)


async def _register(http: Http, path: str, *, user_install: bool) -> None:
    if user_install and not may_be_user_installed(await http.call("GET", "/applications/@me")):
        log.warning("%s", NOT_SWITCHED_ON)
        user_install = False
    wanted = definitions(user_install=user_install)
    try:
        known = await http.call("GET", path)
    except (Gone, Rejected):
        known = None
    if _same(wanted, known):
        log.debug("the registered commands are up to date")
        return
    try:
        await http.call("PUT", path, wanted)
    except Rejected:
        if not user_install:
            raise
        log.warning("%s", NOT_SWITCHED_ON)  # somebody has switched it off just now
        await http.call("PUT", path, definitions())
    log.info("registered %d commands", len(wanted))


def may_be_user_installed(application: Any) -> bool:
    """Whether people may add the app to their account (docs.discord.com, Application, `integration_types_config`).
    Where Discord does not say, we try."""
    kinds = application.get("integration_types_config") if isinstance(application, dict) else None
    return not isinstance(kinds, dict) or str(_USER_INSTALL) in kinds


def invocation_of(data: Mapping[str, Any], place: Place, author: Author) -> Invocation:
    """The command that somebody used, from an interaction's data. Raises UserError for one that no longer exists."""
    name, options = _path(data)
    command = find(name)
    given = {str(each.get("name")): str(each.get("value", "")) for each in options}
    arguments = tuple(given.get(each.name, "") for each in command.arguments)
    return Invocation(command, place, author, arguments, scope_named(given.get(_SCOPE, "")))


def menu_of(data: Mapping[str, Any]) -> str | None:
    """The name of the menu of a message that somebody used; None for anything else."""
    return str(data.get("name", "")) if data.get("type") == _MESSAGE else None


def target_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The message on which a menu was used, as Discord hands it over. Raises KeyError or TypeError."""
    found: dict[str, Any] = data["resolved"]["messages"][data["target_id"]]
    return found


def is_portable(data: Mapping[str, Any]) -> bool:
    """Whether a command can be used wherever a person brings the app along."""
    return data.get("name") in _PORTABLE


def is_private(data: Mapping[str, Any]) -> bool:
    """Whether only the person who asks may see the question and the answer."""
    return any(each.get("name") == _PRIVATE and each.get("value") is True for each in _path(data)[1])


def model_of(data: Mapping[str, Any]) -> str:
    """The model that is to answer a question, "" for the usual one. Raises UserError for what can't be one."""
    return named_model(next((str(each.get("value")) for each in _path(data)[1] if each.get("name") == _MODEL), ""))


def shape_of(data: Mapping[str, Any]) -> str:
    """The shape that a picture is to have, "" for the usual one."""
    return next((str(each.get("value")) for each in _path(data)[1] if each.get("name") == _SHAPE), "")


def files_in(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files that somebody gave with a question, as Discord hands them over. Raises KeyError or TypeError."""
    given = [each["value"] for each in _path(data)[1] if each.get("name") == _FILE]
    return [data["resolved"]["attachments"][each] for each in given]


def typed(data: Mapping[str, Any]) -> tuple[Suggested, str] | None:
    """What somebody has typed so far into an option with suggestions, and of what kind these are; None for any other
    option."""
    name, options = _path(data)
    for each in options:
        if each.get("focused") and (kind := _SUGGESTED.get((name, str(each.get("name"))))):
            return kind, str(each.get("value", ""))
    return None


def _path(data: Mapping[str, Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    name, options = str(data.get("name", "")), _given(data)
    for each in options:
        if each.get("type") == _SUBCOMMAND:
            return f"{name} {each.get('name')}", _given(each)
    return name, options


def _given(data: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = data.get("options")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _top(name: str, title: str, options: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": _CHAT_INPUT,
        "name": name,
        "description": title,
        "options": options,
    }


def _places(name: str, *, user_install: bool) -> dict[str, list[int]]:
    """Where a command can be used, and by whose installation."""
    if user_install and name in _PORTABLE:
        contexts = [_IN_GUILDS, _IN_DIRECT_MESSAGES, _IN_OTHER_DIRECT_MESSAGES]
        return {"contexts": contexts, "integration_types": [_GUILD_INSTALL, _USER_INSTALL]}
    contexts = [_IN_GUILDS] if name in _AMONG_OTHERS else [_IN_GUILDS, _IN_DIRECT_MESSAGES]
    return {"contexts": contexts, "integration_types": [_GUILD_INSTALL]}


def _options(command: Command) -> list[dict[str, Any]]:
    options = [_option(command, each) for each in command.arguments]
    if command.name == "ask":
        options.append(_option(command, Argument(_MODEL, "the model that answers this one question", required=False)))
        title = "A file that your question is about"
        options.append({"type": _ATTACHMENT, "name": _FILE, "description": title, "required": False})
    if command.name == "imagine":
        option = Argument(_SHAPE, "the shape of the picture", required=False, choices=SHAPES)
        options.append(_option(command, option))
    if command.name in _ASKING:
        title = "Only you see the question and the answer"
        options.append({"type": _BOOLEAN, "name": _PRIVATE, "description": title, "required": False})
    # A reset forgets the history of exactly this place.
    if command.changes and command.name != "reset":
        own = command.name in _PERSONAL
        title = (
            f"where it applies: the whole server, this channel or this thread{'; me: my own questions' if own else ''}"
        )
        choices = (*_SCOPES, ME) if own else _SCOPES
        options.append(_option(command, Argument(_SCOPE, title, required=False, choices=choices)))
    return options


def _option(command: Command, argument: Argument) -> dict[str, Any]:
    option: dict[str, Any] = {
        "type": _STRING,
        "name": argument.name,
        "description": argument.title[:1].upper() + argument.title[1:],
        "required": argument.required,
    }
    if argument.choices:
        option["choices"] = [{"name": str(choice), "value": str(choice)} for choice in argument.choices]
    if (command.name, argument.name) in _SUGGESTED:
        option["autocomplete"] = True
    return option


def _same(wanted: Sequence[dict[str, Any]], known: Any) -> bool:
    if not isinstance(known, list) or not all(isinstance(each, dict) for each in known):
        return False
    return len(known) == len(wanted) and _by_name(known) == _by_name(wanted)


def _by_name(commands: Iterable[dict[str, Any]]) -> dict[tuple[Any, Any], Any]:
    """Commands and menus have their names each for themselves."""
    return {(each.get("type"), each.get("name")): _plain(each) for each in commands}


_FIELDS = frozenset(
    {"type", "name", "description", "options", "required", "choices", "value", "autocomplete", "contexts"}
    | {"integration_types"}
)


_NOTHING: tuple[Any, ...] = (None, False, [], "")


def _plain(value: Any) -> Any:
    """What we told Discord about a command, without what Discord adds and without defaults that it fills in."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name in _FIELDS and each not in _NOTHING}
    return [_plain(each) for each in value] if isinstance(value, list) else value
