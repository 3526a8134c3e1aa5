"""The app manifest: what to enter at api.slack.com/apps, derived from the command table."""

import json
from typing import Any

from core.commands.registry import COMMANDS, usage

# Each scope with what it is for (docs.slack.dev/reference/scopes).
SCOPES = {
    "assistant:write": "be an agent: stream in direct messages, and hear when somebody stops it",
    "app_mentions:read": "hear mentions in channels",
    "channels:history": "hear edits, deletions and missed mentions in public channels, find a reply whose id got lost",
    "channels:read": "names and creators of public channels",
    "chat:write": "post, edit and delete replies, set the status of a thread",
    "commands": "the slash command",
    "files:write": "attach an answer that is too long for messages",
    "groups:history": "the same in private channels",
    "groups:read": "names and creators of private channels",
    "im:history": "hear direct messages, and find a reply in them whose id got lost",
    "im:read": "recognise direct messages",
    "im:write": "give a file to the person who asked for it alone",
    "mpim:history": "hear mentions in group messages",
    "mpim:read": "creators of group messages",
    "reactions:write": "mark a question that waits",
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
# What goes with the agent features: guests of a workspace can't use an app that has them (docs.slack.dev/ai).
OF_AGENTS = frozenset({"assistant:write", "agent_session_stopped"})
# What reads along in channels. Without it the bot hears mentions alone: no edits, no deletions, and none of what was
# said while it was away.
OF_HISTORY = frozenset({"channels:history", "groups:history", "message.channels", "message.groups"})
# Scopes without which an app from an older manifest does all that it ever did.
OPTIONAL = OF_AGENTS | OF_HISTORY | {"im:write"}

# Where Slack is to send requests if not over a socket; to be replaced by one's own address.
_ADDRESS = "https://nebula-bot.example.com/slack/events"

_SHORT = "Answers with the open models of Nebula Block"
_LONG = (
    "Mention me in a channel or write me a direct message, and one of the open models of Nebula Block answers; "
    "the reply grows while the model writes. I remember what was said in a channel. Each channel has its own system "
    "prompt, model and settings: see the slash command's help, or say help with an exclamation mark in front after a "
    "mention."
)


def manifest(socket_mode: bool = True, command: str = "/nebula", *, agent: bool = True, history: bool = True) -> str:
    """The manifest as JSON, for Socket Mode or for HTTP, with the slash command under this name.

    `agent`: with Slack's features for agents, in which direct messages are threads with streaming and a Stop button.
    `history`: with the right to read along in channels.
    """
    without = (frozenset() if agent else OF_AGENTS) | (frozenset() if history else OF_HISTORY)
    view = {"agent_view": {"agent_description": _SHORT}} if agent else {}
    address: dict[str, Any] = {} if socket_mode else {"request_url": _ADDRESS}
    slash = {"command": command, "description": "Ask, or change how I answer here", "usage_hint": _hint()}
    if not socket_mode:
        slash["url"] = _ADDRESS
    return json.dumps(
        {
            "display_information": {
                "name": "Nebula",
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
                "bot_user": {"display_name": "nebula", "always_online": True},
                "slash_commands": [{**slash, "should_escape": False}],
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


def _hint() -> str:
    """How the commands are written, in the order of the table."""
    return " | ".join(usage(command) for command in COMMANDS)
