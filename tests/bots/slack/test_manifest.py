"""The Slack app manifest: within the schema's limits, and consistent with the code."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bots import slack
from bots.cli import main
from bots.discord.permissions import PERMISSIONS
from bots.slack.manifest import EVENTS, FOR_AGENTS, FOR_HISTORY, OPTIONAL, SCOPES, creation_link, manifest, named
from core.commands.registry import COMMANDS

# The scopes that each called method needs (docs.slack.dev/reference/methods).
NEEDED = {
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "chat_startStream": {"chat:write"},
    "chat_appendStream": {"chat:write"},
    "chat_stopStream": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history", "im:history", "mpim:history"},
    "conversations_replies": {"channels:history", "groups:history", "im:history", "mpim:history"},
    "conversations_open": {"im:write"},
    "users_conversations": {"channels:read", "groups:read", "im:read", "mpim:read"},
    "files_getUploadURLExternal": {"files:write"},
    "files_completeUploadExternal": {"files:write"},
    "files_delete": {"files:write"},
    "files_info": {"files:read"},
    "assistant_threads_setStatus": {"chat:write"},
    "assistant_threads_setTitle": {"assistant:write"},
    "assistant_threads_setSuggestedPrompts": {"assistant:write"},
    "reactions_add": {"reactions:write"},
    "reactions_remove": {"reactions:write"},
    "users_info": {"users:read"},
    "conversations_info": {"channels:read", "groups:read", "im:read", "mpim:read"},
    "views_open": set(),
    "auth_test": set(),
    "apps_connections_open": set(),
}
# And each event (docs.slack.dev/reference/events).
HEARD = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "member_joined_channel": "channels:read",
    "agent_session_stopped": "assistant:write",
    "app_home_opened": "",  # none
}


def parsed(**how: Any) -> dict[str, Any]:
    """Return the manifest as Slack reads it."""
    found = json.loads(manifest(**how))
    assert isinstance(found, dict)
    return found


def test_the_scopes_are_those_that_the_code_needs() -> None:
    """They cover every Web API method that the adapter calls, and none is unnecessary."""
    source = "".join(path.read_text() for path in Path(str(slack.__file__)).parent.rglob("*.py"))
    called = set(re.findall(r"\.client\.([a-z]+_\w+)", source))
    assert called == set(NEEDED)
    needed = set().union(*NEEDED.values(), HEARD.values(), {"commands"}) - {""}
    assert set(parsed()["oauth_config"]["scopes"]["bot"]) == needed == set(SCOPES)


def test_the_events_are_those_that_the_code_handles() -> None:
    """Mentions, direct messages, and changes to either."""
    assert parsed()["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS) == list(HEARD)


def test_the_hint_names_every_command() -> None:
    """The slash command's usage hint follows the command table."""
    hint = parsed()["features"]["slash_commands"][0]["usage_hint"]
    assert all(command.name in hint for command in COMMANDS)


@pytest.mark.parametrize("url", [None, ""])
def test_the_limits_of_the_schema_are_respected(url: str | None) -> None:
    """The lengths in slackapi/manifest-schema, 2.0.0."""
    found = parsed(url=url)
    shown, (command,) = found["display_information"], found["features"]["slash_commands"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 175 <= len(shown["long_description"]) <= 4000
    assert re.fullmatch(r"#[0-9a-f]{6}", shown["background_color"])
    assert len(found["features"]["bot_user"]["display_name"]) <= 80
    assert len(command["command"]) <= 32
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000


def test_people_can_write_to_the_bot() -> None:
    """The messages tab is on and writable, and buttons and modals work."""
    found = parsed()
    home = found["features"]["app_home"]
    assert (home["messages_tab_enabled"], home["messages_tab_read_only_enabled"]) == (True, False)
    assert found["settings"]["interactivity"]["is_enabled"]
    assert found["settings"]["socket_mode_enabled"]
    assert "http" not in json.dumps(found)


def test_the_agent_features_can_be_left_out() -> None:
    """With them direct messages are threads that stream and can be stopped; without them guests can use the app."""
    assert "agent_view" in parsed()["features"]
    plain = parsed(without=FOR_AGENTS)
    assert "agent_view" not in plain["features"]
    assert "agent_session_stopped" not in plain["settings"]["event_subscriptions"]["bot_events"]
    assert "assistant:write" not in plain["oauth_config"]["scopes"]["bot"]


def test_channel_history_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Then only mentions and direct messages reach the bot, also in group messages."""
    assert main(["manifest", "slack", "--no-history"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == parsed(without=FOR_HISTORY)
    events = found["settings"]["event_subscriptions"]["bot_events"]
    assert set(events) == set(EVENTS) - {"message.channels", "message.groups", "message.mpim"}
    histories = {"channels:history", "groups:history", "mpim:history"}
    assert set(found["oauth_config"]["scopes"]["bot"]) == set(SCOPES) - histories


def test_one_flag_asks_for_the_least(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that the bot can do without: no reading along, no agent, no direct messages of its own accord."""
    assert main(["manifest", "slack", "--minimal"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == parsed(without=OPTIONAL)
    assert found["settings"]["event_subscriptions"]["bot_events"] == ["app_mention", "message.im"]
    assert set(found["oauth_config"]["scopes"]["bot"]) == SCOPES.keys() - OPTIONAL
    assert "agent_view" not in found["features"]


def test_http_mode_says_where_to_send_requests() -> None:
    """Without Socket Mode every kind of request needs the address."""
    found = parsed(url="", names=named("", "/ask"))
    assert not found["settings"]["socket_mode_enabled"]
    addresses = {
        found["settings"]["event_subscriptions"]["request_url"],
        found["settings"]["interactivity"]["request_url"],
        found["features"]["slash_commands"][0]["url"],
    }
    (address,) = addresses
    assert address.endswith("/slack/events")
    assert found["features"]["slash_commands"][0]["command"] == "/ask"


def test_a_second_app_has_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Two apps of one workspace can't share a slash command, and each is reached at its own address."""
    assert main(["manifest", "slack", "--name", "Tutor", "--command", "tutor", "--http", "https://bots.example/"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == parsed(names=named("Tutor"), url="https://bots.example")
    assert found["display_information"]["name"] == "Tutor"
    assert found["features"]["bot_user"]["display_name"] == "tutor"
    assert found["features"]["slash_commands"][0]["command"] == "/tutor"
    assert found["settings"]["interactivity"]["request_url"] == "https://bots.example/slack/events"


@pytest.mark.parametrize(
    "arguments",
    [["--name", "x" * 36], ["--name", "Навуходоносор"], ["--command", "two words"], ["--http", "http://bots.example"]],
)
def test_what_slack_would_refuse_is_refused_first(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is too long or gives no command, a command of two words, an address without TLS."""
    assert main(["manifest", "slack", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_a_link_opens_slacks_page_with_the_manifest() -> None:
    """The manifest arrives there as it was."""
    text = manifest(named("Tutor & Söhne", "tutor"))
    query = parse_qs(urlsplit(creation_link(text)).query)
    assert (query["new_app"], json.loads(query["manifest_json"][0])) == (["1"], json.loads(text))


def test_each_scope_and_event_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """For those who have to approve the app: what it is for, and what is lost without it."""
    assert main(["manifest", "slack", "--explain", "--no-history"]) == 0
    text = capsys.readouterr().out
    rights = {**SCOPES, **EVENTS}
    named_there = re.findall(r"^  (\S+)", text, re.MULTILINE)
    assert set(named_there) == rights.keys() - FOR_HISTORY
    assert len(named_there) == len(set(named_there))
    for name in named_there:
        assert rights[name].why in text
        assert f"without it: {rights[name].lost}" in text


def test_discords_permissions_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Each one that the invite link asks for, under the name that Discord shows."""
    assert main(["manifest", "discord"]) == 0
    text = capsys.readouterr().out
    for each in PERMISSIONS.values():
        assert each.name in text
        assert each.why in text
        assert f"without it: {each.lost}" in text
