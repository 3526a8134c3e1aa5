"""The app manifest: what to enter at api.slack.com/apps, derived from the command table."""

import json
from typing import Any

from core.commands import COMMANDS, usage

# Each scope with what it is for (docs.slack.dev/reference/scopes).
SCOPES = {
    "app_mentions:read": "hear mentions in channels",
    "channels:read": "names and creators of public channels",
    "chat:write": "post, edit and delete replies, set the status of a thread",
    "commands": "the slash command",
    "groups:read": "names and creators of private channels",
    "im:history": "hear direct messages",
    "im:read": "recognise direct messages",
    "mpim:history": "hear mentions in group messages",
    "mpim:read": "creators of group messages",
    "reactions:write": "mark a question that waits",
    "users:read": "names of people, and who is an admin",
}
EVENTS = ("app_mention", "message.im", "message.mpim")

# Where Slack is to send requests if not over a socket; to be replaced by one's own address.
_ADDRESS = "https://nebula-bot.example.com/slack/events"

_LONG = (
    "Mention me in a channel or write me a direct message, and one of the open models of Nebula Block answers; "
    "the reply grows while the model writes. I remember what was said in a channel. Each channel has its own system "
    "prompt, model and settings: see the slash command's help, or say help with an exclamation mark in front after a "
    "mention."
)


def manifest(socket_mode: bool = True, command: str = "/nebula") -> str:
    """The manifest as JSON, for Socket Mode or for HTTP, with the slash command under this name."""
    address: dict[str, Any] = {} if socket_mode else {"request_url": _ADDRESS}
    slash = {"command": command, "description": "Ask, or change how I answer here", "usage_hint": _hint()}
    if not socket_mode:
        slash["url"] = _ADDRESS
    return json.dumps(
        {
            "display_information": {
                "name": "Nebula",
                "description": "Answers with the open models of Nebula Block",
                "long_description": _LONG,
                "background_color": "#1d1c3b",
            },
            "features": {
                "app_home": {
                    "home_tab_enabled": False,
                    "messages_tab_enabled": True,
                    "messages_tab_read_only_enabled": False,
                },
                "bot_user": {"display_name": "nebula", "always_online": True},
                "slash_commands": [{**slash, "should_escape": False}],
            },
            "oauth_config": {"scopes": {"bot": list(SCOPES)}},
            "settings": {
                "event_subscriptions": {**address, "bot_events": list(EVENTS)},
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
