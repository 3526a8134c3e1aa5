"""Tries an answer where it will be used: one call of the platform, which changes nothing there."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import aiohttp

from bots.discord.permissions import invite_url
from bots.setup.part import Judgement
from bots.slack.manifest import OPTIONAL, SCOPES
from core.nebula import catalog
from core.text import one_line

# How long a call may take.
CALL_SECONDS = 20.0
# Flags of an application that may have the Message Content intent (docs.discord.com, Application Flags).
_CONTENT = 1 << 18 | 1 << 19
_PUBLIC = (
    "Anybody may add this bot to a server and use your account there: switch Bot → Public Bot off (with Installation → "
    "Install Link at None), or name your servers in ACCESS_ALLOW below."
)


async def nebula_key(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Nebula for its models with this key."""
    status, body, _ = await _call("GET", f"{_nebula(known)}/models", answer)
    if status == 401:
        return Judgement(False, "Nebula refuses this key (401): copy it anew from nebulablock.com → API Keys.")
    if status == 404:
        return Judgement(None, "There is no list of models at NEBULA_BASE_URL, which usually ends with /v1.")
    try:
        models = catalog.parse(body)
    except ValueError:
        return _unclear("Nebula", "NEBULA_BASE_URL", status)
    return Judgement(True, f"Nebula takes this key, and offers {len(models)} models.")


async def nebula_model(answer: str, known: Mapping[str, str]) -> Judgement:
    """Look for the model in Nebula's list; another one may be served all the same."""
    _, body, _ = await _call("GET", f"{_nebula(known)}/models", known.get("NEBULA_API_KEY", ""))
    try:
        names = [each.name for each in catalog.parse(body)]
    except ValueError:
        return Judgement(None, "Nebula's list of models can't be read just now.")
    if catalog.api_name(answer) in names:
        return Judgement(True, "Nebula offers it.")
    return Judgement(None, f"It is not among the models that Nebula offers: {', '.join(names[:20])}.")


async def slack_bot_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Slack whom this token belongs to, and which scopes it has."""
    status, body, headers = await _call("POST", _slack(known, "auth.test"), answer)
    hint = "copy the Bot User OAuth Token from Install App, and reinstall the app if it was removed."
    if refused := _slack_refusal(status, body, hint):
        return refused
    team, name = one_line(str(body.get("team_id"))), one_line(str(body.get("team")))
    text = f"Slack: {one_line(str(body.get('user')))} in {name}."
    granted = {each.strip() for each in headers.get("x-oauth-scopes", "").split(",")} - {""}
    missing = sorted(SCOPES.keys() - granted) if granted else []
    for scope in missing:
        kind = "It works without" if scope in OPTIONAL else "It lacks"
        text += f"\n  {kind} {scope} ({SCOPES[scope].why}). Without it: {SCOPES[scope].lost}."
    if set(missing) - OPTIONAL:
        text += "\n  Add what is lacking under OAuth & Permissions, and reinstall the app."
    return Judgement(True, text, (f"{team}: the Slack workspace {name}",))


async def slack_app_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Slack for the address of a connection, without opening it."""
    status, body, _ = await _call("POST", _slack(known, "apps.connections.open"), answer)
    hint = "create a token with the scope connections:write under Basic Information → App-Level Tokens."
    return _slack_refusal(status, body, hint) or Judgement(True, "Slack opens connections for it.")


async def discord_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Discord which application this token belongs to, and in which servers it is."""
    base = known["DISCORD_API_URL"].rstrip("/")
    token = answer.removeprefix("Bot ").strip()
    status, body, _ = await _call("GET", f"{base}/applications/@me", token, "Bot")
    if status == 401:
        return Judgement(False, "Discord refuses this token (401): create a new one under Bot → Reset Token.")
    if status != 200 or not isinstance(body, dict) or not str(body.get("id") or "").isdigit():
        return _unclear("Discord", "DISCORD_API_URL", status)
    _, servers, _ = await _call("GET", f"{base}/users/@me/guilds", token, "Bot")
    found = [each for each in servers if isinstance(each, dict)] if isinstance(servers, list) else []
    content = "on" if int(body.get("flags") or 0) & _CONTENT else "off"
    lines = [
        f"Discord: {one_line(str(body.get('name')))}, in {len(found)} server{'s' * (len(found) != 1)}.",
        f"The Message Content Intent is {content}.",
        *([_PUBLIC] if body.get("bot_public") else []),
        "To add it to a server, open this link; you need the right Manage Server there:",
        "",
        f"  {invite_url(str(body['id']))}",
    ]
    return Judgement(
        True,
        "\n  ".join(lines),
        tuple(f"{each.get('id')}: the Discord server {one_line(str(each.get('name')))}" for each in found),
    )


async def access(answer: str, known: Mapping[str, str]) -> Judgement:
    """Say which platform nobody could use any more."""
    ids = answer.replace(",", " ").split()
    if ids and known.get("SLACK_BOT_TOKEN") and not any(each[0].isalpha() for each in ids):
        return Judgement(None, "None of these ids is of Slack: nobody could use the bot there.")
    if ids and known.get("DISCORD_TOKEN") and not any(each.isdigit() for each in ids):
        return Judgement(None, "None of these ids is of Discord: nobody could use the bot there.")
    return Judgement(True)


def _nebula(known: Mapping[str, str]) -> str:
    return known["NEBULA_BASE_URL"].rstrip("/").removesuffix("/chat/completions")


def _slack(known: Mapping[str, str], method: str) -> str:
    return f"{known['SLACK_API_URL'].rstrip('/')}/{method}"


def _slack_refusal(status: int, body: Any, hint: str) -> Judgement | None:
    """What Slack has against a token; None if it takes it. It answers a refused token with 200
    (docs.slack.dev/reference/methods/auth.test)."""
    if not isinstance(body, dict) or status != 200:
        return _unclear("Slack", "SLACK_API_URL", status)
    if body.get("ok") is True:
        return None
    return Judgement(False, f"Slack refuses this token ({one_line(str(body.get('error')))}): {hint}")


def _unclear(name: str, variable: str, status: int) -> Judgement:
    """What an answer means that is neither a yes nor a no."""
    if status == 429 or status >= 500:
        return Judgement(None, f"{name} has trouble now (HTTP {status}): try again in a moment.")
    if status == 403:
        return Judgement(None, f"{name}, or something in front of it, refuses this (HTTP 403).")
    return Judgement(None, f"This is not {name} (HTTP {status}): check {variable}, or a proxy on the way.")


async def _call(method: str, url: str, token: str, scheme: str = "Bearer") -> tuple[int, Any, Mapping[str, str]]:
    """The status, the JSON and the headers of an answer. Raises OSError, TimeoutError or aiohttp.ClientError."""
    headers = {"Authorization": f"{scheme} {token}"}
    if scheme == "Bot":  # Discord wants this form (docs.discord.com, User Agent)
        headers["User-Agent"] = f"DiscordBot (https://www.nebulablock.com, {version('nebula-bot')})"
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,  # trust_env: the proxies of the environment
        session.request(method, url, headers=headers, allow_redirects=False) as response,
    ):
        try:
            body = await response.json(content_type=None)
        except ValueError:  # a page, where JSON was expected
            body = None
        return response.status, body, {name.lower(): value for name, value in response.headers.items()}
