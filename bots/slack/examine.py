"""Examines the set-up in Slack: the tokens, the app's scopes, Socket Mode, and one message in a named channel."""

import re
from collections.abc import AsyncGenerator, Awaitable, Collection, Sequence
from contextlib import aclosing
from typing import TypeVar

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.adapter import Examination
from bots.http_port import examine_port
from bots.slack.api import transport
from bots.slack.api.client import Web
from bots.slack.api.errors import NoApi, code_of
from bots.slack.config import SlackConfig
from bots.slack.manifest import FOR_AGENTS, FOR_HISTORY, OPTIONAL, SCOPES
from core.awake import awake
from core.domain.errors import PlatformError, SlowDown, Unreachable
from core.finding import Finding, bad, note, well
from core.text import one_line

T = TypeVar("T")

NAME = "Slack"
# For one call. Slack answers within a second, as a rule.
CALL_SECONDS = 6.0
SCOPES_HEADER = "x-oauth-scopes"  # docs.slack.dev/authentication/installing-with-oauth
MEND_BOT_TOKEN = (
    "copy the Bot User OAuth Token from OAuth & Permissions on your app's page, and reinstall the app if it was removed"
)
MEND_APP_TOKEN = (
    "create an app-level token with connections:write under Basic Information on your app's page, and switch Socket "
    "Mode on"
)
_MEND_SCOPES = "add them under OAuth & Permissions (or paste the manifest anew), and reinstall the app"
_MEND_ADDRESS = "check the network, a proxy in HTTPS_PROXY, and SLACK_API_URL"
# What posting is refused with, where the channel is the reason (docs.slack.dev/reference/methods/chat.postMessage).
_MEND_CHANNEL = {
    "not_in_channel": "write /invite @{name} in this channel",
    "channel_not_found": "check the id; into a private channel, the bot must be invited first",
    "is_archived": "name a channel that is not archived",
}
_TEST = "This is a test of nebula-bot doctor. It disappears at once."


async def examine(config: SlackConfig, about: Examination) -> AsyncGenerator[Finding, None]:
    """What is right and wrong with the set-up. Never raises. It opens no socket: that would get events which are meant
    for a bot that is running."""
    token = config.slack_bot_token
    web = Web(config.slack_api_url, token.get_secret_value() if token else "")
    try:
        async with aclosing(_examined(config, about, web)) as findings:
            async for finding in findings:
                yield finding
    finally:
        await web.close()


async def _examined(config: SlackConfig, about: Examination, web: Web) -> AsyncGenerator[Finding, None]:
    try:
        me = await call(web.call(web.client.auth_test()))
    except PlatformError as error:
        yield failed(error, "SLACK_BOT_TOKEN", MEND_BOT_TOKEN)
        if isinstance(error, Unreachable | NoApi | SlowDown):  # it would be the same of all that follows
            return
        me = None
    if me is not None:
        yield identity(str(me.get("team") or me.get("team_id")), str(me.get("user") or ""))
        if not me.get("bot_id"):
            yield bad(NAME, "SLACK_BOT_TOKEN is not the token of a bot", MEND_BOT_TOKEN)
        for finding in scopes(granted(me)):
            yield finding
    if config.over_http:
        host, port = config.slack_host, config.slack_port or 0
        yield await examine_port(NAME, "SLACK_PORT", host, port, transport.PATH, transport.UNSIGNED)
    elif config.slack_app_token is not None:
        yield await _socket(config.slack_app_token.get_secret_value(), web)
    if me is None:
        return
    channels = [each for each in about.channels if re.fullmatch(config.channel_ids, each)]
    for channel in channels:
        yield await _message(web, channel, str(me.get("user") or "nebula"))
    if not channels:
        yield note(NAME, "no message was posted", "name a channel to try it: nebula-bot doctor --channel C…")


def identity(workspace: str, name: str) -> Finding:
    """Who the bot is, and where."""
    return well(NAME, f"@{one_line(name)} in the workspace {one_line(workspace)}")


def granted(answer: AsyncSlackResponse) -> frozenset[str]:
    """The scopes of the token with which Slack was asked; none if it does not say."""
    return frozenset(scope.strip() for scope in str(answer.headers.get(SCOPES_HEADER) or "").split(",")) - {""}


def scopes(given: Collection[str]) -> list[Finding]:
    """What an app with these scopes lacks; none if Slack did not say which it has."""
    if not given:
        return []
    found = []
    if missing := sorted(SCOPES.keys() - OPTIONAL - set(given)):
        found.append(bad(NAME, f"the app lacks scopes: {_explained(missing)}", _MEND_SCOPES))
    optional = sorted((SCOPES.keys() & OPTIONAL) - set(given))
    if others := [scope for scope in optional if scope not in FOR_HISTORY | FOR_AGENTS]:
        found.append(note(NAME, f"the app lacks scopes: {_explained(others)}", _MEND_SCOPES))
    if FOR_HISTORY & set(optional):
        text = "the app can't read channels: no follow-ups, edits, deletions, or questions while it was away"
        found.append(note(NAME, text, f"if that is not meant: {_MEND_SCOPES}"))
    if FOR_AGENTS & set(optional):
        text = "the app is no agent: no streaming and no Stop button of Slack's in direct messages"
        found.append(note(NAME, text, f"if guests need not use it: {_MEND_SCOPES}"))
    return found or [well(NAME, f"the app has all {len(SCOPES)} scopes of the manifest")]


def _explained(names: Sequence[str]) -> str:
    return "; ".join(f"{name} ({SCOPES[name].why})" for name in names)


async def _socket(token: str, web: Web) -> Finding:
    try:
        await call(web.call(web.client.apps_connections_open(app_token=token)))
    except PlatformError as error:
        return failed(error, "SLACK_APP_TOKEN", MEND_APP_TOKEN)
    return well(NAME, "Socket Mode gives an address to connect to")


async def _message(web: Web, channel: str, name: str) -> Finding:
    """Post a message, change it and delete it."""
    client, step = web.client, "post"
    try:
        posted = await call(
            web.call(client.chat_postMessage(channel=channel, text=_TEST, unfurl_links=False, unfurl_media=False))
        )
        where, ts = str(posted["channel"]), str(posted["ts"])
        try:
            step = "edit"
            await call(web.call(client.chat_update(channel=where, ts=ts, text=f"{_TEST} (Edited.)")))
        finally:
            await call(web.call(client.chat_delete(channel=where, ts=ts)))
    except PlatformError as error:
        if isinstance(error, SlowDown):
            return failed(error, "SLACK_BOT_TOKEN", MEND_BOT_TOKEN)
        mend = _MEND_CHANNEL.get(code_of(error), _MEND_ADDRESS if isinstance(error, Unreachable) else _MEND_SCOPES)
        return bad(NAME, f"could not {step} a message in {channel} ({error})", mend.format(name=name))
    return well(NAME, f"posted, edited and deleted a message in {channel}")


def failed(error: PlatformError, variable: str, mend: str) -> Finding:
    """A finding about a call that failed, which needs this token."""
    if isinstance(error, SlowDown):
        return note(NAME, f"Slack asks for a pause of {error.retry_after:.0f} s", "try again later")
    if isinstance(error, Unreachable):
        return bad(NAME, f"Slack can't be reached ({error})", _MEND_ADDRESS)
    if isinstance(error, NoApi):
        return bad(
            NAME, f"there is no API of Slack's at SLACK_API_URL ({error})", f"it ends with /api/; {_MEND_ADDRESS}"
        )
    return bad(NAME, f"Slack refuses {variable} ({error})", mend)


async def call(asked: Awaitable[T]) -> T:
    """Await a call of Slack's, within its time. Raises PlatformError."""
    try:
        async with awake(CALL_SECONDS):
            return await asked
    except TimeoutError as error:
        raise Unreachable(f"no answer within {CALL_SECONDS:g} s") from error
