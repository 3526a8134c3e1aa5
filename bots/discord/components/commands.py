"""The slash commands, built from the table of commands: what we register, and what Discord sends when one is used.

Both are plain data; there is no state that a restart could lose.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bots.discord.api.http import Http
from core.commands.registry import COMMANDS, Argument, Command, Invocation, find
from core.domain.conversation import Author, Place
from core.domain.errors import Gone, PlatformError, Rejected
from core.domain.retry import retried
from core.settings.parameters import Layer

log = logging.getLogger(__name__)

# Discord's numbers (docs.discord.com, Application Commands).
_CHAT_INPUT = 1
_SUBCOMMAND, _STRING, _BOOLEAN = 1, 3, 5
_IN_GUILDS, _IN_DIRECT_MESSAGES = 0, 1
_GUILD_INSTALL = 0
# Pauses between attempts to register the commands; each start tries again too.
PAUSE_SECONDS = (5.0, 30.0, 120.0, 600.0)
SUGGESTIONS = 25
CHOICE_LENGTH = 100
# Arguments whose values we suggest while somebody types.
_SUGGESTED = {("model set", "name")}
# The option of commands that change a setting: where the setting applies.
_SCOPE = "scope"
# The option of `ask`: who sees the question and the answer.
_PRIVATE = "private"
_SCOPES = (Layer.WORKSPACE, Layer.CHANNEL, Layer.THREAD)


def definitions() -> list[dict[str, Any]]:
    """All commands in Discord's format; a two-word command becomes a command with subcommands."""
    found: dict[str, dict[str, Any]] = {}
    for command in COMMANDS:
        first, _, second = command.name.partition(" ")
        if not second:
            found[first] = _top(first, command.title, _options(command))
            continue
        group = found.setdefault(first, _top(first, f"Commands about the {first}", []))
        subcommand = {"type": _SUBCOMMAND, "name": second, "description": command.title, "options": _options(command)}
        group["options"].append(subcommand)
    return list(found.values())


async def register(http: Http, application: str) -> None:
    """Register the commands if Discord knows different ones. A failure is logged: the old commands keep working.

    If a call got no answer, or not in time, try again: at a bot's first start there are no old commands.
    """

    def failed(error: Exception, attempt: int = 0) -> None:
        log.warning("could not register the slash commands: %s", error)

    try:
        await retried(partial(_register, http, f"/applications/{application}/commands"), PAUSE_SECONDS, failed=failed)
    except PlatformError as error:
        failed(error)


def in_step(known: Any) -> bool:
    """Whether these commands, as Discord lists them, are those that this version registers."""
    return _same(definitions(), known)


async def _register(http: Http, path: str) -> None:
    wanted = definitions()
    try:
        known = await http.call("GET", path)
    except (Gone, Rejected):
        known = None
    if _same(wanted, known):
        log.debug("the registered slash commands are up to date")
        return
    await http.call("PUT", path, wanted)
    log.info("registered %d slash commands", len(wanted))


def invocation_of(data: Mapping[str, Any], place: Place, author: Author) -> Invocation:
    """The command that somebody used, from an interaction's data. Raises UserError for one that no longer exists."""
    name, options = _path(data)
    command = find(name)
    given = {str(each.get("name")): str(each.get("value", "")) for each in options}
    arguments = tuple(given.get(each.name, "") for each in command.arguments)
    return Invocation(command, place, author, arguments, scope_of(given.get(_SCOPE, "")))


def is_private(data: Mapping[str, Any]) -> bool:
    """Whether only the person who asks may see the question and the answer."""
    return any(each.get("name") == _PRIVATE and each.get("value") is True for each in _path(data)[1])


def scope_of(word: str) -> Layer | None:
    """The scope with this name, or None."""
    return next((layer for layer in _SCOPES if layer == word), None)


def typed(data: Mapping[str, Any]) -> str | None:
    """What somebody has typed so far into an argument with suggestions; None for any other argument."""
    name, options = _path(data)
    for each in options:
        if each.get("focused") and (name, each.get("name")) in _SUGGESTED:
            return str(each.get("value", ""))
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
        "contexts": [_IN_GUILDS, _IN_DIRECT_MESSAGES],
        "integration_types": [_GUILD_INSTALL],
    }


def _options(command: Command) -> list[dict[str, Any]]:
    options = [_option(command, each) for each in command.arguments]
    if command.name == "ask":
        title = "Only you see the question and the answer"
        options.append({"type": _BOOLEAN, "name": _PRIVATE, "description": title, "required": False})
    # A reset forgets the history of exactly this place.
    if command.changes and command.name != "reset":
        title = "where it applies: the whole server, this channel or this thread"
        options.append(_option(command, Argument(_SCOPE, title, required=False, choices=_SCOPES)))
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
    shown = {each.get("name"): _plain(each) for each in known}
    return len(known) == len(wanted) and shown == {each["name"]: _plain(each) for each in wanted}


_FIELDS = frozenset(
    {"type", "name", "description", "options", "required", "choices", "value", "autocomplete", "contexts"}
    | {"integration_types"}
)


def _plain(value: Any) -> Any:
    """What we told Discord about a command, without what Discord adds and without defaults that it fills in."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name in _FIELDS and each not in (None, False, [])}
    return [_plain(each) for each in value] if isinstance(value, list) else value
