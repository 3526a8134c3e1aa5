"""Examines the set-up in Discord: the token, the application, each server's permissions, the commands, the gateway, and
one message in a named channel."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from typing import Any, TypeVar

import aiohttp
import discord

from bots.adapter import Examination
from bots.discord.api.http import Http
from bots.discord.api.rest import NOBODY
from bots.discord.api.shards import shards_of
from bots.discord.components.commands import in_step, may_be_user_installed
from bots.discord.config import DiscordConfig
from bots.discord.permissions import PERMISSIONS, invite_url
from bots.proxy import proxy_for
from core.awake import awake
from core.domain.errors import Forbidden, Gone, PlatformError, SlowDown, Unreachable
from core.domain.options import Switch
from core.finding import Finding, bad, note, well
from core.text import one_line

T = TypeVar("T")

NAME = "Discord"
# For one call.
CALL_SECONDS = 6.0
MEND_TOKEN = "create a new one in the developer portal (Bot → Reset Token)"
_MEND_ADDRESS = "check the network, a proxy in HTTPS_PROXY, and DISCORD_API_URL"
# Message Content, approved or for an app that needs no approval (docs.discord.com, Application Flags).
_CONTENT_FLAGS = 1 << 18 | 1 << 19
# The most servers that one call lists (docs.discord.com, Get Current User Guilds).
_MOST_SERVERS = 200
# Sign-ins that should be left of those that Discord allows in a day: after the last one it resets the token.
FEW_SIGN_INS = 50
_HELLO = 10  # the gateway's first word (docs.discord.com, Gateway Opcodes)
_TEST = "This is a test of nebula-bot doctor. It disappears at once."


def servers(count: int, name: str, application_id: str | int) -> Finding:
    """Who the bot is, and in how many servers."""
    text = f"{one_line(name)}, in {count} server{'s' * (count != 1)}"
    return well(NAME, text) if count else note(NAME, text, f"add it to one: {invite_url(application_id)}")


def content(shown: bool) -> Finding:
    """Whether Discord shows the bot what does not mention it."""
    if shown:
        return well(NAME, "has the Message Content intent")
    text = "no Message Content intent: it sees only mentions, its own messages and direct messages"
    return note(NAME, text, "if people should go on without a mention: Bot → Message Content Intent in the portal")


def public() -> Finding:
    """Anybody may add the bot, and ACCESS_ALLOW does not say who may use it."""
    return bad(
        NAME,
        "anybody may add this bot to a server, and spend your account there",
        "set ACCESS_ALLOW to the ids of your servers, or switch Bot → Public Bot off in the developer portal (with "
        "Installation → Install Link at None)",
    )


async def examine(config: DiscordConfig, about: Examination) -> AsyncGenerator[Finding, None]:
    """What is right and wrong with the set-up. Never raises. It does not sign in at the gateway: a bot may do that only
    so often."""
    token = config.discord_token.get_secret_value() if config.discord_token else ""
    http = Http(config.discord_api_url.rstrip("/"), token)
    async with http.open():
        try:
            async for finding in _examined(config, about, http):
                yield finding
        except (SlowDown, Unreachable) as error:
            yield failed(error)
        except PlatformError as error:
            yield bad(NAME, f"Discord refuses a call ({error})", f"look at the token and the application; {MEND_TOKEN}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield stranger(error)


async def _examined(config: DiscordConfig, about: Examination, http: Http) -> AsyncIterator[Finding]:
    try:
        me, application, guilds = await identity(http)
    except PlatformError as error:
        yield failed(error)
        return
    yield servers(len(guilds), str(me["username"]), application["id"])
    for finding in portal(application, is_open=about.open):
        yield finding
    wanted, possible = config.discord_user_install is Switch.ON, may_be_user_installed(application)
    if wanted and not possible:
        text = "DISCORD_USER_INSTALL is on, but people can't add the app to their account"
        yield bad(NAME, text, "switch Installation → Installation Contexts → User Install on in the developer portal")
    for guild in guilds:
        for finding in _permissions(guild, application["id"]):
            yield finding
    yield await _commands(http, str(application["id"]), user_install=wanted and possible)
    async for finding in _gateway(config, http):
        yield finding
    channels = [each for each in about.channels if re.fullmatch(config.channel_ids, each)]
    for channel in channels:
        yield await _message(http, channel)
    if not channels:
        yield note(NAME, "no message was posted", "name a channel's id to try it: nebula-bot doctor --channel …")


async def identity(http: Http) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The bot, its application and its servers, as Discord describes them. Raises PlatformError."""
    me = await _call(http.call("GET", "/users/@me"))
    application = await _call(http.call("GET", "/applications/@me"))
    return me, application, await _call(http.call("GET", f"/users/@me/guilds?limit={_MOST_SERVERS}"))


def failed(error: PlatformError) -> Finding:
    """What it means that Discord does not say who the bot is."""
    if isinstance(error, SlowDown):
        return note(NAME, f"Discord asks for a pause of {error.retry_after:.0f} s", "try again later")
    if isinstance(error, Unreachable):
        return unreachable(str(error))
    if isinstance(error, Forbidden):
        return bad(NAME, f"Discord refuses DISCORD_TOKEN ({error})", MEND_TOKEN)
    mend = f"it ends with the version, as in /api/v10; {_MEND_ADDRESS}"
    return bad(NAME, f"there is no API of Discord's at DISCORD_API_URL ({error})", mend)


def unreachable(why: str) -> Finding:
    """What it means that there is no connection to Discord."""
    return bad(NAME, f"Discord can't be reached ({why})", _MEND_ADDRESS)


def stranger(error: Exception) -> Finding:
    """What it means that an answer is not as Discord's are."""
    return bad(NAME, f"what answers is not Discord ({type(error).__name__})", "check DISCORD_API_URL")


def portal(application: dict[str, Any], *, is_open: bool) -> Iterator[Finding]:
    """What is set in the developer portal. `is_open`: ACCESS_ALLOW does not say who may use the bot."""
    if application.get("bot_public") and is_open:
        yield public()
    elif application.get("bot_public"):
        yield well(NAME, "anybody may add this bot to a server; ACCESS_ALLOW says who may use it")
    else:
        yield well(NAME, "only you may add this bot to a server")
    yield content(bool(int(application.get("flags") or 0) & _CONTENT_FLAGS))
    if application.get("bot_require_code_grant"):
        text = "nobody can add this bot to a server: it requires a code grant"
        yield bad(NAME, text, "switch Bot → Requires OAuth2 Code Grant off in the developer portal")
    if application.get("interactions_endpoint_url"):
        text = "Discord sends commands and buttons to another address, where this bot does not get them"
        yield bad(NAME, text, "empty General Information → Interactions Endpoint URL in the developer portal")


def _permissions(guild: dict[str, Any], application: str) -> Iterator[Finding]:
    """What the bot may not do in a server. A channel may take away more."""
    held = discord.Permissions(int(guild.get("permissions") or 0))
    missing = [] if held.administrator else [each for name, each in PERMISSIONS.items() if not getattr(held, name)]
    where = one_line(str(guild.get("name") or guild.get("id")))
    if missing:
        names = ", ".join(each.name.lower() for each in missing)
        mend = f"give its role these, or add it anew: {invite_url(application)}"
        yield bad(NAME, f"lacks permissions in the server {where}: {names}", mend)


async def _commands(http: Http, application: str, *, user_install: bool) -> Finding:
    known = await _call(http.call("GET", f"/applications/{application}/commands"))
    if in_step(known, user_install=user_install):
        return well(NAME, f"its {len(known)} commands are those of this version")
    if not known:
        return note(NAME, "no command is registered yet", "start the bot: it does that")
    return bad(NAME, "its commands are those of another version", "start this version: it registers its own")


async def _gateway(config: DiscordConfig, http: Http) -> AsyncIterator[Finding]:
    found = await _call(http.call("GET", "/gateway/bot"))
    limit = found.get("session_start_limit") or {}
    left, hours = int(limit.get("remaining", 0)), int(limit.get("reset_after", 0)) / 3_600_000
    wanted, ours = int(found.get("shards") or 1), shards_of(config.discord_shards)[0].count or 1
    if wanted > 1 and ours == 1:
        text = f"Discord wants {wanted} connections for the servers of this bot"
        yield note(NAME, text, f"set DISCORD_SHARDS=0-{wanted - 1}/{wanted}")
    text = f"{left} sign-ins are left in the next {hours:.0f} h"
    if left < FEW_SIGN_INS:
        mend = "do not start the bot again and again: see in its log why it ends"
        yield (note if left else bad)(NAME, text, mend)
    else:
        yield well(NAME, text)
    yield await _hello(config.discord_gateway_url)


async def _hello(url: str) -> Finding:
    """Whether the gateway greets whoever connects. Without a sign-in that costs nothing."""
    try:
        async with awake(CALL_SECONDS), aiohttp.ClientSession() as session:
            asked = f"{url.rstrip('/')}/?v=10&encoding=json"
            async with session.ws_connect(asked, proxy=proxy_for(url)) as socket:
                said = await socket.receive_json()
        if said.get("op") == _HELLO:
            return well(NAME, "the gateway answers")
        why = "it says something else"
    except (aiohttp.ClientError, OSError, TimeoutError, TypeError, ValueError, AttributeError) as error:
        why = type(error).__name__
    return bad(
        NAME, f"the gateway does not answer ({why})", "check the network for WebSockets, and DISCORD_GATEWAY_URL"
    )


async def _message(http: Http, channel: str) -> Finding:
    """Post a message, change it and delete it."""
    step, path = "post", f"/channels/{channel}/messages"
    body = {"content": _TEST, "allowed_mentions": NOBODY}
    try:
        posted = await _call(http.call("POST", path, body))
        path = f"{path}/{posted['id']}"
        try:
            step = "edit"
            await _call(http.call("PATCH", path, {**body, "content": f"{_TEST} (Edited.)"}))
        finally:
            await _call(http.call("DELETE", path))
    except SlowDown as error:
        return failed(error)
    except PlatformError as error:
        mend = _MEND_ADDRESS
        if isinstance(error, Forbidden):
            mend = "let the bot view this channel and write in it"
        elif isinstance(error, Gone):
            mend = "check the id (with developer mode on: right click → Copy Channel ID)"
        return bad(NAME, f"could not {step} a message in {channel} ({error})", mend)
    return well(NAME, f"posted, edited and deleted a message in {channel}")


async def _call(call: Awaitable[T]) -> T:
    """Await a call of Discord's, within its time. Raises PlatformError."""
    try:
        async with awake(CALL_SECONDS):
            return await call
    except TimeoutError as error:
        raise Unreachable(f"no answer within {CALL_SECONDS:g} s") from error
