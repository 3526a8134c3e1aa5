"""Builds the Slack app manifest, to be pasted at api.slack.com/apps, from the command table."""

import json
from typing import Any

from core.commands.registry import COMMANDS, usage
from core.inbound.menus import ASK, SUMMARISE

# Each scope with its purpose (docs.slack.dev/reference/scopes).
SCOPES = {
    "assistant:write": "be an agent: stream in direct messages, and notice when somebody stops a reply",
    "app_mentions:read": "receive mentions in channels",
    "channels:history": "read threads, see follow-ups, edits, deletions and missed mentions, find a lost reply",
    "channels:read": "names and creators of public channels",
    "chat:write": "post, edit and delete replies, set the status of a thread",
    "commands": f"the slash command, and “{ASK}” and “{SUMMARISE}” in the menu of a message",
    "files:write": "attach an answer that is too long for messages",
    "groups:history": "the same in private channels",
    "groups:read": "names and creators of private channels",
    "im:history": "receive direct messages, and find a reply in them whose id was lost",
    "im:read": "recognise direct messages",
    "im:write": "send a file privately to the person who asked for it",
    "mpim:history": "receive mentions in group messages",
    "mpim:read": "creators of group messages",
    "reactions:write": "mark a question that is waiting",
    "users:read": "names of people, and who is an admin",
}
EVENTS = (
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "agent_session_stopped",
)
# Scope and event of the agent features; workspace guests can't use an app that has them (docs.slack.dev/ai).
FOR_AGENTS = frozenset({"assistant:write", "agent_session_stopped"})
# Scopes and events for reading channel messages. Without them the bot receives only mentions: no follow-ups, no edits,
# no deletions and nothing that people wrote while it was offline.
FOR_HISTORY = frozenset({"channels:history", "groups:history", "message.channels", "message.groups"})
# Scopes that an app with an older manifest may lack; it then works as it always did.
OPTIONAL = FOR_AGENTS | FOR_HISTORY | {"im:write"}

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


def manifest(
    socket_mode: bool = True,
    command: str = COMMAND,
    *,
    agent: bool = True,
    history: bool = True,
    name: str = NAME,
    url: str = EXAMPLE_URL,
) -> str:
    """Return the manifest as JSON, for Socket Mode or for HTTP, with the slash command under this name.

    `agent`: include Slack's agent features, which give direct messages threads, streaming and a Stop button.
    `history`: include the right to read channel messages. `name`: of the app and its bot. `url`: where Slack reaches
    us over HTTP.
    """
    where = url.rstrip("/").removesuffix(_PATH) + _PATH
    without = _without(agent, history)
    view = {"agent_view": {"agent_description": _SHORT}} if agent else {}
    address: dict[str, Any] = {} if socket_mode else {"request_url": where}
    slash = {"command": command, "description": "Ask me, or change how I answer here", "usage_hint": _hint()}
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


def explained(*, agent: bool = True, history: bool = True) -> str:
    """Return a line for each scope of that manifest, which says what it is for."""
    left = {scope: why for scope, why in SCOPES.items() if scope not in _without(agent, history)}
    return "\n".join(f"{scope:18} {why}" for scope, why in left.items())


def _without(agent: bool, history: bool) -> frozenset[str]:
    return (frozenset() if agent else FOR_AGENTS) | (frozenset() if history else FOR_HISTORY)


def _menu(name: str, callback: str, description: str) -> dict[str, str]:
    return {"name": name, "type": "message", "callback_id": callback, "description": description}


def _hint() -> str:
    """Return the usage of all commands, in the order of the table."""
    return " | ".join(usage(command) for command in COMMANDS)
