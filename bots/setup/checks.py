"""Tries an answer where it will be used: one or two calls that change nothing there."""

from collections.abc import Mapping

from bots.compose import nebula
from bots.discord import examine as discord
from bots.discord.api.http import Http
from bots.discord.permissions import invite_url
from bots.doctor.nebula import failure, offer, refuses_key
from bots.setup.part import Judgement
from bots.slack import examine as slack
from bots.slack.api.client import Web
from core.domain.chat import ModelInfo
from core.domain.errors import Forbidden, ModelError, PlatformError
from core.finding import Finding, Verdict
from core.settings.config import Config
from core.text import one_line

# How long Nebula may take to list its models.
LIST_SECONDS = 20.0


async def nebula_key(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Nebula for its models with this key."""
    try:
        models = await _models(answer, known)
    except ModelError as error:
        return _judged([failure(error)], good=False if refuses_key(error) else None)
    return Judgement(True, f"Nebula takes this key, and offers {len(models)} models.")


async def nebula_model(answer: str, known: Mapping[str, str]) -> Judgement:
    """Look for the model in Nebula's list; another one may be served all the same."""
    try:
        found = offer(await _models(known.get("NEBULA_API_KEY", ""), known), answer)
    except ModelError as error:
        found = failure(error)
    return _judged([found], good=True if found.verdict is Verdict.OK else None)


async def slack_bot_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Slack whom this token belongs to, and which scopes it has."""
    web = Web(known["SLACK_API_URL"], answer)
    try:
        me = await slack.call(web.call(web.client.auth_test()))
    except PlatformError as error:
        return _refused(error, slack.failed(error, "SLACK_BOT_TOKEN", slack.MEND_BOT_TOKEN))
    finally:
        await web.close()
    team, name = str(me.get("team_id") or ""), one_line(str(me.get("team") or ""))
    found = [slack.identity(name, str(me.get("user") or "")), *slack.scopes(slack.granted(me))]
    return _judged(found, good=True, ids=(f"{one_line(team)}: the Slack workspace {name}",))


async def slack_app_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Slack for the address of a connection, without opening it."""
    web = Web(known["SLACK_API_URL"], answer)
    try:
        await slack.call(web.call(web.client.apps_connections_open(app_token=answer)))
    except PlatformError as error:
        return _refused(error, slack.failed(error, "SLACK_APP_TOKEN", slack.MEND_APP_TOKEN))
    finally:
        await web.close()
    return Judgement(True, "Slack opens connections for it.")


async def discord_token(answer: str, known: Mapping[str, str]) -> Judgement:
    """Ask Discord which application this token belongs to, and in which servers it is."""
    http = Http(known["DISCORD_API_URL"].rstrip("/"), answer.removeprefix("Bot ").strip())
    try:
        async with http.open():
            me, application, guilds = await discord.identity(http)
            texts = [f"Discord: {one_line(str(me['username']))}, in {len(guilds)} server{'s' * (len(guilds) != 1)}."]
            texts += [_sentence(each) for each in discord.portal(application, is_open=True)]
            ids = tuple(f"{each['id']}: the Discord server {one_line(str(each.get('name')))}" for each in guilds)
            link = invite_url(application["id"])
    except PlatformError as error:
        return _refused(error, discord.failed(error))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return _judged([discord.stranger(error)], good=None)
    texts += ["To add it to a server, open this link; you need the right Manage Server there:", "", f"  {link}"]
    return Judgement(True, "\n".join(texts), ids)


async def access(answer: str, known: Mapping[str, str]) -> Judgement:
    """Say which platform nobody could use any more."""
    ids = answer.replace(",", " ").split()
    if ids and known.get("SLACK_BOT_TOKEN") and not any(each[0].isalpha() for each in ids):
        return Judgement(None, "None of these ids is of Slack: nobody could use the bot there.")
    if ids and known.get("DISCORD_TOKEN") and not any(each.isdigit() for each in ids):
        return Judgement(None, "None of these ids is of Discord: nobody could use the bot there.")
    return Judgement(True)


async def _models(key: str, known: Mapping[str, str]) -> tuple[ModelInfo, ...]:
    values = {
        "nebula_api_key": key,
        "nebula_base_url": known["NEBULA_BASE_URL"],
        "nebula_platform_url": known["NEBULA_PLATFORM_URL"],
        "nebula_first_token_seconds": LIST_SECONDS,
    }
    async with nebula(Config.model_validate(values)) as client:
        return await client.check()


def _refused(error: PlatformError, found: Finding) -> Judgement:
    """A call that failed: a refusal, unless nobody could tell."""
    return _judged([found], good=False if isinstance(error, Forbidden) else None)


def _judged(found: list[Finding], *, good: bool | None, ids: tuple[str, ...] = ()) -> Judgement:
    return Judgement(good, "\n".join(_sentence(each) for each in found), ids)


def _sentence(found: Finding) -> str:
    text = found.text if found.text.startswith(found.name) else f"{found.name}: {found.text}"
    return f"{text}; {found.mend}." if found.mend else f"{text}."
