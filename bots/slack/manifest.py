"""Builds the Slack app manifest, to be pasted at api.slack.com/apps, from the command table."""

import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from core.commands.registry import COMMANDS, usage
from core.inbound.menus import ASK, SUMMARISE


@dataclass(frozen=True, slots=True)
class SlackRight:
    """What a scope or an event is for, and what is lost without it."""

    why: str
    lost: str


# docs.slack.dev/reference/scopes
SCOPES = {
    "assistant:write": SlackRight(
        "be an agent: stream in direct messages, notice when somebody stops a reply, give chats titles, and suggest "
        "questions",
        "a direct message has no threads, titles, suggestions and Stop button of Slack's; guests can use the bot",
    ),
    "app_mentions:read": SlackRight("receive mentions in channels", "nobody can mention the bot"),
    "channels:history": SlackRight(
        "read threads, see follow-ups, edits, deletions and missed mentions, find a lost reply",
        "each question needs a mention and brings nothing of its thread; edits, deletions and what was asked while the "
        "bot was away are missed",
    ),
    "channels:read": SlackRight(
        "see who created a public channel, and which ones the bot is in",
        "creators can't change settings, and nothing that was missed is found",
    ),
    "chat:write": SlackRight("post, edit and delete replies, set the status of a thread", "the bot can't answer"),
    "commands": SlackRight(
        f"the slash command, and “{ASK}” and “{SUMMARISE}” in the menu of a message",
        "commands work behind a mention only, and messages have no menus",
    ),
    "files:read": SlackRight("read the files of a question, and see its pictures", "files are named, but not read"),
    "files:write": SlackRight(
        "attach pictures, and answers that are too long for messages", "such a reply has no file"
    ),
    "groups:history": SlackRight("the same as channels:history, in private channels", "the same in private channels"),
    "groups:read": SlackRight("the same as channels:read, of private channels", "the same in private channels"),
    "im:history": SlackRight(
        "receive direct messages, and find a reply in them whose id was lost", "nobody can write to the bot directly"
    ),
    "im:read": SlackRight("list direct messages", "a direct message that was missed is not found"),
    "im:write": SlackRight(
        "send a file privately to the person who asked for it",
        "`export`, files out of answers and private pictures work in direct messages only",
    ),
    "mpim:history": SlackRight("the same as channels:history, in group messages", "the same in group messages"),
    "mpim:read": SlackRight("the same as channels:read, of group messages", "the same in group messages"),
    "reactions:write": SlackRight(
        "mark a question that is waiting, and a bot's that is not answered", "neither has a sign"
    ),
    "users:read": SlackRight(
        "see people's names, and who is an admin", "the model may read ids for names, and admins can't change settings"
    ),
}
# docs.slack.dev/reference/events
EVENTS = {
    "app_mention": SlackRight("hear a mention", "nobody can mention the bot"),
    "message.channels": SlackRight(
        "hear follow-ups, edits and deletions in the public channels that the bot is in",
        "it hears mentions alone there",
    ),
    "message.groups": SlackRight("the same in private channels", "it hears mentions alone there"),
    "message.im": SlackRight("hear direct messages", "nobody can write to the bot directly"),
    "message.mpim": SlackRight("the same in group messages", "it hears mentions alone there"),
    "member_joined_channel": SlackRight(
        "introduce itself, once, where it is added", "it says nothing about itself where it is added"
    ),
    "agent_session_stopped": SlackRight("hear that somebody pressed Slack's own Stop", "that button does nothing"),
    "app_home_opened": SlackRight("suggest questions where a chat begins", "a new chat begins without suggestions"),
}
# Scope and events of the agent features; workspace guests can't use an app that has them (docs.slack.dev/ai).
FOR_AGENTS = frozenset({"assistant:write", "agent_session_stopped", "app_home_opened"})
# Scopes and events for reading the messages of channels and groups. Without them the bot receives only mentions there:
# no follow-ups, no edits, no deletions and nothing that people wrote while it was offline.
FOR_HISTORY = frozenset(
    {"channels:history", "groups:history", "mpim:history", "message.channels", "message.groups", "message.mpim"}
)
# Scopes that an app with an older or a smaller manifest may lack; everything else then works as it always did.
OPTIONAL = FOR_AGENTS | FOR_HISTORY | {"files:read", "im:write", "member_joined_channel"}

# Where Slack sends requests without Socket Mode; users replace it with their own address.
EXAMPLE_URL, _PATH = "https://nebula-bot.example.com", "/slack/events"
# What the app and its slash command are called; two apps of one workspace need different names.
NAME, COMMAND = "Nebula", "/nebula"

# The ids of the menus of a message, which Slack sends back.
ASK_ABOUT, SUMMARISE_THREAD = "nebula_ask_about", "nebula_summarise_thread"

_SHORT = "Answers with the open models of Nebula Block"
_LONG = (
    "Mention me in a channel or send me a direct message, and one of the open models of Nebula Block answers; "
    "the reply grows while the model writes. I remember the conversation in each channel. Every channel has its own "
    "system prompt, model and settings: try the slash command's help, or mention me and write help with an exclamation "
    "mark in front of it."
)


@dataclass(frozen=True, slots=True)
class AppNames:
    """What people call an app: its name, which is that of its bot too, and its slash command."""

    name: str = NAME
    command: str = COMMAND


def named(name: str = "", command: str = "") -> AppNames:
    """Return the names of an app; without a command, it is called like the app. Raises ValueError for what Slack
    refuses (github.com/slackapi/manifest-schema, 2.0.0)."""
    name = name.strip() or NAME
    command = "/" + (command.strip().lstrip("/") or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))
    if len(name) > 35 or not name.isprintable():
        raise ValueError("the name of an app in Slack has at most 35 characters")
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", command):
        raise ValueError("a slash command has up to 31 small letters, digits, - and _: choose one with --command")
    return AppNames(name, command)


def manifest(names: AppNames = AppNames(), without: Set[str] = frozenset(), url: str | None = None) -> str:
    """Return the manifest as JSON.

    `without`: scopes and events to leave out, such as FOR_AGENTS, FOR_HISTORY or all that are OPTIONAL. `url`: where
    Slack reaches us over HTTP, "" for an example; None for Socket Mode. Raises ValueError if the URL can't be used.
    """
    socket_mode, name = url is None, names.name
    if url and not url.startswith("https://"):
        raise ValueError("Slack sends events to an address that begins with https:// only")
    where = (url or EXAMPLE_URL).rstrip("/").removesuffix(_PATH) + _PATH
    view = {} if without & FOR_AGENTS else {"agent_view": {"agent_description": _SHORT}}
    address: dict[str, Any] = {} if socket_mode else {"request_url": where}
    slash = {"command": names.command, "description": "Ask me, or change how I answer here", "usage_hint": _hint()}
    if not socket_mode:
        slash["url"] = where
    return json.dumps(
        {
            "display_information": {
                "name": name,
                "description": _SHORT,
                "long_description": _LONG,
                "background_color": "#1d1c3b",
            },
            "features": {
                **view,
                "app_home": {
                    "home_tab_enabled": False,
                    "messages_tab_enabled": True,
                    "messages_tab_read_only_enabled": False,
                },
                "bot_user": {"display_name": name.lower(), "always_online": True},
                "slash_commands": [{**slash, "should_escape": False}],
                "shortcuts": [
                    _menu(ASK, ASK_ABOUT, "Ask about this message; only you see the answer"),
                    _menu(SUMMARISE, SUMMARISE_THREAD, "Summarise the thread of this message, for you alone"),
                ],
            },
            "oauth_config": {"scopes": {"bot": [scope for scope in SCOPES if scope not in without]}},
            "settings": {
                "event_subscriptions": {**address, "bot_events": [each for each in EVENTS if each not in without]},
                "interactivity": {"is_enabled": True, **address},
                "org_deploy_enabled": False,
                "socket_mode_enabled": socket_mode,
                "token_rotation_enabled": False,
            },
        },
        indent=2,
        ensure_ascii=False,
    )


def creation_link(manifest: str) -> str:
    """Return the address that opens Slack's page for a new app with this manifest filled in."""
    compact = json.dumps(json.loads(manifest), separators=(",", ":"), ensure_ascii=False)
    return f"https://api.slack.com/apps?new_app=1&manifest_json={quote(compact, safe='')}"


def explained(without: Set[str] = frozenset()) -> str:
    """Return what that manifest asks for, each scope and event with its reason and with what is lost without it."""
    return f"Scopes\n\n{_lines(SCOPES, without)}\n\nEvents\n\n{_lines(EVENTS, without)}"


def _lines(rights: Mapping[str, SlackRight], without: Set[str]) -> str:
    asked = {name: right for name, right in rights.items() if name not in without}
    return "\n".join(f"  {name:22}{each.why}\n{'':24}without it: {each.lost}" for name, each in asked.items())


def _menu(name: str, callback: str, description: str) -> dict[str, str]:
    return {"name": name, "type": "message", "callback_id": callback, "description": description}


def _hint() -> str:
    """Return the usage of all commands, in the order of the table."""
    return " | ".join(usage(command) for command in COMMANDS)
